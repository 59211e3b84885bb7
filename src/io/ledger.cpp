#include <postern/io/ledger.hpp>
#include <postern/io/sqlite_ledger.hpp>

#include <stdexcept>

namespace postern {
namespace {

constexpr std::string_view sqlite_scheme = "sqlite:";

} // namespace

std::unique_ptr<ledger> make_ledger(const ledger_options& options) {
  const auto& url = options.url;
  if (url.starts_with(sqlite_scheme) && url.size() > sqlite_scheme.size()) {
    sqlite_ledger_options file;
    file.path = url.substr(sqlite_scheme.size());
    return make_sqlite_ledger(file, options);
  }
  throw std::runtime_error("ledger.url: must be sqlite: and a path, such as sqlite:var/postern.db");
}

std::string ledger_shown(const std::string& url) { return url.starts_with(sqlite_scheme) ? url : "***"; }

} // namespace postern
