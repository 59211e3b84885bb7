// A connection to an SQL database and its prepared statements, so far as a ledger needs them. SQLite and PostgreSQL
// implement it. Used by one thread. Failures are thrown as transaction_error.
//
// Statements are written in the SQL that both understand: parameters are $1, $2 … and appear first in that order (for
// SQLite these are names, numbered as they appear), ON CONFLICT, RETURNING. What is not the same in both is in
// `dialect`, and nowhere else.
#pragma once

#include <postern/io/ledger/group_commit.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace postern::sql {

// Used again and again: bind all parameters in order, step through the rows, read each row's columns in order. It is
// rewound at the next bind. What is bound must live until the first step. Numbers are 64 bits, text is UTF-8.
class statement {
public:
  virtual ~statement() = default;

  template <class... A> statement& bind(const A&... values) {
    rewind();
    (put(values), ...);
    return *this;
  }
  virtual bool step() = 0; // is there a row?
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

// Where the databases differ.
struct dialect {
  // Each text brings the schema from the version of its place to the next. Never changed once released, only added to.
  std::span<const char* const> schema;
  // Behind a SELECT of rows that are to be held: those that another node is holding just now are left to it.
  const char* for_update_skip_locked;
};

class database : public transactions {
public:
  virtual const dialect& speaks() const = 0;
  virtual void execute(const char* text) = 0; // one or more statements without parameters

  // The statement of that text, prepared once; it lives as long as this.
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

  // Brings the schema to the newest version. One process does it at a time, the others wait. Throws schema_too_new.
  void migrate();

protected:
  virtual std::unique_ptr<statement> prepare(std::string text) = 0;
  virtual std::int64_t schema_version() = 0; // 0: there is none yet
  virtual void begin_alone() = 0;            // a transaction in which no other process migrates
  virtual void set_schema_version(std::int64_t v) = 0;
  void forget_prepared() { prepared_.clear(); }

private:
  struct hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, std::unique_ptr<statement>, hash, std::equal_to<>> prepared_;
};

struct schema_too_new : transaction_error {
  schema_too_new() : transaction_error(trouble::broken, "it was written by a newer version of this program") {}
};

} // namespace postern::sql
