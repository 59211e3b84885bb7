// One connection to an SQLite file, as an SQL database of a ledger. One thread uses it.
#pragma once

#include <postern/io/sql/database.hpp>

#include <chrono>
#include <memory>
#include <string>

struct sqlite3;

namespace postern::sqlite {

// The file exists and is not an SQLite database.
struct not_a_database : transaction_error {
  using transaction_error::transaction_error;
};

class database final : public sql::database {
public:
  // Opens the file, and creates it unless `as` is read_only. `timeout`: how long a statement waits while another
  // connection holds the file's lock. A read_only connection rejects every statement that writes.
  database(const std::string& path, std::chrono::milliseconds timeout, sql::access as = sql::access::read_write);
  ~database() override;
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  bool is_read_only() const; // the file, for this user
  // Whether it has tables of another program under the names of the ledger's: they are there without a schema version.
  bool is_foreign();

  void begin(bool writes) override;
  void commit() override;
  void roll_back() noexcept override;
  const sql::dialect& get_dialect() const override;
  void execute(const char* text) override;
  std::unique_ptr<sql::statement> prepare(std::string text) override;

private:
  std::int64_t schema_version() override;
  void begin_alone() override;
  void set_schema_version(std::int64_t v) override;

  sqlite3* raw_ = nullptr;
};

} // namespace postern::sqlite
