#include <postern/base/encoding.hpp>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace postern {
namespace {

constexpr char hex_digits[] = "0123456789abcdef";
constexpr char hex_capitals[] = "0123456789ABCDEF";
constexpr char standard_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

failure bad(const char* what) { return failure{errc::bad_request, what}; }

constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string encode64(std::string_view in, const char* alphabet, bool pad) {
  const auto left = in.size() % 3;
  std::string out(in.size() / 3 * 4 + (left ? pad ? 4 : left + 1 : 0), '=');
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(in[i])); };
  char* to = out.data();
  std::size_t i = 0;
  for (; i + 2 < in.size(); i += 3, to += 4) {
    const auto n = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    to[0] = alphabet[n >> 18];
    to[1] = alphabet[n >> 12 & 63];
    to[2] = alphabet[n >> 6 & 63];
    to[3] = alphabet[n & 63];
  }
  if (left) {
    const auto n = byte(i) << 16 | (left == 2 ? byte(i + 1) << 8 : 0);
    to[0] = alphabet[n >> 18];
    to[1] = alphabet[n >> 12 & 63];
    if (left == 2) to[2] = alphabet[n >> 6 & 63];
  }
  return out;
}

constexpr std::array<signed char, 256> values_of(const char* alphabet) {
  std::array<signed char, 256> v{};
  v.fill(-1);
  for (signed char i = 0; i < 64; ++i) v[static_cast<unsigned char>(alphabet[i])] = i;
  return v;
}

result<std::string> decode64(std::string_view text, const std::array<signed char, 256>& values, bool padding) {
  if (padding && text.ends_with('=')) {
    if (text.size() % 4) return bad("base64 of a wrong length");
    text.remove_suffix(text.ends_with("==") ? 2 : 1);
  }
  if (text.size() % 4 == 1) return bad("base64 of a wrong length");
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    const auto v = values[static_cast<unsigned char>(c)];
    if (v < 0) return bad("a character that is not base64");
    bits = bits << 6 | static_cast<std::uint32_t>(v);
    held += 6;
    if (held >= 8) {
      held -= 8;
      out += static_cast<char>(bits >> held & 0xff);
    }
  }
  // Bits that stand for nothing must be zero: else two texts would mean the same bytes.
  if (bits & ((1u << held) - 1)) return bad("base64 with bits left over");
  return out;
}

constexpr auto standard_values = values_of(standard_alphabet);
constexpr auto url_values = values_of(url_alphabet);

bool unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

// `pattern` has d for a digit, other characters for themselves; the digits' values in runs go to `out`.
bool read_pattern(std::string_view text, std::string_view pattern, std::array<int, 6>& out) {
  if (text.size() != pattern.size()) return false;
  std::size_t run = 0;
  bool in_run = false;
  static constexpr std::array<int, 6> widths{4, 2, 2, 2, 2, 2};
  int left = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (pattern[i] != 'd') {
      if (text[i] != pattern[i]) return false;
      continue;
    }
    if (text[i] < '0' || text[i] > '9') return false;
    if (left == 0) {
      if (in_run) ++run;
      in_run = true;
      left = widths[run];
      out[run] = 0;
    }
    out[run] = out[run] * 10 + (text[i] - '0');
    --left;
  }
  return true;
}

result<seconds_clock> moment(const std::array<int, 6>& p) {
  using namespace std::chrono;
  const year_month_day day{year{p[0]}, month{static_cast<unsigned>(p[1])},
                           std::chrono::day{static_cast<unsigned>(p[2])}};
  if (!day.ok() || p[3] > 23 || p[4] > 59 || p[5] > 59) return failure{errc::invalid_argument, "no such date"};
  return sys_days{day} + hours{p[3]} + minutes{p[4]} + seconds{p[5]};
}

struct broken_down {
  int year;
  unsigned month, day;
  int hour, minute, second;
  unsigned weekday;
};

broken_down break_down(seconds_clock t) {
  using namespace std::chrono;
  const auto days = floor<std::chrono::days>(t);
  const year_month_day ymd{days};
  const hh_mm_ss time{t - days};
  return {int(ymd.year()),
          unsigned(ymd.month()),
          unsigned(ymd.day()),
          static_cast<int>(time.hours().count()),
          static_cast<int>(time.minutes().count()),
          static_cast<int>(time.seconds().count()),
          weekday{days}.c_encoding()};
}

