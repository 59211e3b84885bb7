#include <postern/io/sqlite.hpp>

#include <sqlite3.h>

#include <utility>

namespace postern::sqlite {
namespace {

[[noreturn]] void fail(sqlite3* db, const char* doing) {
  throw error(std::string(doing) + ": " + (db ? sqlite3_errmsg(db) : "out of memory"));
}

} // namespace

database::database(const std::string& path, std::chrono::milliseconds patience) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(path.c_str(), &raw_, flags, nullptr) == SQLITE_OK) {
    sqlite3_busy_timeout(raw_, static_cast<int>(patience.count()));
    return;
  }
  const std::string why = raw_ ? sqlite3_errmsg(raw_) : "out of memory";
  sqlite3_close(raw_);
  throw error("opening: " + why);
}

database::~database() { sqlite3_close(raw_); }

void database::execute(const char* sql) {
  if (sqlite3_exec(raw_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail(raw_, "executing");
}

bool database::read_only() const { return sqlite3_db_readonly(raw_, "main") == 1; }

statement::statement(sqlite3* db, const char* sql) : db_(db) {
  if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &raw_, nullptr) != SQLITE_OK) fail(db, "preparing");
}

statement::statement(statement&& o) noexcept
    : db_(o.db_), raw_(std::exchange(o.raw_, nullptr)), next_in_(o.next_in_), next_out_(o.next_out_) {}

statement::~statement() { sqlite3_finalize(raw_); }

void statement::reset() {
  sqlite3_reset(raw_);
  next_in_ = 1;
}

bool statement::step() {
  next_out_ = 0;
  const int code = sqlite3_step(raw_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  const error why(std::string("stepping: ") + sqlite3_errmsg(db_));
  sqlite3_reset(raw_); // else it would stand in the way of the rollback
  throw why;
}

std::string statement::text() {
  const int column = next_out_++;
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(raw_, column));
  return bytes ? std::string(bytes, static_cast<std::size_t>(sqlite3_column_bytes(raw_, column))) : std::string{};
}

std::optional<std::int64_t> statement::integer() {
  const int column = next_out_++;
  if (sqlite3_column_type(raw_, column) == SQLITE_NULL) return std::nullopt;
  return sqlite3_column_int64(raw_, column);
}

// What is bound must live until the step: the ledger's calls do.
void statement::put(std::string_view v) {
  if (sqlite3_bind_text(raw_, next_in_++, v.data() ? v.data() : "", static_cast<int>(v.size()), SQLITE_STATIC) !=
      SQLITE_OK)
    fail(db_, "binding");
}

void statement::put(std::int64_t v) {
  if (sqlite3_bind_int64(raw_, next_in_++, v) != SQLITE_OK) fail(db_, "binding");
}

void statement::put(const std::optional<std::int64_t>& v) {
  if (v)
    put(*v);
  else if (sqlite3_bind_null(raw_, next_in_++) != SQLITE_OK)
    fail(db_, "binding");
}

} // namespace postern::sqlite
