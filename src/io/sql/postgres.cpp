#include <postern/base/text.hpp>
#include <postern/io/sql/postgres.hpp>
#include <postern/io/sql/schema.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <libpq-fe.h>
#include <memory>
#include <poll.h>
#include <tuple>
#include <utility>
#include <vector>

namespace postern::postgres {

using namespace std::chrono_literals;

void free_result::operator()(pg_result* r) const { PQclear(r); }

namespace {

constexpr Oid type_bigint = 20, type_text = 25; // their numbers in pg_type, the same in every PostgreSQL

// How long a statement waits for a lock. Other nodes hold their locks for some milliseconds.
constexpr std::chrono::milliseconds max_lock_wait{250};
// An arbitrary number: other programs are unlikely to use it.
constexpr const char* migration_lock = "SELECT pg_advisory_xact_lock(7310868735421280872)";

// libpq's messages end in a line feed and may have several lines.
std::string one_line(const char* message) {
  std::string text(trim_end(message ? message : "", "\n"));
  for (auto at = text.find('\n'); at != text.npos; at = text.find('\n', at)) text.replace(at, 1, "; ");
  return text;
}

// PostgreSQL, appendix A, "Error codes". The first two characters are the class.
transaction_failure kind_of(std::string_view state) {
  const auto kind = state.substr(0, 2);
  if (state == "40001" || state == "40P01" || state == "55P03") return transaction_failure::conflict;
  // Connection ended; statement timeout; a server that became read-only, because another one is the primary now; a
  // server (or a pooler in front of it) that does not know our prepared statements.
  if (kind == "08" || kind == "57" || state == "53300" || state == "25006" || state == "26000" || state == "25P03")
    return transaction_failure::unavailable;
  // Out of resources, input or output error, corruption; a table or a privilege is missing.
  if (kind == "53" || kind == "58" || kind == "XX" || kind == "42") return transaction_failure::broken;
  return transaction_failure::rejected;
}

// Adds what to do when the server answers and does not let us in. libpq's text names neither setting nor remedy.
std::string with_remedy(const std::string& why) {
  const auto says = [&](const char* words) { return why.find(words) != why.npos; };
  if (says("password authentication failed")) return why + "; correct the user and the password in ledger.url";
  if (says("no password supplied")) return why + "; ledger.url needs the user's password";
  if (says("database \"") && says("does not exist"))
    return why + "; create the database, or correct its name in ledger.url";
  if (says("role \"") && says("does not exist")) return why + "; create the role, or correct the user in ledger.url";
  if (says("no pg_hba.conf entry"))
    return why + "; let this machine, user and database in by the server's pg_hba.conf, or correct ledger.url";
  return why;
}

struct free_options {
  void operator()(PQconninfoOption* o) const { PQconninfoFree(o); }
};

// The parameters in the URL. If it cannot be parsed: no parameters, and the reason.
std::unique_ptr<PQconninfoOption, free_options> parse(const std::string& url, std::string& why) {
  char* message = nullptr;
  std::unique_ptr<PQconninfoOption, free_options> options(PQconninfoParse(url.c_str(), &message));
  // libpq quotes a piece of the URL after a colon, which may be a piece of the password.
  why = one_line(message);
  why = why.substr(0, why.find(": \""));
  PQfreemem(message);
  for (const auto* o = options.get(); o && o->keyword; ++o) {
    const std::string_view keyword = o->keyword, value = o->val ? o->val : "";
    if ((keyword != "host" && keyword != "dbname") || value.find('@') == value.npos) continue;
    // An unescaped / or @ in the password moves pieces of it into other parts of the URL.
    why = "a second @, or a / ahead of it";
    return nullptr;
  }
  return options;
}

std::uint64_t swapped(std::uint64_t n) {
  if constexpr (std::endian::native == std::endian::little) return __builtin_bswap64(n);
  return n;
}

// --- a prepared statement ---------------------------------------------------------------------------

class statement final : public sql::statement {
public:
  statement(database& db, std::string text, std::string name)
      : db_(db), text_(std::move(text)), name_(std::move(name)) {}

