// SQLite, so far as the ledger needs it: a database, statements whose columns are read in order, errors as exceptions
// inside the writer thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace postern::sqlite {

// What SQLite says, with what was being done.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A prepared statement, used again and again: bind in order, step, read in order, and it is reset at the next bind.
class statement {
public:
  statement(sqlite3* db, const char* sql);
  statement(statement&&) noexcept;
  ~statement();

  template <class... A> statement& bind(const A&... values) {
    reset();
    (put(values), ...);
    return *this;
  }
  bool step(); // is there a row?
  void run() {
    while (step()) {
    }
    reset();
  }

  std::string text();
  std::optional<std::int64_t> integer(); // nothing for NULL

  void put(std::string_view v);
  void put(const std::string& v) { put(std::string_view(v)); }
  void put(const char* v) { put(std::string_view(v)); }
  void put(std::int64_t v);
  void put(const std::optional<std::int64_t>& v);
  void reset();

private:
  sqlite3* db_;
  sqlite3_stmt* raw_ = nullptr;
  int next_in_ = 1, next_out_ = 0;
};

class database {
public:
  // Opens or makes the file. `patience`: how long a statement waits for another process that holds the file.
  database(const std::string& path, std::chrono::milliseconds patience);
  ~database();
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  void execute(const char* sql);
  statement prepare(const char* sql) { return {raw_, sql}; }
  bool read_only() const;

private:
  sqlite3* raw_ = nullptr;
};

} // namespace postern::sqlite