// `pattern` with its digits: Y M D h m s each stand for the next of year, month, day, hour, minute, second. Made
// several times for each form that is signed, so not by printf.
std::string dated(std::string_view pattern, const broken_down& b) {
  std::string out(pattern);
  const std::array<std::pair<char, unsigned>, 6> parts{{{'Y', static_cast<unsigned>(b.year)},
                                                        {'M', b.month},
                                                        {'D', b.day},
                                                        {'h', static_cast<unsigned>(b.hour)},
                                                        {'m', static_cast<unsigned>(b.minute)},
                                                        {'s', static_cast<unsigned>(b.second)}}};
  for (const auto& [letter, value] : parts) {
    auto n = value;
    for (auto at = out.rfind(letter); at != out.npos && out[at] == letter; --at) {
      out[at] = static_cast<char>('0' + n % 10);
      n /= 10;
      if (at == 0) break;
    }
  }
  return out;
}

} // namespace

std::string to_hex(std::span<const unsigned char> bytes) {
  std::string out(bytes.size() * 2, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    out[2 * i] = hex_digits[bytes[i] >> 4];
    out[2 * i + 1] = hex_digits[bytes[i] & 15];
  }
  return out;
}

result<std::string> from_hex(std::string_view hex) {
  if (hex.size() % 2) return bad("hex of an odd length");
  std::string out;
  out.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_value(hex[i]), low = hex_value(hex[i + 1]);
    if (high < 0 || low < 0) return bad("a character that is not hex");
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

std::string to_base64(std::string_view bytes) { return encode64(bytes, standard_alphabet, true); }
result<std::string> from_base64(std::string_view text) { return decode64(text, standard_values, true); }
std::string to_base64url(std::string_view bytes) { return encode64(bytes, url_alphabet, false); }
result<std::string> from_base64url(std::string_view text) { return decode64(text, url_values, false); }

std::string uri_encode(std::string_view bytes, bool keep_slash) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 4);
  for (const char c : bytes) {
    if (unreserved(c) || (keep_slash && c == '/')) {
      out += c;
    } else {
      const auto b = static_cast<unsigned char>(c);
      const char escape[] = {'%', hex_capitals[b >> 4], hex_capitals[b & 15]};
      out.append(escape, 3);
    }
  }
  return out;
}

result<std::string> uri_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1,
                low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0) return bad("a broken percent-escape");
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
  }
  return out;
}

result<std::string> query_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto one = query.substr(0, end);
    const auto equals = one.find('=');
    auto said = uri_decode(one.substr(0, equals), true);
    if (said && *said == name)
      return uri_decode(equals == one.npos ? std::string_view{} : one.substr(equals + 1), true);
    if (end == query.npos) break;
    query.remove_prefix(end + 1);
  }
  return failure{errc::not_found, "parameter " + std::string(name)};
}

namespace {

std::string escape_markup(std::string_view text, bool xml) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
    case '&': out += "&amp;"; break;
    case '<': out += "&lt;"; break;
    case '>': out += "&gt;"; break;
    case '"': out += "&quot;"; break;
    case '\'': out += xml ? "&apos;" : "&#39;"; break;
    default:
      if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r')
        out += "\xef\xbf\xbd";
      else
        out += c;
    }
  }
  return out;
}

} // namespace

std::string xml_escape(std::string_view text) { return escape_markup(text, true); }
std::string html_escape(std::string_view text) { return escape_markup(text, false); }

bool is_web_url(std::string_view text) {
  const auto plain = [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '<' && c != '>' && c != '\\'; };
  const auto scheme = text.find("://");
  if (scheme == text.npos || (text.substr(0, scheme) != "http" && text.substr(0, scheme) != "https")) return false;
  const auto rest = text.substr(scheme + 3);
  return !rest.empty() && rest.front() != '/' && std::all_of(rest.begin(), rest.end(), plain);
}

std::string lower(std::string_view ascii) {
  std::string out(ascii);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 32);
  return out;
}

bool iequals(std::string_view a, std::string_view b) {
  const auto fold = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return fold(x) == fold(y); });
}

