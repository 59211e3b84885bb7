// One connection to a PostgreSQL server, as an SQL database of a ledger. One thread uses it. If the connection was
// lost, begin() connects again. The tables are in the schema "postern". No wait lasts longer than `timeout`: after it,
// a server that is frozen or behind a broken network counts as unavailable.
#pragma once

#include <postern/io/sql/database.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

struct pg_conn;
struct pg_result;

namespace postern::postgres {

struct free_result {
  void operator()(pg_result* r) const;
};
using result_ptr = std::unique_ptr<pg_result, free_result>;

// The URL's user, host, port and database, for logs and messages. Of a URL that cannot be parsed, nothing is shown: any
// part of it may be a piece of the password.
std::string shown(const std::string& url);

enum class connects { now, at_first_use };

class database final : public sql::database {
public:
  // `url`: as libpq takes it, with its parameters such as sslmode. Throws transaction_error; its text contains no
  // secret. A read_only connection rejects every statement that writes. begin() and migrate() connect where there is
  // no connection.
  database(std::string url, std::chrono::milliseconds timeout, sql::access as = sql::access::read_write,
           connects when = connects::now);
  ~database() override;
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  void begin(bool writes) override;
  void commit() override;
  void roll_back() noexcept override;
  const sql::dialect& get_dialect() const override;
  void execute(const char* text) override;
  std::unique_ptr<sql::statement> prepare(std::string text) override;

  // For the statements: the connection, its number, and the last result of what was sent. A failure is thrown.
  pg_conn* raw() const { return raw_; }
  std::uint64_t connection() const { return connection_; }
  result_ptr answer(bool sent);

private:
  std::int64_t schema_version() override;
  void begin_alone() override;
  void set_schema_version(std::int64_t v) override;

  void connect();
  void disconnect();
  bool has_ended();
  void wait_for_reply();
  [[noreturn]] void lose_connection(const std::string& why);
  result_ptr command(const char* text);

  const std::string url_;
  const sql::access access_;
  const std::chrono::milliseconds usual_timeout_;
  std::chrono::milliseconds timeout_;
  pg_conn* raw_ = nullptr;
  std::uint64_t connection_ = 0, statements_ = 0; // counters
  bool in_transaction_ = false;
};

} // namespace postern::postgres
