#include <postern/io/ledger/sqlite_ledger.hpp>
#include <postern/io/sql/sqlite.hpp>

#include <filesystem>
#include <stdexcept>
#include <utility>

namespace postern {

std::unique_ptr<ledger> make_sqlite_ledger(const sqlite_ledger_options& file, const ledger_options& options) {
  const std::filesystem::path path(file.path);
  const auto cannot = [&](const std::string& why) {
    return std::runtime_error("ledger.url: the database \"" + file.path + "\" cannot be used: " + why);
  };
  const std::string remedy = ". Name a file in a folder that this user may write to.";
  std::error_code ec;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ec);
  if (ec) throw cannot(ec.message() + remedy);
  try {
    auto db = std::make_unique<sqlite::database>(file.path, file.timeout);
    if (db->is_read_only()) throw transaction_error(transaction_failure::broken, "this user may not write to the file");
    db->execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;");
    if (db->is_foreign())
      throw cannot("it has a table uploads, webhooks or stopped_endpoints of another program. Name another file.");
    db->migrate();
    const auto files = std::make_shared<const sqlite::open_files>(db->files());
    db->watch(files);
    readers::connect_function connect_reader;
    if (file.path != ":memory:") // a second connection would open another, empty database
      connect_reader = [path = file.path, timeout = file.timeout, files] {
        auto reader = std::make_unique<sqlite::database>(path, timeout, sql::access::read_only);
        reader->watch(files);
        return reader;
      };
    return make_sql_ledger(std::move(db), std::move(connect_reader), options, file.use);
  } catch (const sql::schema_too_new& e) {
    throw cannot(std::string(e.what()) + ". Run that version, or name another file.");
  } catch (const sqlite::not_a_database& e) {
    throw cannot(std::string(e.what()) + ". Name an SQLite database, or a file that does not exist yet.");
  } catch (const transaction_error& e) {
    if (e.kind == transaction_failure::unavailable)
      throw cannot(std::string(e.what()) + ". Another program holds its lock; stop that program and try again.");
    if (e.kind == transaction_failure::rejected)
      throw cannot(std::string(e.what()) + ". Its tables are not those of a ledger; name another file.");
    throw cannot(e.what() + remedy);
  }
}

} // namespace postern
