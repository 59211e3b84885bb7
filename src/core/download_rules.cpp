#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/core/download_rules.hpp>
#include <postern/core/sign_request.hpp>
#include <postern/core/upload.hpp>

#include <algorithm>
#include <array>

namespace postern {
namespace {

constexpr std::string_view any_bytes = "application/octet-stream";
constexpr std::size_t max_type = 255; // bytes

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// token (RFC 9110 §5.6.2)
bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_alphanumeric(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// "text/html" in lower case, from "Text/HTML; charset=x". Empty: it is no media type. A comma would begin another one,
// which a browser would take instead.
std::string essence_of(std::string_view media_type) {
  const bool is_plain =
      std::all_of(media_type.begin(), media_type.end(), [](char c) { return c >= 0x20 && c < 0x7f && c != ','; });
  const auto essence = trim_end(media_type.substr(0, media_type.find(';')));
  const auto slash = essence.find('/');
  if (!is_plain || media_type.size() > max_type || slash == essence.npos || !is_token(essence.substr(0, slash)) ||
      !is_token(essence.substr(slash + 1)))
    return {};
  return lower(essence);
}

} // namespace

bool is_active_type(std::string_view media_type) {
  const auto type = essence_of(media_type);
  if (type.empty()) return true;
  const auto subtype = std::string_view(type).substr(type.find('/') + 1);
  // Browsers guess the type of these from the bytes (WHATWG MIME Sniffing, §7).
  if (type.find('*') != type.npos || type.find("unknown") != type.npos) return true;
  if (type.starts_with("multipart/") || type.starts_with("message/")) return true; // MHTML
  if (subtype.ends_with("+xml") || subtype.starts_with("xml") || subtype == "xsl" || subtype == "xslt") return true;
  for (const auto part : {"html", "svg", "ecmascript", "javascript", "jscript", "livescript", "shockwave"})
    if (type.find(part) != type.npos) return true;
  return false;
}

std::string content_disposition(bool is_inline, std::string_view filename) {
  const auto name = safe_filename(filename);
  std::string plain, encoded;
  for (std::string_view rest = name; !rest.empty();) {
    const auto length = std::max<std::size_t>(utf8_sequence(rest), 1);
    const char c = rest.front();
    // Some clients decode %, and take \ for an escape.
    plain += length == 1 && c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '%' ? c : '_';
    encoded += uri_encode(rest.substr(0, length));
    rest.remove_prefix(length);
  }
  return std::string(is_inline ? "inline" : "attachment") + "; filename=\"" + plain + "\"; filename*=UTF-8''" + encoded;
}

shown_as show_object(const profile& rules, std::string_view declared, std::string_view key) {
  const bool is_safe = !is_active_type(declared);
  const bool is_listed = std::any_of(rules.inline_types.begin(), rules.inline_types.end(),
                                     [&](const auto& pattern) { return type_matches(pattern, declared); });
  const bool is_inline = is_safe && (rules.download == shown_where::in_browser || is_listed);
  return {std::string(is_safe ? declared : any_bytes), content_disposition(is_inline, key.substr(key.rfind('/') + 1))};
}

} // namespace postern
