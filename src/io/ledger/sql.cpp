#include <postern/io/ledger/sql.hpp>

namespace postern::sql {

void database::migrate() {
  const auto newest = static_cast<std::int64_t>(speaks().schema.size());
  const auto is_newest = [&] {
    const auto version = schema_version();
    if (version > newest) throw schema_too_new();
    return version == newest;
  };
  if (is_newest()) return; // nothing is locked for those who only look on
  begin_alone();
  try {
    if (!is_newest()) { // only now is it certain that no other process migrates
      for (auto at = schema_version(); at < newest; ++at) execute(speaks().schema[static_cast<std::size_t>(at)]);
      set_schema_version(newest);
    }
    commit();
  } catch (...) {
    roll_back();
    throw;
  }
}

} // namespace postern::sql