  void rewind() override {
    result_.reset();
    values_.clear(), numbers_.clear(), lengths_.clear(), formats_.clear(), types_.clear();
  }

  bool step() override {
    if (!result_) {
      run_once();
      row_ = -1;
    }
    column_ = 0;
    return ++row_ < PQntuples(result_.get());
  }

  std::string text() override {
    const int at = column_++;
    return {PQgetvalue(result_.get(), row_, at), static_cast<std::size_t>(PQgetlength(result_.get(), row_, at))};
  }

  std::optional<std::int64_t> integer() override {
    const int at = column_++;
    if (PQgetisnull(result_.get(), row_, at)) return std::nullopt;
    std::uint64_t n = 0;
    if (PQgetlength(result_.get(), row_, at) != sizeof n)
      throw transaction_error(transaction_failure::rejected, "a number of an unexpected type");
    std::memcpy(&n, PQgetvalue(result_.get(), row_, at), sizeof n);
    return static_cast<std::int64_t>(swapped(n));
  }

protected:
  // All values are sent in binary format. The server then rejects text with a NUL instead of truncating it.
  void put(std::string_view v) override {
    values_.push_back(v.data() ? v.data() : "");
    numbers_.push_back(0);
    lengths_.push_back(static_cast<int>(std::min<std::size_t>(v.size(), 0x7fffffff)));
    formats_.push_back(1);
    types_.push_back(type_text);
  }
  void put(std::optional<std::int64_t> v) override {
    values_.push_back(nullptr);
    numbers_.push_back(swapped(static_cast<std::uint64_t>(v.value_or(0))));
    lengths_.push_back(v ? 8 : 0);
    formats_.push_back(1);
    types_.push_back(type_bigint);
  }

private:
  void run_once() {
    const int n = static_cast<int>(values_.size());
    if (prepared_in_ != db_.connection()) {
      db_.answer(PQsendPrepare(db_.raw(), name_.c_str(), text_.c_str(), n, types_.data()));
      prepared_in_ = db_.connection();
    }
    for (std::size_t i = 0; i < values_.size(); ++i)
      if (types_[i] == type_bigint && lengths_[i] == 8) values_[i] = reinterpret_cast<const char*>(&numbers_[i]);
    result_ = db_.answer(
        PQsendQueryPrepared(db_.raw(), name_.c_str(), n, values_.data(), lengths_.data(), formats_.data(), 1));
  }

