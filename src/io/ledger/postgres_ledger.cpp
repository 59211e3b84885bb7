#include <postern/io/ledger/postgres_ledger.hpp>
#include <postern/io/ledger/sql_ledger.hpp>
#include <postern/io/sql/postgres.hpp>

#include <optional>
#include <stdexcept>

namespace postern {
namespace {

std::string remedy_for(const transaction_error& e, const std::string& shown) {
  if (e.kind == transaction_failure::rejected)
    return "Write it like postgresql://user:password@host:5432/database?sslmode=verify-full. In a password, write "
           "%40 %2F %3A %3F %23 %25 for @ / : ? # %.";
  if (std::string_view(e.what()).find("permission denied") != std::string_view::npos)
    return "At the first start, the role must be allowed to create a schema: GRANT CREATE ON DATABASE … TO …; or make "
           "it the database's owner.";
  return "Check that the server runs, that this machine may connect to it, and that the database, the user and the "
         "password are right; psql \"" +
         shown + "\" tries the same.";
}

// The failure of a database that is away, if it may be.
std::optional<failure> migrate(postgres::database& db, bool may_be_away) {
  try {
    db.migrate();
    return std::nullopt;
  } catch (const transaction_error& e) {
    if (!may_be_away || e.kind != transaction_failure::unavailable) throw;
    return failure{errc::unavailable, e.what()};
  }
}

} // namespace

std::unique_ptr<ledger> make_postgres_ledger(const postgres_ledger_options& server, const ledger_options& options) {
  const auto shown = postgres::shown(server.url);
  const auto cannot = [&](const std::string& why, const std::string& remedy) {
    return std::runtime_error("ledger.url: the database " + shown + " cannot be used: " + why + ". " + remedy);
  };
  try {
    auto db = std::make_unique<postgres::database>(server.url, server.timeout, sql::access::read_write,
                                                   postgres::connects::at_first_use);
    auto outage = migrate(*db, options.may_connect_later);
    const auto connect_reader = [url = server.url, timeout = server.timeout] {
      return std::make_unique<postgres::database>(url, timeout, sql::access::read_only);
    };
    return make_sql_ledger(std::move(db), connect_reader, options, server.use, std::move(outage));
  } catch (const sql::schema_too_new& e) {
    throw cannot(e.what(), "Run that version, or name another database.");
  } catch (const transaction_error& e) {
    throw cannot(e.what(), remedy_for(e, shown));
  }
}

} // namespace postern
