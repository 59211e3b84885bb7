#include <postern/base/json.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/io/sqlite.hpp>
#include <postern/io/sqlite_ledger.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

namespace postern {
namespace {

metrics::gauge queued("postern_ledger_queue", "Calls waiting for the ledger's writer", "");
metrics::histogram commit_seconds("postern_ledger_commit_seconds", "Time of one transaction", "");
metrics::counter dropped("postern_ledger_dropped_total", "Facts written behind that could not be written", "");

// Each text brings the schema from the version of its place to the next. Never changed once released, only added to.
constexpr std::array schema{
    R"(CREATE TABLE uploads (
         id TEXT PRIMARY KEY, state TEXT NOT NULL, profile TEXT NOT NULL, user TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL,
         metadata TEXT NOT NULL, min_size INTEGER NOT NULL, max_size INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
         size INTEGER, etag TEXT NOT NULL DEFAULT '', crc32c INTEGER, completed_at INTEGER, completed_by TEXT NOT NULL DEFAULT '',
         overwritten_at INTEGER, failed_because TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;
       CREATE INDEX uploads_by_state ON uploads (state, id);
       CREATE INDEX uploads_open ON uploads (expires_at) WHERE state IN ('issued', 'receiving');)",
};

const std::string remedy_writable = ". Name a file in a folder that this user may write to.";

struct too_new : sqlite::error {
  using error::error;
};

constexpr const char* all_columns =
    "id, state, profile, user, bucket, key, metadata, min_size, max_size, created_at, expires_at, "
    "size, etag, crc32c, completed_at, completed_by, overwritten_at, failed_because";

std::int64_t as_integer(millis_clock t) { return t.time_since_epoch().count(); }
millis_clock as_time(std::int64_t n) { return millis_clock{std::chrono::milliseconds{n}}; }

std::string metadata_text(const upload& u) {
  if (u.metadata.empty()) return "{}";
  json_writer w;
  w.begin_object();
  for (const auto& [name, value] : u.metadata) w.member(name, value);
  w.end_object();
  return w.take();
}

std::vector<std::pair<std::string, std::string>> read_metadata(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  if (text == "{}") return out;
  if (auto v = read_json(text))
    if (const auto* members = v->if_object())
      for (const auto& [name, value] : *members)
        if (const auto* s = value.if_string()) out.emplace_back(name, *s);
  return out;
}

upload read_row(sqlite::statement& s) {
  upload u;
  u.id = s.text();
  u.state = upload_state_of(s.text()).value_or(upload_state::failed);
  u.profile = s.text();
  u.user = s.text();
  u.bucket = s.text();
  u.key = s.text();
  u.metadata = read_metadata(s.text());
  u.min_size = static_cast<std::uint64_t>(s.integer().value_or(0));
  u.max_size = static_cast<std::uint64_t>(s.integer().value_or(0));
  u.created_at = as_time(s.integer().value_or(0));
  u.expires_at = as_time(s.integer().value_or(0));
  if (const auto n = s.integer()) u.size = static_cast<std::uint64_t>(*n);
  u.etag = s.text();
  if (const auto n = s.integer()) u.crc32c = static_cast<std::uint32_t>(*n);
  if (const auto n = s.integer()) u.completed_at = as_time(*n);
  u.completed_by = evidence_of(s.text());
  if (const auto n = s.integer()) u.overwritten_at = as_time(*n);
  u.failed_because = s.text();
  return u;
}

// --- the rows ---------------------------------------------------------------------------------------

// What the transactions are made of. Used by the writer thread alone.
class rows {
public:
  rows(const std::string& path, std::chrono::milliseconds patience) : db_(path, patience) {
    if (db_.read_only()) throw sqlite::error("it may only be read");
    db_.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;");
    migrate();
    insert_.emplace(db_.prepare("INSERT OR IGNORE INTO uploads (id, state, profile, user, bucket, key, metadata, "
                                "min_size, max_size, created_at, expires_at) "
                                "VALUES (?,?,?,?,?,?,?,?,?,?,?)"));
    find_.emplace(db_.prepare((std::string("SELECT ") + all_columns + " FROM uploads WHERE id = ?").c_str()));
    set_state_.emplace(db_.prepare("UPDATE uploads SET state = ?, failed_because = ? WHERE id = ?"));
    complete_.emplace(db_.prepare("UPDATE uploads SET state = 'completed', failed_because = '', key = ?, size = ?, "
                                  "etag = ?, crc32c = ?, completed_at = ?, "
                                  "completed_by = ? WHERE id = ?"));
    overwrite_.emplace(db_.prepare("UPDATE uploads SET overwritten_at = ? WHERE id = ?"));
  }

  // Reading alone takes no lock, so that another process can look on while this one writes.
  void begin(bool writes) { db_.execute(writes ? "BEGIN IMMEDIATE" : "BEGIN"); }
  void commit() { db_.execute("COMMIT"); }
  void roll_back() noexcept {
    try {
      db_.execute("ROLLBACK");
    } catch (const sqlite::error&) {
      // SQLite has rolled back by itself already.
    }
  }