  database& db_;
  const std::string text_, name_;
  std::uint64_t prepared_in_ = 0; // number of the connection in which it is prepared
  std::vector<const char*> values_;
  std::vector<std::uint64_t> numbers_; // what values_ points to, for numbers
  std::vector<int> lengths_, formats_;
  std::vector<Oid> types_;
  result_ptr result_;
  int row_ = 0, column_ = 0;
};

} // namespace

std::string shown(const std::string& url) {
  std::string why, user, host, port, name;
  const auto options = parse(url, why);
  if (!options) return "postgresql://…";
  for (const auto* o = options.get(); o && o->keyword; ++o) {
    const std::string_view keyword = o->keyword;
    const std::string value = o->val ? o->val : "";
    if (keyword == "user") user = value;
    if (keyword == "host") host = value;
    if (keyword == "port") port = value;
    if (keyword == "dbname") name = value;
  }
  return "postgresql://" + user + (user.empty() ? "" : "@") + host + (port.empty() ? "" : ":") + port + "/" + name;
}

// --- the connection ---------------------------------------------------------------------------------

database::database(std::string url, std::chrono::milliseconds timeout, sql::access as, connects when)
    : url_(std::move(url)), access_(as), usual_timeout_(timeout), timeout_(timeout) {
  std::string why;
  if (!parse(url_, why)) throw transaction_error(transaction_failure::rejected, "the URL cannot be read: " + why);
  if (when == connects::now) connect();
}

database::~database() {
  close_statements();
  disconnect();
}

void database::disconnect() { PQfinish(std::exchange(raw_, nullptr)); }

void database::connect() {
  disconnect();
  const auto seconds = std::to_string(std::max<std::int64_t>(2, usual_timeout_ / 2s));
  const auto milliseconds = std::to_string(usual_timeout_.count());
  // The URL overrides the parameters before it. With several hosts in the URL, the primary is found after a failover.
  const std::array<std::pair<const char*, const char*>, 10> parameters{{{"connect_timeout", seconds.c_str()},
                                                                        {"keepalives_idle", "10"},
                                                                        {"keepalives_interval", "3"},
                                                                        {"keepalives_count", "3"},
                                                                        {"tcp_user_timeout", milliseconds.c_str()},
                                                                        {"target_session_attrs", "primary"},
                                                                        {"fallback_application_name", "postern"},
                                                                        {"dbname", url_.c_str()},
                                                                        {"client_encoding", "UTF8"},
                                                                        {nullptr, nullptr}}};
  std::array<const char*, parameters.size()> names, values;
  for (std::size_t i = 0; i < parameters.size(); ++i) std::tie(names[i], values[i]) = parameters[i];
  raw_ = PQconnectdbParams(names.data(), values.data(), 1);
  if (!raw_) throw transaction_error(transaction_failure::broken, "out of memory");
  if (PQstatus(raw_) != CONNECTION_OK) lose_connection(with_remedy(one_line(PQerrorMessage(raw_))));
  PQsetNoticeProcessor(
      raw_, [](void*, const char*) {}, nullptr);
  if (PQsetnonblocking(raw_, 1) != 0) lose_connection(one_line(PQerrorMessage(raw_)));
  ++connection_;
  // The server's timeout ends before ours, so that its message says why. It also releases the rows that a frozen node
  // has locked. A reply must mean durable data, so synchronous_commit must not be off.
  const auto set_up = "SET search_path = postern; SET default_transaction_isolation = 'read committed'; "
                      "SET statement_timeout = " +
                      std::to_string(usual_timeout_.count() * 7 / 8) +
                      "; SET lock_timeout = " + std::to_string(max_lock_wait.count()) +
                      "; SET idle_in_transaction_session_timeout = " + std::to_string(2 * usual_timeout_.count()) +
                      "; SELECT set_config('synchronous_commit', 'on', false) "
                      "WHERE current_setting('synchronous_commit') = 'off'" +
                      (access_ == sql::access::read_only ? "; SET default_transaction_read_only = on" : "");
  command(set_up.c_str());
}

void database::lose_connection(const std::string& why) {
  disconnect();
  throw transaction_error(transaction_failure::unavailable, why);
}

// Whether the server closed the connection while it was idle. Needs no round trip.
bool database::has_ended() {
  if (!raw_) return true;
  for (pollfd p{PQsocket(raw_), POLLIN, 0}; PQstatus(raw_) == CONNECTION_OK && ::poll(&p, 1, 0) > 0;)
    if (!PQconsumeInput(raw_)) return true;
  return PQstatus(raw_) != CONNECTION_OK;
}

// Waits for the server's reply with a deadline; libpq's own waits have none.
void database::wait_for_reply() {
  const auto until = std::chrono::steady_clock::now() + timeout_;
  for (;;) {
    const int unsent = PQflush(raw_);
    if (unsent < 0) lose_connection(one_line(PQerrorMessage(raw_)));
    if (unsent == 0 && !PQisBusy(raw_)) return;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left <= 0ms) lose_connection("the server did not reply within " + std::to_string(timeout_.count()) + " ms");
    pollfd p{PQsocket(raw_), static_cast<short>(unsent ? POLLIN | POLLOUT : POLLIN), 0};
    if (::poll(&p, 1, static_cast<int>(left.count())) < 0 && errno != EINTR)
      lose_connection("poll: " + std::to_string(errno));
    if ((p.revents & ~POLLOUT) && !PQconsumeInput(raw_)) lose_connection(one_line(PQerrorMessage(raw_)));
  }
}

