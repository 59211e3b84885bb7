#include <postern/io/sql/schema.hpp>
#include <postern/io/sql/sqlite.hpp>

#include <sqlite3.h>

#include <utility>

namespace postern::sqlite {
namespace {

transaction_failure kind_of(int code) {
  switch (code & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED: return transaction_failure::unavailable;
  case SQLITE_FULL:
  case SQLITE_IOERR:
  case SQLITE_READONLY:
  case SQLITE_CANTOPEN:
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
  case SQLITE_NOMEM:
  case SQLITE_PERM: return transaction_failure::broken;
  default: return transaction_failure::rejected;
  }
}

[[noreturn]] void fail(sqlite3* db, const char* doing) {
  if (!db) throw transaction_error(transaction_failure::broken, std::string(doing) + ": out of memory");
  if (sqlite3_errcode(db) == SQLITE_NOTADB)
    throw not_a_database(transaction_failure::broken, std::string(doing) + ": " + sqlite3_errmsg(db));
  throw transaction_error(kind_of(sqlite3_errcode(db)), std::string(doing) + ": " + sqlite3_errmsg(db));
}

class statement final : public sql::statement {
public:
  statement(sqlite3* db, const std::string& text) : db_(db) {
    if (sqlite3_prepare_v3(db, text.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &raw_, nullptr) != SQLITE_OK)
      fail(db, "preparing");
  }
  ~statement() override { sqlite3_finalize(raw_); }
  statement(const statement&) = delete;
  statement& operator=(const statement&) = delete;

  void rewind() override {
    sqlite3_reset(raw_);
    next_in_ = 1;
  }
  bool step() override {
    next_out_ = 0;
    const int code = sqlite3_step(raw_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    const transaction_error why(kind_of(code), std::string("stepping: ") + sqlite3_errmsg(db_));
    sqlite3_reset(raw_); // a running statement would block the rollback
    throw why;
  }
  std::string text() override {
    const int column = next_out_++;
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(raw_, column));
    return bytes ? std::string(bytes, static_cast<std::size_t>(sqlite3_column_bytes(raw_, column))) : std::string{};
  }
  std::optional<std::int64_t> integer() override {
    const int column = next_out_++;
    if (sqlite3_column_type(raw_, column) == SQLITE_NULL) return std::nullopt;
    return sqlite3_column_int64(raw_, column);
  }

protected:
  void put(std::string_view v) override {
    if (sqlite3_bind_text64(raw_, next_in_++, v.data() ? v.data() : "", v.size(), SQLITE_STATIC, SQLITE_UTF8) !=
        SQLITE_OK)
      fail(db_, "binding");
  }
  void put(std::optional<std::int64_t> v) override {
    const int at = next_in_++;
    if ((v ? sqlite3_bind_int64(raw_, at, *v) : sqlite3_bind_null(raw_, at)) != SQLITE_OK) fail(db_, "binding");
  }

private:
  sqlite3* db_;
  sqlite3_stmt* raw_ = nullptr;
  int next_in_ = 1, next_out_ = 0;
};

} // namespace

database::database(const std::string& path, std::chrono::milliseconds timeout, sql::access as) {
  // A reader too opens the file for writing: in WAL mode it must be able to recover the log.
  const bool writes = as == sql::access::read_write;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (writes ? SQLITE_OPEN_CREATE : 0);
  if (sqlite3_open_v2(path.c_str(), &raw_, flags, nullptr) == SQLITE_OK) {
    sqlite3_busy_timeout(raw_, static_cast<int>(timeout.count()));
    if (!writes) execute("PRAGMA query_only = ON");
    return;
  }
  const std::string why = raw_ ? sqlite3_errmsg(raw_) : "out of memory";
  sqlite3_close(raw_);
  throw transaction_error(transaction_failure::broken, "opening: " + why);
}

database::~database() {
  close_statements();
  sqlite3_close(raw_);
}

bool database::is_read_only() const { return sqlite3_db_readonly(raw_, "main") == 1; }

// One statement sees one state of the file, so another process may migrate meanwhile.
bool database::is_foreign() {
  const auto found = prepare("SELECT count(*) FROM sqlite_master, pragma_user_version WHERE user_version = 0 AND "
                             "type = 'table' AND name IN ('uploads', 'webhooks', 'stopped_endpoints')");
  return found->step() && found->integer().value_or(0) > 0;
}

const sql::dialect& database::get_dialect() const { return ledger_schema::sqlite; }

void database::execute(const char* text) {
  if (sqlite3_exec(raw_, text, nullptr, nullptr, nullptr) != SQLITE_OK) fail(raw_, "executing");
}

std::unique_ptr<sql::statement> database::prepare(std::string text) { return std::make_unique<statement>(raw_, text); }

open_files database::files() const {
  open_files all;
  const char* const path = sqlite3_db_filename(raw_, "main");
  if (!path || !*path) return all;
  for (const char* const name : {path, sqlite3_filename_wal(path)})
    if (auto file = file_identity::of(name)) all.push_back(std::move(*file));
  return all;
}

void database::require_files() const {
  if (!watched_) return;
  for (const auto& file : *watched_)
    if (auto same = file.check(); !same)
      throw transaction_error(transaction_failure::broken,
                              same.error().on + "; what is recorded now would be lost at the next start. Move the file "
                                                "back, or stop Postern (SIGTERM), restore the file and start Postern");
}

// A transaction that only reads takes no lock, so it does not wait while another connection writes.
void database::begin(bool writes) {
  require_files();
  prepared(writes ? "BEGIN IMMEDIATE" : "BEGIN").run();
}
// The check comes behind the commit: nothing is acknowledged that was written to a file which had gone before.
void database::commit() {
  prepared("COMMIT").run();
  require_files();
}
void database::roll_back() noexcept {
  // After some errors SQLite has rolled back already.
  if (!sqlite3_get_autocommit(raw_)) sqlite3_exec(raw_, "ROLLBACK", nullptr, nullptr, nullptr);
}

std::int64_t database::schema_version() {
  auto& s = prepared("PRAGMA user_version");
  const auto version = s.bind().step() ? s.integer().value_or(0) : 0;
  s.rewind();
  return version;
}
void database::begin_alone() { begin(true); }
void database::set_schema_version(std::int64_t v) { execute(("PRAGMA user_version = " + std::to_string(v)).c_str()); }

} // namespace postern::sqlite
