#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/core/s3/checksums.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/core/sign_request.hpp>

#include <algorithm>

namespace postern {
namespace {

constexpr std::size_t max_metadata = 2048;    // S3's own limit for user metadata, names and values together
constexpr std::size_t max_content_type = 255; // bytes

failure bad(std::string what) { return failure{errc::bad_request, std::move(what)}; }

result<std::string> text_member(const json_value& v, std::string_view name, std::size_t max) {
  const auto* text = v.if_string();
  if (!text) return bad(std::string(name) + " must be a string");
  if (text->size() > max) return bad(std::string(name) + " is longer than " + std::to_string(max) + " bytes");
  return *text;
}

// S3 replaces ${filename} in every field before it checks the policy, so a form with it could never be posted.
bool has_variable(std::string_view text) { return text.find(filename_variable) != text.npos; }

result<std::vector<std::pair<std::string, std::string>>> metadata_member(const json_value& v) {
  const auto* members = v.if_object();
  if (!members) return bad("metadata must be an object of strings");
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [name, value] : *members) {
    const auto* text = value.if_string();
    if (!text) return bad("metadata " + quote(name) + " must be a string");
    if (auto added = add_metadata(out, name, *text); !added) return added.error();
  }
  return out;
}

result<void> user_member(const json_value& v, sign_request& into) {
  const auto* user = v.if_string();
  if (!user) return bad("user must be a string");
  if (const auto why = why_no_key_part(*user); !why.empty()) return bad("user " + why);
  into.user = *user;
  return {};
}

// {"crc32c": "…"}: one checksum, because a form takes one.
result<void> checksum_member(const json_value& v, sign_request& into) {
  const auto* members = v.if_object();
  const auto* text = members && members->size() == 1 ? members->begin()->second.if_string() : nullptr;
  if (!text) return bad("checksum must be an object with one algorithm, such as {\"crc32c\": \"base64\"}");
  auto field = checksum_field(members->begin()->first, *text);
  if (!field) return bad("checksum: " + field.error().on);
  into.checksum = std::move(*field);
  return {};
}

result<void> ways_member(const json_value& v, sign_request& into) {
  const auto* names = v.if_array();
  if (!names || names->empty()) return bad("ways must be a list of form, put, multipart, resumable and fallback");
  for (const auto& one : *names) {
    const auto* name = one.if_string();
    const auto way = name ? upload_way_of(*name) : std::nullopt;
    if (!way) return bad("ways may have form, put, multipart, resumable and fallback only");
    if (std::find(into.ways.begin(), into.ways.end(), *way) == into.ways.end()) into.ways.push_back(*way);
  }
  return {};
}

result<void> read_member(std::string_view name, const json_value& v, sign_request& into) {
  const auto assign = [&](auto& target, auto read) -> result<void> {
    if (!read) return read.error();
    target = std::move(*read);
    return {};
  };
  if (name == "filename") return assign(into.filename, text_member(v, name, max_filename));
  if (name == "profile") return assign(into.profile, text_member(v, name, 100));
  if (name == "user") return user_member(v, into);
  if (name == "return_to") return assign(into.return_to, text_member(v, name, 2048));
  if (name == "content_type") return assign(into.content_type, text_member(v, name, max_content_type));
  if (name == "metadata") return assign(into.metadata, metadata_member(v));
  if (name == "checksum") return checksum_member(v, into);
  if (name == "ways") return ways_member(v, into);
  if (name == "size") {
    const auto* n = v.if_int();
    if (!n || *n < 0) return bad("size must be a whole number of bytes");
    into.size = static_cast<std::uint64_t>(*n);
    return {};
  }
  if (name == "success_action_status") {
    const auto* n = v.if_int();
    if (!n || (*n != 200 && *n != 201 && *n != 204)) return bad("success_action_status must be 200, 201 or 204");
    into.success_action_status = static_cast<int>(*n);
    return {};
  }
  return bad("unknown member " + quote(name));
}

bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// The length of the token at the beginning of `t`.
std::size_t token(std::string_view t) {
  return static_cast<std::size_t>(std::find_if_not(t.begin(), t.end(), is_token_char) - t.begin());
}

// The length of the quoted string at the beginning of `t`; 0: none.
std::size_t quoted_string(std::string_view t) {
  if (!t.starts_with('"')) return 0;
  for (std::size_t at = 1; at < t.size(); ++at) {
    if (t[at] == '"') return at + 1;
    if (t[at] == '\\') ++at;
    if (at == t.size() || t[at] < 0x20 || t[at] > 0x7e) return 0;
  }
  return 0;
}

} // namespace

