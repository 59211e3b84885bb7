#include <postern/base/text.hpp>
#include <postern/core/http/framing.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace postern {
namespace {

failure bad(std::string_view what) { return failure{errc::bad_request, std::string(what)}; }

// RFC 9110 §5.6.2
constexpr auto token_bytes = [] {
  std::array<bool, 256> t{};
  for (unsigned char c = '0'; c <= '9'; ++c) t[c] = true;
  for (unsigned char c = 'a'; c <= 'z'; ++c) t[c] = t[c - 'a' + 'A'] = true;
  for (unsigned char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) t[c] = true;
  return t;
}();

bool is_token(std::string_view s) {
  return !s.empty() &&
         std::all_of(s.begin(), s.end(), [](char c) { return token_bytes[static_cast<unsigned char>(c)]; });
}

// Tab, blank, visible characters, and bytes over 127.
bool is_field_text(std::string_view s) {
  return std::all_of(s.begin(), s.end(),
                     [](char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); });
}

// The values of the fields, collected line by line.
struct findings {
  framing answer;
  bool version_1_0 = false;
  unsigned hosts = 0, lengths = 0, encodings = 0;
  std::size_t fields = 0;
};

result<void> read_request_line(std::string_view line, findings& f) {
  const auto first = line.find(' ');
  const auto second = first == line.npos ? line.npos : line.find(' ', first + 1);
  if (second == line.npos || !is_token(line.substr(0, first)) || second == first + 1)
    return bad("the request line is malformed");
  const auto target = line.substr(first + 1, second - first - 1);
  if (!std::all_of(target.begin(), target.end(), [](char c) { return c > 0x20 && c < 0x7f; }))
    return bad("the request target is malformed");
  const auto version = line.substr(second + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return bad("the HTTP version must be 1.0 or 1.1");
  f.version_1_0 = version == "HTTP/1.0";
  f.answer.keep_alive = !f.version_1_0;
  return {};
}

result<void> read_length(std::string_view value, findings& f) {
  if (++f.lengths > 1) return bad("there are two Content-Length fields");
  const auto length = value.size() <= 18 ? parse_number(value) : std::nullopt;
  if (!length) return bad("Content-Length must be one number");
  f.answer.length = *length;
  f.answer.body = framing::body_kind::sized;
  return {};
}

// RFC 9112 §9.3. An HTTP/1.0 connection is never kept alive. An HTTP/1.1 connection is, unless an option is close.
result<void> read_connection(std::string_view value, framing& answer) {
  while (!value.empty()) {
    const auto comma = value.find(',');
    const auto option = trim(value.substr(0, comma));
    if (!option.empty() && !is_token(option)) return bad("a Connection option is malformed");
    if (iequals(option, "close")) answer.keep_alive = false;
    value = comma == value.npos ? std::string_view{} : value.substr(comma + 1);
  }
  return {};
}

bool is_host(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    return token_bytes[static_cast<unsigned char>(c)] || c == ':' || c == '[' || c == ']';
  });
}

result<void> read_field(std::string_view line, findings& f) {
  if (line.front() == ' ' || line.front() == '\t') return bad("a header line is folded");
  const auto colon = line.find(':');
  if (colon == line.npos) return bad("a header line has no colon");
  const auto name = line.substr(0, colon);
  if (!is_token(name)) return bad("a header name is malformed");
  const auto value = trim(line.substr(colon + 1));
  if (!is_field_text(value)) return bad("a header has a control character");
  // Compare the length first: this runs for each field of each request, and nearly all other names differ in length.
  switch (name.size()) {
  case 4:
    if (!iequals(name, "host")) return {};
    return ++f.hosts > 1 || !is_host(value)
               ? result<void>(bad(f.hosts > 1 ? "there are two Host fields" : "the Host field is malformed"))
               : result<void>{};
  case 6:
    if (!iequals(name, "expect")) return {};
    if (!iequals(value, "100-continue")) return bad("the only supported expectation is 100-continue");
    f.answer.expects_continue = true;
    return {};
  case 10: return iequals(name, "connection") ? read_connection(value, f.answer) : result<void>{};
  case 14: return iequals(name, "content-length") ? read_length(value, f) : result<void>{};
  case 17:
    if (!iequals(name, "transfer-encoding")) return {};
    if (++f.encodings > 1 || !iequals(value, "chunked")) return bad("Transfer-Encoding must be exactly chunked");
    return {};
  default: return {};
  }
}

