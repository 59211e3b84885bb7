#include <postern/base/json.hpp>
#include <postern/base/text.hpp>

#include <simdjson.h>

#include <charconv>
#include <new>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace postern {
namespace {

json_value to_value(const simdjson::dom::element& e) {
  using type = simdjson::dom::element_type;
  switch (e.type()) {
  case type::OBJECT: {
    json_value::object members;
    for (const auto& [name, value] : simdjson::dom::object(e)) members.emplace_back(std::string(name), to_value(value));
    return members;
  }
  case type::ARRAY: {
    json_value::array items;
    for (const auto& item : simdjson::dom::array(e)) items.push_back(to_value(item));
    return items;
  }
  case type::STRING: return std::string(std::string_view(e));
  case type::INT64: return std::int64_t(e);
  case type::UINT64: return static_cast<double>(std::uint64_t(e)); // only numbers that do not fit into an int64
  case type::DOUBLE: return double(e);
  case type::BOOL: return bool(e);
  case type::NULL_VALUE: break;
  }
  return {};
}

} // namespace

const json_value* json_value::find(std::string_view name) const {
  if (const auto* members = if_object())
    for (const auto& [n, v] : *members)
      if (n == name) return &v;
  return nullptr;
}

result<json_value> read_json(std::string_view text) {
  thread_local simdjson::dom::parser parser;
  // Without memory the text is not to blame. simdjson throws nothing.
  const auto fail = [](simdjson::error_code e) {
    if (e == simdjson::MEMALLOC) throw std::bad_alloc();
    return failure{errc::bad_request, std::string("JSON: ") + simdjson::error_message(e)};
  };
  const simdjson::padded_string padded(text);
  if (!padded.data()) throw std::bad_alloc();
  const auto capacity = std::max<std::size_t>(text.size(), 64);
  if (parser.capacity() < capacity || parser.max_depth() != 32)
    if (const auto e = parser.allocate(capacity, 32)) return fail(e);
  simdjson::dom::element root;
  if (const auto e = parser.parse(padded).get(root)) return fail(e);
  return to_value(root);
}

namespace {

// Can this byte stay unescaped in JSON and in HTML?
constexpr bool is_plain(unsigned char c) {
  return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

// The position of the first byte from `at` on that must be escaped. Nearly all text is plain, so sixteen bytes are
// examined at a time.
std::size_t first_special(std::string_view text, std::size_t at) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
#ifdef __SSE2__
  const auto all = [](int c) { return _mm_set1_epi8(static_cast<char>(c)); };
  for (; at + 16 <= text.size(); at += 16) {
    const auto v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + at));
    auto special = _mm_cmplt_epi8(v, all(0x20)); // signed: bytes from 0x80 on are below 0x20 too
    for (const char c : {'"', '\\', '&', '\x7f'}) special = _mm_or_si128(special, _mm_cmpeq_epi8(v, all(c)));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(_mm_or_si128(v, all(2)), all('>'))); // '<' is '>' without this bit
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(special));
    if (mask) return at + static_cast<std::size_t>(__builtin_ctz(mask));
  }
#endif
  while (at < text.size() && is_plain(bytes[at])) ++at;
  return at;
}

} // namespace

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0; // where the run of plain bytes begins
  const auto flush = [&](std::size_t end, std::string_view instead, std::size_t length) {
    out.append(text.substr(plain, end - plain)).append(instead);
    plain = end + length;
  };
  for (std::size_t i = first_special(text, 0); i < text.size(); i = first_special(text, i)) {
    const auto c = static_cast<unsigned char>(text[i]);
    std::size_t length = 1;
    if (c == '"')
      flush(i, "\\\"", 1);
    else if (c == '\\')
      flush(i, "\\\\", 1);
    else if (c == '\n')
      flush(i, "\\n", 1);
    else if (c == '\r')
      flush(i, "\\r", 1);
    else if (c == '\t')
      flush(i, "\\t", 1);
    else if (c < 0x20 || c == '<' || c == '>' || c == '&' || c == 0x7f) {
      const char escape[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
      flush(i, {escape, 6}, 1);
    } else if (c >= 0x80) {
      length = utf8_sequence(text.substr(i));
      const auto character = text.substr(i, length);
      if (length == 0)
        flush(i, "\xef\xbf\xbd", length = 1);
      else if (character == "\xe2\x80\xa8")
        flush(i, "\\u2028", 3); // a line end in JavaScript, but not in JSON
      else if (character == "\xe2\x80\xa9")
        flush(i, "\\u2029", 3);
    }
    i += length;
  }
  out.append(text.substr(plain)) += '"';
}