  void insert(const upload& u, upload_state state) {
    const auto metadata = metadata_text(u);
    insert_->bind(u.id, name_of(state), u.profile, u.user, u.bucket, u.key, metadata,
                  static_cast<std::int64_t>(u.min_size), static_cast<std::int64_t>(u.max_size),
                  as_integer(u.created_at), as_integer(u.expires_at));
    insert_->run();
  }

  std::optional<upload> find(const std::string& id) {
    find_->bind(id);
    auto found = find_->step() ? std::optional(read_row(*find_)) : std::nullopt;
    find_->reset();
    return found;
  }

  // The row as it is, made when it was not there.
  upload get(const upload& u, upload_state state) {
    insert(u, state);
    return *find(u.id);
  }

  void set_state(const upload& u, upload_state to, std::string_view because) {
    const auto now = get(u, upload_state::issued);
    if (!may_follow(now.state, to)) return;
    set_state_->bind(name_of(to), because, u.id);
    set_state_->run();
  }

  upload confirm(const completion& c) {
    auto of = c.of;
    if (of.created_at == millis_clock{}) of.created_at = c.at; // where nothing was known of it before
    const auto known = get(of, upload_state::issued);
    if (known.state != upload_state::completed) {
      const auto crc = c.crc32c ? std::optional<std::int64_t>(*c.crc32c) : std::nullopt;
      complete_->bind(c.of.key, static_cast<std::int64_t>(c.size), c.etag, crc, as_integer(c.at), name_of(c.by),
                      c.of.id);
      complete_->run();
    } else if (known.etag != c.etag && !known.overwritten_at) {
      overwrite_->bind(as_integer(c.at), c.of.id);
      overwrite_->run();
    }
    return *find(c.of.id);
  }

  std::vector<upload> list(const upload_filter& f) {
    std::string sql = std::string("SELECT ") + all_columns + " FROM uploads WHERE id > ?1";
    if (f.state) sql += " AND state = ?2";
    if (f.since) sql += " AND created_at >= ?3";
    sql += " ORDER BY id LIMIT ?4";
    auto s = db_.prepare(sql.c_str());
    const auto since = f.since ? as_integer(*f.since) : 0;
    s.bind(f.after_id, f.state ? name_of(*f.state) : std::string_view{}, since,
           static_cast<std::int64_t>(std::min<std::size_t>(f.limit, std::numeric_limits<std::int64_t>::max())));
    std::vector<upload> found;
    while (s.step()) found.push_back(read_row(s));
    return found;
  }

private:
  void migrate() {
    const auto version = [&] {
      auto s = db_.prepare("PRAGMA user_version");
      return s.step() ? s.integer().value_or(0) : 0;
    };
    const auto newest = static_cast<std::int64_t>(schema.size());
    if (version() > newest)
      throw too_new("it was written by a newer version of this program. Use that one, or name another file.");
    if (version() == newest) return;
    begin(true); // only then is it certain that no other process migrates
    for (auto at = version(); at < newest; ++at) db_.execute(schema[static_cast<std::size_t>(at)]);
    db_.execute(("PRAGMA user_version = " + std::to_string(newest)).c_str());
    commit();
  }

  sqlite::database db_;
  std::optional<sqlite::statement> insert_, find_, set_state_, complete_, overwrite_;
};

// --- the ledger -------------------------------------------------------------------------------------

// One call that waits for the writer. `work` runs inside the transaction; `answer` after it, with why it failed or
// nothing.
struct call {
  std::function<void(rows&)> work;
  std::function<void(const failure*)> answer; // empty: written behind
  bool writes = true;
};

class sqlite_ledger final : public ledger {
public:
  explicit sqlite_ledger(sqlite_ledger_options options)
      : options_(std::move(options)), rows_(options_.path, options_.patience), writer_([this] { write(); }) {}

  ~sqlite_ledger() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    writer_.join();
  }

  void issue(upload u) override {
    behind([u = std::move(u)](rows& r) { r.insert(u, upload_state::issued); });
  }
  void receiving(upload u) override {
    behind([u = std::move(u)](rows& r) { r.set_state(u, upload_state::receiving, ""); });
  }
  task<result<upload>> confirm(completion c) override {
    return ask<upload>(writing, [c = std::move(c)](rows& r) -> result<upload> { return r.confirm(c); });
  }
  task<result<upload>> fail(upload u, std::string code) override {
    return ask<upload>(writing, [u = std::move(u), code = std::move(code)](rows& r) -> result<upload> {
      r.set_state(u, upload_state::failed, code);
      return *r.find(u.id);
    });
  }
  task<result<upload>> find(std::string id) override {
    return ask<upload>(reading, [id = std::move(id)](rows& r) -> result<upload> {
      auto found = r.find(id);
      if (!found) return failure{errc::not_found, "the upload"};
      return std::move(*found);
    });
  }
  task<result<std::vector<upload>>> list(upload_filter filter) override {
    return ask<std::vector<upload>>(
        reading, [filter = std::move(filter)](rows& r) -> result<std::vector<upload>> { return r.list(filter); });
  }
  task<result<void>> probe() override {
    std::function<result<bool>(rows&)> nothing = [](rows&) -> result<bool> { return true; };
    auto asked = co_await ask<bool>(writing, std::move(nothing));
    if (!asked) co_return asked.error();
    co_return result<void>{};
  }

private:
  static constexpr bool reading = false, writing = true;