result<void> add_metadata(std::vector<std::pair<std::string, std::string>>& to, std::string_view name,
                          std::string_view value) {
  if (!is_plain_name(name)) return bad("metadata name " + quote(name) + " may have letters, digits, - _ and . only");
  auto lowered = lower(name);
  if (lowered.starts_with("postern-")) return bad("metadata names that begin with postern- are reserved");
  if (std::any_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return bad("metadata " + quote(name) + " has a control character");
  if (!is_utf8(value)) return bad("metadata " + quote(name) + " is not UTF-8");
  if (has_variable(value)) return bad("metadata " + quote(name) + " has ${filename}, which S3 would replace");
  auto total = lowered.size() + value.size();
  for (const auto& [other, text] : to) {
    if (other == lowered) return bad("metadata " + quote(name) + " is there twice");
    total += other.size() + text.size();
  }
  if (total > max_metadata) return bad("metadata is larger than " + std::to_string(max_metadata) + " bytes");
  to.emplace_back(std::move(lowered), value);
  return {};
}

bool is_content_type(std::string_view text) {
  return text.size() <= max_content_type && is_media_type(text) && !has_variable(text);
}

bool is_media_type(std::string_view t) {
  const auto take = [&t](std::size_t n) {
    t.remove_prefix(n);
    return n > 0;
  };
  if (!take(token(t)) || !t.starts_with('/') || !take(1) || !take(token(t))) return false;
  while (!t.empty()) {
    while (t.starts_with(' ')) take(1);
    if (!t.starts_with(';') || !take(1)) return false;
    while (t.starts_with(' ')) take(1);
    if (!take(token(t)) || !t.starts_with('=') || !take(1)) return false;
    if (!take(t.starts_with('"') ? quoted_string(t) : token(t))) return false;
  }
  return true;
}

result<sign_request> parse_sign_request(std::string_view json) {
  auto document = read_json(json);
  if (!document) return document.error();
  const auto* members = document->if_object();
  if (!members) return bad("the body must be a JSON object");
  sign_request out;
  std::vector<std::string_view> seen;
  for (const auto& [name, value] : *members) {
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      return bad("member " + quote(name) + " is there twice");
    seen.push_back(name);
    if (value.is_null()) continue; // the same as absent
    if (auto read = read_member(name, value, out); !read) return read.error();
  }
  if (out.filename.empty()) return bad("filename is required");
  const auto needs_size = [](upload_way w) { return w == upload_way::put || w == upload_way::multipart; };
  if (!out.size && !out.ways.empty() && std::all_of(out.ways.begin(), out.ways.end(), needs_size))
    return bad("size is required for the ways put and multipart");
  if (!out.return_to.empty() && !is_web_url(out.return_to))
    return bad("return_to must be an absolute http or https URL");
  if (out.content_type && !is_content_type(*out.content_type))
    return bad("content_type must be a media type such as image/png");
  return out;
}

bool type_matches(std::string_view pattern, std::string_view type) {
  type = trim_end(type.substr(0, type.find(';')));
  if (pattern == "*/*") return true;
  if (pattern.ends_with("/*"))
    return type.size() > pattern.size() - 1 &&
           iequals(type.substr(0, pattern.size() - 1), pattern.substr(0, pattern.size() - 1));
  return iequals(type, pattern);
}

} // namespace postern