result<framing> conclude(findings f) {
  if (f.encodings) {
    if (f.lengths) return bad("Content-Length and Transfer-Encoding exclude each other");
    if (f.version_1_0) return bad("HTTP/1.0 has no chunked bodies");
    f.answer.body = framing::body_kind::chunked;
  }
  if (f.hosts == 0 && !f.version_1_0) return bad("the Host field is missing");
  if (f.version_1_0)
    f.answer.expects_continue = false; // RFC 9110 §10.1.1: an HTTP/1.0 client does not know 100 Continue
  return f.answer;
}

} // namespace

result<framing> examine_header(std::string_view block) {
  findings f;
  bool first = true;
  while (!block.empty()) {
    const auto lf = block.find('\n');
    if (lf == block.npos || lf == 0 || block[lf - 1] != '\r') return bad("a line does not end in CRLF");
    const auto line = block.substr(0, lf - 1);
    if (line.find('\r') != line.npos) return bad("a line contains a bare CR");
    block.remove_prefix(lf + 1);
    if (line.empty()) {
      if (first || !block.empty()) return bad("the header begins with an empty line");
      return conclude(f);
    }
    if (!first && ++f.fields > max_header_fields)
      return failure{errc::header_too_large,
                     "a request may have " + std::to_string(max_header_fields) + " header fields"};
    auto read = first ? read_request_line(line, f) : read_field(line, f);
    if (!read) return read.error();
    first = false;
  }
  return bad("the header has no end");
}

result<std::span<const char>> chunk_decoder::next(std::span<const char>& in) {
  while (!in.empty() && at_ != place::done) {
    if (at_ == place::data) {
      const auto run = in.first(std::min<std::uint64_t>(left_, in.size()));
      in = in.subspan(run.size());
      left_ -= run.size();
      if (left_ == 0) at_ = place::data_cr;
      return run;
    }
    if (auto stepped = step(in.front()); !stepped) return stepped.error();
    in = in.subspan(1);
  }
  return std::span<const char>{};
}

result<void> chunk_decoder::step(char c) {
  const auto expect = [&](char wanted, place then) -> result<void> {
    if (c != wanted) return bad("a line of a chunk does not end in CRLF");
    at_ = then;
    return {};
  };
  switch (at_) {
  case place::size: {
    const int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    if (digit >= 0) {
      if (++digits_ > 15) return bad("a chunk's size must have 1 to 15 hex digits");
      left_ = left_ * 16 + static_cast<unsigned>(digit);
      return {};
    }
    if (digits_ == 0 || (c != '\r' && c != ';')) return bad("a chunk's size must have 1 to 15 hex digits");
    at_ = c == '\r' ? place::size_lf : place::extension;
    return {};
  }
  case place::extension:
    if (c == '\r')
      at_ = place::size_lf;
    else if (!is_field_text({&c, 1}) || ++extra_ > 256)
      return bad("a chunk's extension is malformed or too long");
    return {};
  case place::size_lf: digits_ = extra_ = 0; return expect('\n', left_ ? place::data : place::trailer_start);
  case place::data_cr: return expect('\r', place::data_lf);
  case place::data_lf: return expect('\n', place::size);
  case place::trailer_start:
    if (c == '\r')
      at_ = place::last_lf;
    else if (!token_bytes[static_cast<unsigned char>(c)] || ++extra_ > 4096)
      return bad("a trailer is malformed or too long");
    else
      at_ = place::trailer;
    return {};
  case place::trailer:
    if (c == '\r')
      at_ = place::trailer_lf;
    else if (!is_field_text({&c, 1}) || ++extra_ > 4096)
      return bad("a trailer is malformed or too long");
    return {};
  case place::trailer_lf: return expect('\n', place::trailer_start);
  case place::last_lf: return expect('\n', place::done);
  case place::data:
  case place::done: break;
  }
  return {};
}

} // namespace postern