  // Wakes the writer only for what changes its mind: the first call, one that is waited for, a batch that is full.
  bool push(call c) {
    bool wake = false;
    {
      std::lock_guard lock(mutex_);
      if (queue_.size() >= options_.queue) return false;
      const bool first_awaited = c.answer && !std::exchange(awaited_, true);
      queue_.push_back(std::move(c));
      wake = first_awaited || queue_.size() == 1 || queue_.size() == options_.batch;
    }
    queued.add(1);
    if (wake) wake_.notify_one();
    return true;
  }

  void behind(std::function<void(rows&)> work) {
    const bool taken = push({std::move(work), nullptr});
    const bool dropping = dropping_.exchange(!taken, std::memory_order_relaxed);
    if (taken) return;
    dropped.add();
    if (!dropping) log::warning("ledger queue full, facts are dropped"); // once for all that are lost in a row
  }

  template <class T> task<result<T>> ask(bool writes, std::function<result<T>(rows&)> work) {
    const auto start = [this, writes, &work](auto reply) {
      // Kept between the transaction and its commit: nothing is answered that is not durable.
      auto kept = std::make_shared<std::optional<result<T>>>();
      call c;
      c.work = [work = std::move(work), kept](rows& r) { kept->emplace(work(r)); };
      c.answer = [reply, kept](const failure* why) mutable { reply(why ? result<T>(*why) : std::move(**kept)); };
      c.writes = writes;
      if (!push(std::move(c))) reply(result<T>(failure{errc::unavailable, "the ledger has too much to do"}));
    };
    co_return co_await reply_from<result<T>>(start);
  }

  // The writer thread: what has queued up while one transaction ran is the next one.
  void write() {
    std::vector<call> batch;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        wake_.wait_for(lock, options_.linger, [&] { return stopping_ || awaited_ || queue_.size() >= options_.batch; });
        const auto n = std::min(queue_.size(), options_.batch);
        batch.assign(std::make_move_iterator(queue_.begin()),
                     std::make_move_iterator(queue_.begin() + static_cast<std::ptrdiff_t>(n)));
        queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(n));
        awaited_ = awaited_ && !queue_.empty();
      }
      queued.add(-static_cast<std::int64_t>(batch.size()));
      commit(batch);
      batch.clear();
    }
  }

  void commit(std::vector<call>& batch) {
    const auto why = attempt(batch);
    for (auto& c : batch)
      if (c.answer) c.answer(why ? &*why : nullptr);
    if (!why) return;
    log::error("ledger transaction failed", {{"why", why->on}, {"calls", batch.size()}});
    // Nobody waits for these, so nobody else will try again; a disk can be full or a file locked for a moment.
    std::erase_if(batch, [](const call& c) { return static_cast<bool>(c.answer); });
    if (batch.empty() || !attempt(batch)) return;
    dropped.add(batch.size());
    log::error("ledger: facts written behind are lost", {{"calls", batch.size()}});
  }

  std::optional<failure> attempt(std::vector<call>& batch) {
    const auto since = std::chrono::steady_clock::now();
    const bool writes = std::any_of(batch.begin(), batch.end(), [](const call& c) { return c.writes; });
    try {
      rows_.begin(writes);
      try {
        for (auto& c : batch) c.work(rows_);
        rows_.commit();
      } catch (...) {
        rows_.roll_back();
        throw; // the cause, not what undoing it may say
      }
    } catch (const std::exception& e) {
      return failure{errc::ledger_failed, e.what()};
    }
    if (writes) commit_seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count());
    return std::nullopt;
  }

  const sqlite_ledger_options options_;
  rows rows_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<call> queue_;
  bool stopping_ = false;
  bool awaited_ = false; // somebody waits for a call in the queue
  std::atomic<bool> dropping_{false};
  std::thread writer_; // last: it uses all of the above
};

} // namespace

std::unique_ptr<ledger> make_sqlite_ledger(sqlite_ledger_options options) {
  const std::filesystem::path path(options.path);
  const auto cannot = [&](const std::string& why) {
    return std::runtime_error("ledger.url: the database \"" + options.path + "\" cannot be used: " + why);
  };
  std::error_code ec;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ec);
  if (ec) throw cannot(ec.message() + remedy_writable);
  try {
    return std::make_unique<sqlite_ledger>(options);
  } catch (const too_new& e) {
    throw cannot(e.what());
  } catch (const sqlite::error& e) {
    throw cannot(e.what() + remedy_writable);
  }
}

} // namespace postern
