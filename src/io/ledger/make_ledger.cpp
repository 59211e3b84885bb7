#include <postern/io/ledger/make_ledger.hpp>
#include <postern/io/ledger/postgres_ledger.hpp>
#include <postern/io/ledger/sqlite_ledger.hpp>
#include <postern/io/sql/postgres.hpp>

#include <stdexcept>

namespace postern {
namespace {

constexpr std::string_view sqlite = "sqlite:";

bool is_postgres(const std::string& url) { return url.starts_with("postgresql://") || url.starts_with("postgres://"); }

} // namespace

std::unique_ptr<ledger> make_ledger(const ledger_options& options) {
  const auto& url = options.url;
  if (url.starts_with(sqlite) && url.size() > sqlite.size()) {
    sqlite_ledger_options file;
    file.path = url.substr(sqlite.size());
    return make_sqlite_ledger(file, options);
  }
  if (is_postgres(url)) {
    postgres_ledger_options server;
    server.url = url;
    return make_postgres_ledger(server, options);
  }
  throw std::runtime_error("ledger.url: must be sqlite: and a path, such as sqlite:var/postern.db, or "
                           "postgresql://user@host/database");
}

bool is_ledger_url(const std::string& url) {
  return (url.starts_with(sqlite) && url.size() > sqlite.size()) || is_postgres(url);
}

std::string ledger_shown(const std::string& url) { return is_postgres(url) ? postgres::shown(url) : url; }

} // namespace postern
