// Reads and writes JSON. simdjson parses a text into json_value objects, which own their content. Writing escapes as
// RFC 8259 §7 requires, and also < > & U+2028 U+2029, so that the text is safe inside an HTML script.
#pragma once

#include <postern/base/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace postern {

// One JSON value. Objects keep the order of their members and may hold a name twice; the caller decides what a repeated
// name means.
class json_value {
public:
  using array = std::vector<json_value>;
  using member = std::pair<std::string, json_value>;
  using object = std::vector<member>;

  json_value() = default; // null
  json_value(bool v) : v_(v) {}
  json_value(std::int64_t v) : v_(v) {}
  json_value(double v) : v_(v) {}
  json_value(std::string v) : v_(std::move(v)) {}
  json_value(array v) : v_(std::move(v)) {}
  json_value(object v) : v_(std::move(v)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(v_); }
  const bool* if_bool() const { return std::get_if<bool>(&v_); }
  const std::int64_t* if_int() const { return std::get_if<std::int64_t>(&v_); } // integral numbers that fit
  const double* if_double() const { return std::get_if<double>(&v_); }          // all others
  const std::string* if_string() const { return std::get_if<std::string>(&v_); }
  const array* if_array() const { return std::get_if<array>(&v_); }
  const object* if_object() const { return std::get_if<object>(&v_); }

  // The first member of that name when this is an object that has it, else nullptr.
  const json_value* find(std::string_view name) const;

private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, array, object> v_;
};

// Reads one whole document of at most 32 levels. errc::bad_request says where and why. Invalid UTF-8 is rejected.
result<json_value> read_json(std::string_view text);

// "text" with quotes, escaped; appended to out. Bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

// Writes one object or array in order, without building a tree: json_writer w; w.begin_object(); w.key("id");
// w.string(id); … The writer adds the commas; the caller must end each object and array that it begins.
class json_writer {
public:
  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }
  void key(std::string_view name);
  void string(std::string_view text);
  void number(std::uint64_t n);
  void boolean(bool b);
  void null();
  void member(std::string_view name, std::string_view text) { key(name), string(text); }
  void member(std::string_view name, const char* text) { key(name), string(text); }
  void member(std::string_view name, const std::string& text) { key(name), string(text); }
  void member(std::string_view name, std::uint64_t n) { key(name), number(n); }
  void reserve(std::size_t n) { out_.reserve(n); }
  std::string take() { return std::move(out_); }

private:
  void open(char c);
  void close(char c);
  void separate();
  std::string out_;
  bool first_ = true;
};

// The document for people: indented by two blanks a level. A short list of texts stays on one line.
std::string indented(const json_value& v);

} // namespace postern