// The last result of what was sent, or the failure.
result_ptr database::answer(bool sent) {
  if (!raw_) throw transaction_error(transaction_failure::unavailable, "not connected");
  if (!sent) lose_connection(one_line(PQerrorMessage(raw_)));
  result_ptr last, failed;
  for (;;) {
    wait_for_reply();
    result_ptr next(PQgetResult(raw_));
    if (!next) break;
    const auto status = PQresultStatus(next.get());
    const bool good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    (good ? last : failed) = std::move(next);
    if (PQstatus(raw_) != CONNECTION_OK) break;
  }
  if (failed) {
    const char* state = PQresultErrorField(failed.get(), PG_DIAG_SQLSTATE);
    const auto kind = state ? kind_of(state) : transaction_failure::unavailable;
    auto why = one_line(PQresultErrorField(failed.get(), PG_DIAG_MESSAGE_PRIMARY));
    if (why.empty()) why = one_line(PQresultErrorMessage(failed.get())); // an error of libpq itself
    // After a statement timeout the connection still works; after any other such failure it is closed.
    if (PQstatus(raw_) != CONNECTION_OK ||
        (kind == transaction_failure::unavailable && std::string_view(state ? state : "") != "57014"))
      lose_connection(why);
    throw transaction_error(kind, why);
  }
  if (!last) lose_connection("the server closed the connection");
  return last;
}

result_ptr database::command(const char* text) { return answer(PQsendQuery(raw_, text)); }

const sql::dialect& database::get_dialect() const { return ledger_schema::postgres; }

void database::execute(const char* text) { command(text); }

std::unique_ptr<sql::statement> database::prepare(std::string text) {
  return std::make_unique<statement>(*this, std::move(text), "s" + std::to_string(++statements_));
}

// --- transactions -----------------------------------------------------------------------------------

// A single SELECT sees all committed data and needs no transaction. READ WRITE makes a standby server fail at BEGIN
// instead of at the first write.
void database::begin(bool writes) {
  if (has_ended()) connect();
  if (!writes) return;
  const auto since = std::chrono::steady_clock::now();
  for (bool last = false;; last = true) {
    try {
      command("BEGIN READ WRITE");
      in_transaction_ = true;
      return;
    } catch (const transaction_error& e) {
      // Nothing was sent before. The idle connection was dead, or leads to a former primary: connect once more.
      if (last || std::chrono::steady_clock::now() - since > 1s) lose_connection(e.what());
    }
    connect();
  }
}

void database::commit() {
  timeout_ = usual_timeout_;
  if (!std::exchange(in_transaction_, false)) return;
  const auto done = command("COMMIT");
  if (std::string_view(PQcmdStatus(done.get())) != "COMMIT")
    throw transaction_error(transaction_failure::conflict, "the transaction was rolled back");
}

void database::roll_back() noexcept {
  timeout_ = usual_timeout_;
  if (!std::exchange(in_transaction_, false) || !raw_) return;
  try {
    command("ROLLBACK");
  } catch (const transaction_error&) {
    disconnect();
  }
}

// --- the schema's version ---------------------------------------------------------------------------

std::int64_t database::schema_version() {
  if (has_ended()) connect();
  const auto number = [&](const char* text) {
    auto& s = prepared(text);
    const auto n = s.bind().step() ? s.integer().value_or(0) : 0;
    s.rewind();
    return n;
  };
  if (number("SELECT COUNT(*) WHERE to_regclass('postern.schema_version') IS NOT NULL") == 0) return 0;
  return number("SELECT version FROM postern.schema_version");
}

void database::begin_alone() {
  begin(true);
  timeout_ = 10min; // another process may be migrating a large table
  command("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0");
  command(migration_lock);
  // CREATE … IF NOT EXISTS needs the privilege to create even if the object exists; a node has no such privilege.
  command("DO $$ BEGIN IF to_regnamespace('postern') IS NULL THEN CREATE SCHEMA postern; END IF; "
          "IF to_regclass('postern.schema_version') IS NULL THEN "
          "CREATE TABLE postern.schema_version (version BIGINT NOT NULL, one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK "
          "(one)); "
          "END IF; END $$");
}

void database::set_schema_version(std::int64_t v) {
  const auto text = "INSERT INTO postern.schema_version (version) VALUES (" + std::to_string(v) +
                    ") ON CONFLICT (one) DO UPDATE SET version = excluded.version";
  command(text.c_str());
}

} // namespace postern::postgres
