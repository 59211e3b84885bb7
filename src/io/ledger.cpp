#include <postern/io/ledger.hpp>
#include <postern/io/sqlite_ledger.hpp>

#include <stdexcept>

namespace postern {

std::unique_ptr<ledger> make_ledger(const std::string& url) {
  constexpr std::string_view sqlite = "sqlite:";
  if (url.starts_with(sqlite) && url.size() > sqlite.size())
    return make_sqlite_ledger({.path = url.substr(sqlite.size())});
  throw std::runtime_error("ledger.url: must be sqlite: and a path, such as sqlite:var/postern.db");
}

} // namespace postern
