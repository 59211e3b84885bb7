#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/core/s3/form.hpp>
#include <postern/core/s3/form_header.hpp>

#include <algorithm>
#include <optional>

namespace postern {
namespace {

failure malformed(std::string what) { return failure{errc::malformed_form, std::move(what)}; }

result<void> read_disposition(std::string_view value, part_header& into) {
  const auto end = std::min(value.find(';'), value.size());
  if (!iequals(trim(value.substr(0, end)), "form-data"))
    return malformed("a part whose Content-Disposition is not form-data");
  value.remove_prefix(end);
  std::optional<std::string> name, filename, extended;
  while (!value.empty()) {
    auto p = take_parameter(value);
    if (!p) return malformed("a Content-Disposition that cannot be read");
    auto& target = p->name == "name" ? name : p->name == "filename" ? filename : extended;
    if (p->name == "filename*")
      extended = extended_value(p->value);
    else if (p->name != "name" && p->name != "filename")
      continue;
    else if (target)
      return malformed("a Content-Disposition with " + p->name + " twice");
    else
      target = std::move(p->value);
  }
  if (!name || name->empty()) return malformed("a part without a name");
  into.name = std::move(*name);
  into.filename = filename ? std::move(*filename) : extended.value_or("");
  if (!is_utf8(into.name) || !is_utf8(into.filename)) return malformed("a part whose name is not UTF-8");
  return {};
}

bool is_clean(std::string_view line) {
  return std::all_of(line.begin(), line.end(),
                     [](char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); });
}

} // namespace

std::optional<header_parameter> take_parameter(std::string_view& rest) {
  if (!rest.starts_with(';')) return std::nullopt;
  rest = trim(rest.substr(1));
  const auto equals = rest.find('=');
  if (equals == rest.npos) return std::nullopt;
  header_parameter p{lower(trim(rest.substr(0, equals))), {}};
  rest = trim(rest.substr(equals + 1));
  if (!rest.starts_with('"')) {
    const auto end = std::min(rest.find(';'), rest.size());
    p.value = trim(rest.substr(0, end));
    rest.remove_prefix(end);
    return p.value.find('"') == p.value.npos ? std::optional(std::move(p)) : std::nullopt;
  }
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == '"') {
      rest = trim(rest.substr(i + 1));
      return p;
    }
    if (rest[i] == '\\' && i + 1 < rest.size() && rest[i + 1] == '"') ++i;
    p.value += rest[i];
  }
  return std::nullopt;
}

std::optional<std::string> extended_value(std::string_view text) {
  const auto language = text.find('\'');
  const auto value = language == text.npos ? text.npos : text.find('\'', language + 1);
  if (value == text.npos || !iequals(text.substr(0, language), "utf-8")) return std::nullopt;
  auto decoded = uri_decode(text.substr(value + 1));
  return decoded ? std::optional(std::move(*decoded)) : std::nullopt;
}

result<part_header> read_part_header(std::string_view block) {
  part_header out;
  bool disposed = false;
  while (!block.empty()) {
    const auto end = block.find("\r\n");
    const auto line = block.substr(0, end);
    block = end == block.npos ? std::string_view{} : block.substr(end + 2);
    const auto colon = line.find(':');
    if (!is_clean(line) || colon == line.npos || colon == 0)
      return malformed("a part's header line that cannot be read");
    const auto name = line.substr(0, colon);
    const auto value = trim(line.substr(colon + 1));
    if (iequals(name, "content-disposition")) {
      if (std::exchange(disposed, true)) return malformed("a part with two Content-Dispositions");
      if (auto read = read_disposition(value, out); !read) return read.error();
    } else if (iequals(name, "content-type")) {
      out.content_type = value;
    }
  }
  if (!disposed) return malformed("a part without a Content-Disposition");
  return out;
}

result<std::string> form_boundary(std::string_view content_type) {
  const auto semicolon = std::min(content_type.find(';'), content_type.size());
  if (!iequals(trim(content_type.substr(0, semicolon)), "multipart/form-data"))
    return malformed("the Content-Type must be multipart/form-data");
  auto rest = trim(content_type.substr(semicolon));
  while (!rest.empty()) {
    auto p = take_parameter(rest);
    if (!p) break;
    if (p->name != "boundary") continue;
    static constexpr std::string_view specials = "'()+_,-./:=? ";
    const auto allowed = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             specials.find(c) != specials.npos;
    };
    const auto& b = p->value;
    if (b.empty() || b.size() > 70 || b.ends_with(' ') || !std::all_of(b.begin(), b.end(), allowed))
      return malformed("the boundary must be 1 to 70 of the characters of RFC 2046");
    return b;
  }
  return malformed("the Content-Type has no boundary");
}

} // namespace postern