void json_writer::separate() {
  if (!first_) out_ += ',';
  first_ = false;
}

void json_writer::open(char c) {
  separate();
  out_ += c;
  first_ = true;
}

void json_writer::close(char c) {
  out_ += c;
  first_ = false;
}

void json_writer::key(std::string_view name) {
  separate();
  append_json_string(out_, name);
  out_ += ':';
  first_ = true; // the key's value follows without a comma
}

void json_writer::string(std::string_view text) {
  separate();
  append_json_string(out_, text);
}

void json_writer::number(std::uint64_t n) {
  separate();
  char digits[20];
  out_.append(digits, std::to_chars(digits, digits + sizeof digits, n).ptr);
}

void json_writer::boolean(bool b) {
  separate();
  out_ += b ? "true" : "false";
}

void json_writer::null() {
  separate();
  out_ += "null";
}

// --- for people -------------------------------------------------------------------------------------

namespace {

constexpr std::size_t longest_list = 60;

// The shortest digits that are parsed as the same number. The text must not look like an integer, because parsers
// reject integers of more than 64 bits.
std::string shortest(double d) {
  char digits[32];
  std::string out(digits, std::to_chars(digits, digits + sizeof digits, d).ptr);
  return out.find_first_of(".e") == out.npos ? out + ".0" : out;
}

std::string scalar_text(const json_value& v) {
  std::string out;
  if (const auto* text = v.if_string())
    append_json_string(out, *text);
  else if (const auto* i = v.if_int())
    out = std::to_string(*i);
  else if (const auto* d = v.if_double())
    out = shortest(*d);
  else if (const auto* b = v.if_bool())
    out = *b ? "true" : "false";
  else
    out = "null";
  return out;
}

// "[a, b]" when all items are scalars and the text is short; else empty.
std::string on_one_line(const json_value::array& items) {
  std::string out = "[";
  for (const auto& item : items) {
    if (item.if_object() || item.if_array()) return {};
    out.append(out.size() > 1 ? ", " : "").append(scalar_text(item));
  }
  return out.size() < longest_list ? out + "]" : std::string{};
}

void append_indented(std::string& out, const json_value& v, std::size_t level) {
  const auto line = [&](bool first, std::size_t depth) { out.append(first ? "\n" : ",\n").append(depth * 2, ' '); };
  if (const auto* members = v.if_object(); members && !members->empty()) {
    out += '{';
    for (const auto& m : *members) {
      line(&m == &members->front(), level + 1);
      append_json_string(out, m.first);
      out += ": ";
      append_indented(out, m.second, level + 1);
    }
    line(true, level);
    out += '}';
  } else if (members) {
    out += "{}";
  } else if (const auto* items = v.if_array()) {
    if (const auto short_list = on_one_line(*items); !short_list.empty()) return void(out += short_list);
    out += '[';
    for (const auto& item : *items) {
      line(&item == &items->front(), level + 1);
      append_indented(out, item, level + 1);
    }
    line(true, level);
    out += ']';
  } else {
    out += scalar_text(v);
  }
}

} // namespace

std::string indented(const json_value& v) {
  std::string out;
  append_indented(out, v, 0);
  return out;
}

} // namespace postern
