#include <postern/base/encoding.hpp>

#include <array>

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
  // Unused bits must be zero: otherwise two texts would mean the same bytes.
  if (bits & ((1u << held) - 1)) return bad("base64 with bits left over");
  return out;
}

constexpr auto standard_values = values_of(standard_alphabet);
constexpr auto url_values = values_of(url_alphabet);

bool unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
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
    const auto parameter = query.substr(0, end);
    const auto equals = parameter.find('=');
    const auto found = uri_decode(parameter.substr(0, equals), true);
    if (found && *found == name)
      return uri_decode(equals == parameter.npos ? std::string_view{} : parameter.substr(equals + 1), true);
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

} // namespace postern
