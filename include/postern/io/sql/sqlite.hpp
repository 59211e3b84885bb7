// One connection to an SQLite file, as an SQL database of a ledger. One thread uses it. With watch(), transactions fail
// while the path no longer names the open file, or the open log beside it (-wal): what is written then would be gone
// after a restart. SQLite itself would go on without an error.
#pragma once

#include <postern/io/file_identity.hpp>
#include <postern/io/sql/database.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

struct sqlite3;

namespace postern::sqlite {

// The file exists and is not an SQLite database.
struct not_a_database : transaction_error {
  using transaction_error::transaction_error;
};

// The files of an open database: the database and its log (-wal). All connections of a ledger share one.
using open_files = std::vector<file_identity>;

class database final : public sql::database {
public:
  // Opens the file, and creates it unless `as` is read_only. `timeout`: how long a statement waits while another
  // connection holds the file's lock. A read_only connection rejects every statement that writes.
  database(const std::string& path, std::chrono::milliseconds timeout, sql::access as = sql::access::read_write);
  ~database() override;
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  // The files that the paths name now. None for a database in memory.
  open_files files() const;
  // From now on each transaction fails while a path names another file than this. nullptr: not watched.
  void watch(std::shared_ptr<const open_files> files) { watched_ = std::move(files); }

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

  void require_files() const;

  sqlite3* raw_ = nullptr;
  std::shared_ptr<const open_files> watched_;
};

} // namespace postern::sqlite
