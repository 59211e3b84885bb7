#include <postern/io/sql/database.hpp>

namespace postern::sql {

void database::migrate() {
  const auto& steps = get_dialect().schema;
  const auto newest = static_cast<std::int64_t>(steps.size());
  const auto is_newest = [&] {
    const auto version = schema_version();
    if (version > newest) throw schema_too_new(version, newest);
    return version == newest;
  };
  if (is_newest()) return; // without a lock: a process that only reads must not wait for a writer
  begin_alone();
  try {
    if (!is_newest()) { // another process may have migrated before begin_alone() returned
      for (auto at = schema_version(); at < newest; ++at) execute(steps[static_cast<std::size_t>(at)]);
      set_schema_version(newest);
    }
    commit();
  } catch (...) {
    roll_back();
    throw;
  }
}

} // namespace postern::sql
