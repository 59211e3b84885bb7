#include <postern/io/ledger/postgres.hpp>
#include <postern/io/ledger/postgres_ledger.hpp>
#include <postern/io/ledger/sql_ledger.hpp>

#include <stdexcept>

namespace postern {
namespace {

std::string remedy_for(const transaction_error& e, const std::string& shown) {
  if (e.kind == trouble::own)
    return "It must be like postgresql://user:password@host:5432/database?sslmode=verify-full; characters such as @ / "
           ": "
           "? # % in a password are written %40 %2F %3A %3F %23 %25.";
  if (std::string_view(e.what()).find("permission denied") != std::string_view::npos)
    return "Its user needs the right to make a schema there, once: GRANT CREATE ON DATABASE … TO …; or make it the "
           "database's owner.";
  return "See that the server runs, that this machine may reach it, and that the database, the user and the password "
         "are right; psql \"" +
         shown + "\" tries the same.";
}

} // namespace

std::unique_ptr<ledger> make_postgres_ledger(const postgres_ledger_options& server, const ledger_options& options) {
  const auto shown = postgres::shown(server.url);
  const auto cannot = [&](const std::string& why, const std::string& remedy) {
    return std::runtime_error("ledger.url: the database " + shown + " cannot be used: " + why + ". " + remedy);
  };
  try {
    auto db = std::make_unique<postgres::database>(server.url, server.patience);
    db->migrate();
    return make_sql_ledger(std::move(db), options, server.commits);
  } catch (const sql::schema_too_new& e) {
    throw cannot(e.what(), "Use that one, or name another database.");
  } catch (const transaction_error& e) {
    throw cannot(e.what(), remedy_for(e, shown));
  }
}

} // namespace postern
