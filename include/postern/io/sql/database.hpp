// A connection to an SQL database and its prepared statements, as far as a ledger needs them. SQLite and PostgreSQL
// implement it. One thread uses a connection. All functions throw transaction_error.
//
// Statements are written in SQL that both databases understand: parameters are $1, $2 … and first appear in that order
// (SQLite takes these for names and numbers them as they appear), ON CONFLICT, RETURNING. `dialect` holds every
// difference between the databases.
#pragma once

#include <postern/io/sql/transaction.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace postern::sql {

// A prepared statement, used many times: bind all parameters in order, step through the rows, read the columns of each
// row in order. bind() rewinds. A bound value must live until the first step. Numbers have 64 bits; text is UTF-8.
class statement {
public:
  virtual ~statement() = default;

  template <class... A> statement& bind(const A&... values) {
    rewind();
    (put(values), ...);
    return *this;
  }
  virtual bool step() = 0; // whether there is a next row
  void run() {
    while (step()) {
    }
    rewind();
  }

  virtual std::string text() = 0;                    // empty for NULL
  virtual std::optional<std::int64_t> integer() = 0; // nothing for NULL
  virtual void rewind() = 0;

protected:
  virtual void put(std::string_view v) = 0;
  virtual void put(std::optional<std::int64_t> v) = 0;
  void put(const std::string& v) { put(std::string_view(v)); }
  void put(const char* v) { put(std::string_view(v)); }
  void put(std::int64_t v) { put(std::optional(v)); }
};

// The differences between the databases.
struct dialect {
  // Step n migrates the schema from version n to version n + 1. A released step never changes.
  std::span<const char* const> schema;
  // At the end of a SELECT whose rows are to be leased: rows that another node is leasing now are skipped.
  const char* for_update_skip_locked;
  // A condition: the column id is in the JSON array $1.
  const char* id_in_json;
  // Several nodes may write to one database. Statements that only they need are written for PostgreSQL.
  bool has_several_nodes;
};

enum class access { read_write, read_only };

class database : public transactions {
public:
  virtual const dialect& get_dialect() const = 0;
  virtual void execute(const char* text) = 0; // one or more statements without parameters

  // The statement with this text. It is prepared once and lives as long as the database object.
  statement& prepared(std::string_view text) {
    const auto found = prepared_.find(text);
    if (found != prepared_.end()) return *found->second;
    auto made = prepare(std::string(text));
    return *prepared_.emplace(std::string(text), std::move(made)).first->second;
  }
  std::vector<std::string> prepared_texts() const {
    std::vector<std::string> texts;
    for (const auto& [text, made] : prepared_) texts.push_back(text);
    return texts;
  }

  // Migrates the schema to the newest version. One process migrates at a time; others wait. Throws schema_too_new.
  void migrate();

protected:
  virtual std::unique_ptr<statement> prepare(std::string text) = 0;
  virtual std::int64_t schema_version() = 0; // 0: no schema yet
  virtual void begin_alone() = 0;            // begins a transaction during which no other process migrates
  virtual void set_schema_version(std::int64_t v) = 0;
  void close_statements() { prepared_.clear(); }

private:
  struct hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, std::unique_ptr<statement>, hash, std::equal_to<>> prepared_;
};

struct schema_too_new : transaction_error {
  schema_too_new(std::int64_t found, std::int64_t known)
      : transaction_error(transaction_failure::broken,
                          "its schema has version " + std::to_string(found) + ", this program knows versions up to " +
                              std::to_string(known) + "; a newer version of this program has migrated it") {}
};

} // namespace postern::sql