std::size_t utf8_sequence(std::string_view s) {
  const auto at = [&](std::size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u; };
  const unsigned lead = at(0);
  if (s.empty()) return 0;
  if (lead < 0x80) return 1;
  const std::size_t n = lead >= 0xc2 && lead <= 0xdf   ? 2
                        : lead >= 0xe0 && lead <= 0xef ? 3
                        : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                       : 0;
  for (std::size_t i = 1; i < n; ++i)
    if ((at(i) & 0xc0u) != 0x80u) return 0;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  const unsigned second = at(1);
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
      (lead == 0xf4 && second > 0x8f))
    return 0;
  return n;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto n = utf8_sequence(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

std::string amz_date(seconds_clock t) { return dated("YYYYMMDDThhmmssZ", break_down(t)); }

result<seconds_clock> parse_amz_date(std::string_view text) {
  std::array<int, 6> parts{};
  if (!read_pattern(text, "ddddddddTddddddZ", parts))
    return failure{errc::invalid_argument, "not like 20261123T181500Z"};
  return moment(parts);
}

std::string iso8601(seconds_clock t) { return dated("YYYY-MM-DDThh:mm:ssZ", break_down(t)); }

std::string iso8601_millis(millis_clock t) {
  const auto second = std::chrono::floor<std::chrono::seconds>(t);
  auto text = dated("YYYY-MM-DDThh:mm:ss.000Z", break_down(second));
  auto n = (t - second).count();
  for (auto at = text.size() - 2; n != 0; --at, n /= 10) text[at] = static_cast<char>('0' + n % 10);
  return text;
}

result<seconds_clock> parse_iso8601(std::string_view text) {
  std::string plain(text);
  if (const auto dot = text.find('.'); dot != text.npos) {
    auto fraction = text.substr(dot + 1);
    if (!fraction.ends_with('Z')) return failure{errc::invalid_argument, "not like 2026-11-23T18:15:00Z"};
    fraction.remove_suffix(1);
    if (fraction.empty() || fraction.size() > 9 || fraction.find_first_not_of("0123456789") != fraction.npos)
      return failure{errc::invalid_argument, "not like 2026-11-23T18:15:00Z"};
    plain = std::string(text.substr(0, dot)) + "Z";
  }
  std::array<int, 6> parts{};
  if (!read_pattern(plain, "dddd-dd-ddTdd:dd:ddZ", parts))
    return failure{errc::invalid_argument, "not like 2026-11-23T18:15:00Z"};
  return moment(parts);
}

namespace {
constexpr const char* month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
}

std::string http_date(seconds_clock t) {
  static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  const auto b = break_down(t);
  // The names, which have these letters too, only when the digits are there.
  return std::string(days[b.weekday]) + dated(", DD ", b) + month_names[b.month - 1] + dated(" YYYY hh:mm:ss ", b) +
         "GMT";
}

result<seconds_clock> parse_http_date(std::string_view text) {
  const failure bad{errc::invalid_argument, "not like Mon, 23 Nov 2026 18:15:00 GMT"};
  if (text.size() != 29 || text.substr(3, 2) != ", ") return bad;
  const auto month =
      std::find(std::begin(month_names), std::end(month_names), text.substr(8, 3)) - std::begin(month_names);
  if (month == 12 || text.substr(25) != " GMT") return bad;
  const auto number = std::to_string(month + 1);
  auto t = parse_iso8601(std::string(text.substr(12, 4)) + "-" + (number.size() < 2 ? "0" : "") + number + "-" +
                         std::string(text.substr(5, 2)) + "T" + std::string(text.substr(17, 8)) + "Z");
  if (!t || http_date(*t) != text) return bad;
  return t;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

millis_clock time_of_uuid_v7(std::string_view text) {
  std::int64_t ms = 0;
  for (const char c : text.substr(0, 13))
    if (c != '-') ms = ms << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
  return millis_clock{std::chrono::milliseconds(ms)};
}

std::string uuid_v7(millis_clock t, std::span<const unsigned char, 10> random) {
  std::array<unsigned char, 16> id;
  const auto ms = static_cast<std::uint64_t>(t.time_since_epoch().count());
  for (std::size_t i = 0; i < 6; ++i) id[i] = static_cast<unsigned char>(ms >> (40 - 8 * i));
  std::copy(random.begin(), random.end(), id.begin() + 6);
  id[6] = static_cast<unsigned char>(0x70 | (id[6] & 0x0f));
  id[8] = static_cast<unsigned char>(0x80 | (id[8] & 0x3f));
  std::string out;
  out.reserve(36);
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += hex_digits[id[i] >> 4];
    out += hex_digits[id[i] & 15];
  }
  return out;
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < 36; ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return false;
    } else if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f'))) {
      return false;
    }
  }
  return true;
}

void random_bytes(std::span<unsigned char> into) {
  // The generator is asked for a page at a time: for ten bytes its set-up would cost more than all the rest of an id.
  thread_local std::array<unsigned char, 4096> page;
  thread_local std::size_t used = page.size();
  while (!into.empty()) {
    if (used == page.size()) {
      if (RAND_bytes(page.data(), static_cast<int>(page.size())) != 1) std::abort();
      used = 0;
    }
    const auto n = std::min(into.size(), page.size() - used);
    std::memcpy(into.data(), page.data() + used, n);
    std::memset(page.data() + used, 0, n); // what was given out is not kept
    used += n;
    into = into.subspan(n);
  }
}

} // namespace postern
