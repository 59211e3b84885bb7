// SQLite as an SQL database of a ledger: one file, in WAL mode where the file allows.
#pragma once

#include <postern/io/ledger/sql.hpp>

#include <chrono>
#include <memory>
#include <string>

struct sqlite3;

namespace postern::sqlite {

class database final : public sql::database {
public:
  // Opens or makes the file. `patience`: how long a statement waits for another process that holds the file.
  database(const std::string& path, std::chrono::milliseconds patience);
  ~database() override;
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  bool read_only() const;

  void begin(bool writes) override;
  void commit() override;
  void roll_back() noexcept override;
  const sql::dialect& speaks() const override;
  void execute(const char* text) override;
  std::unique_ptr<sql::statement> prepare(std::string text) override;

private:
  std::int64_t schema_version() override;
  void begin_alone() override;
  void set_schema_version(std::int64_t v) override;

  sqlite3* raw_ = nullptr;
};

} // namespace postern::sqlite
