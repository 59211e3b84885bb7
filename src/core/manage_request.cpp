#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/core/manage_request.hpp>

#include <algorithm>
#include <vector>

namespace postern {
namespace {

failure bad(std::string what) { return failure{errc::bad_request, std::move(what)}; }

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

struct text_member {
  std::string_view name;
  std::size_t max; // bytes
  std::string* into;
};

result<void> read_text(const json_value& value, const text_member& m) {
  const auto* text = value.if_string();
  const std::string name(m.name);
  if (!text) return bad(name + " must be a string");
  if (text->size() > m.max) return bad(name + " is longer than " + std::to_string(m.max) + " bytes");
  if (std::any_of(text->begin(), text->end(), is_control)) return bad(name + " has a control character");
  *m.into = *text;
  return {};
}

// Reads an object that may have these members, each once.
result<void> read_members(std::string_view body, std::vector<text_member> allowed) {
  if (body.empty()) return {};
  auto json = read_json(body);
  if (!json) return json.error();
  const auto* members = json->if_object();
  if (!members) return bad("the body must be a JSON object");
  for (const auto& [name, value] : *members) {
    const auto known = std::find_if(allowed.begin(), allowed.end(), [&](const auto& m) { return m.name == name; });
    if (known == allowed.end()) return bad("unknown or repeated member " + quote(name));
    if (auto read = read_text(value, *known); !read) return read;
    allowed.erase(known);
  }
  return {};
}

// At most `max` bytes, cut at a character's border.
std::string without_controls(std::string_view text, std::size_t max) {
  std::string out;
  while (!text.empty()) {
    const auto n = std::max<std::size_t>(utf8_sequence(text), 1);
    if (out.size() + n > max) break;
    if (n > 1 || !is_control(text.front())) out += text.substr(0, n);
    text.remove_prefix(n);
  }
  return out;
}

} // namespace

result<std::string> parse_claim_body(std::string_view body) {
  std::string reference;
  if (auto read = read_members(body, {{"reference", max_reference, &reference}}); !read) return read.error();
  return reference;
}

result<verdict> parse_accept_body(std::string_view body) {
  verdict v{true, {}, {}};
  if (auto read = read_members(body, {{"etag", max_etag, &v.etag}}); !read) return read.error();
  return v;
}

result<verdict> parse_reject_body(std::string_view body) {
  verdict v;
  if (auto read = read_members(body, {{"reason", max_reason, &v.reason}, {"etag", max_etag, &v.etag}}); !read)
    return read.error();
  return v;
}

result<verdict> parse_verdict(std::string_view body) {
  auto json = read_json(body);
  if (!json) return json.error();
  const auto* said = json->find("verdict");
  const auto* word = said ? said->if_string() : nullptr;
  if (!word || (*word != "accept" && *word != "reject"))
    return bad(R"(the verdict must be {"verdict":"accept"} or {"verdict":"reject","reason":"…"})");
  verdict v{*word == "accept", {}, {}};
  const auto* reason = json->find("reason");
  if (const auto* text = reason ? reason->if_string() : nullptr; text && !v.is_accepted)
    v.reason = without_controls(*text, max_reason);
  return v;
}

} // namespace postern
