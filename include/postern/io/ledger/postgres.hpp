// PostgreSQL as an SQL database of a ledger: one connection, made anew by begin() when it was lost. Its tables are in a
// schema of their own, "postern". No wait lasts longer than `patience`: a server that is frozen, or behind a network
// that swallows everything, counts as away.
#pragma once

#include <postern/io/ledger/sql.hpp>

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

// The URL as it may be shown: user, host, port and database, nothing secret, whatever else is in it or wrong with it.
std::string shown(const std::string& url);

class database final : public sql::database {
public:
  // `url`: as libpq takes it, sslmode and all. Connects. Throws transaction_error, in whose text nothing is secret.
  database(std::string url, std::chrono::milliseconds patience);
  ~database() override;
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  void begin(bool writes) override;
  void commit() override;
  void roll_back() noexcept override;
  const sql::dialect& speaks() const override;
  void execute(const char* text) override;
  std::unique_ptr<sql::statement> prepare(std::string text) override;

  // For its statements: the connection, and which one it is; what was sent is answered, or thrown.
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
  void wait();
  [[noreturn]] void lost(const std::string& why);
  result_ptr command(const char* text);

  const std::string url_;
  const std::chrono::milliseconds usual_patience_;
  std::chrono::milliseconds patience_;
  pg_conn* raw_ = nullptr;
  std::uint64_t connection_ = 0, statements_ = 0; // made so far
  bool writing_ = false;                          // a transaction is open
};

} // namespace postern::postgres
