#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/core/manage_request.hpp>

#include <algorithm>

namespace postern {
namespace {

failure bad(std::string what) { return failure{errc::bad_request, std::move(what)}; }

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// The text of an object's only member, which has this name.
result<std::string> only_member(std::string_view body, std::string_view name, std::size_t max) {
  if (body.empty()) return std::string();
  auto json = read_json(body);
  if (!json) return json.error();
  const auto* members = json->if_object();
  if (!members) return bad("the body must be a JSON object");
  if (members->empty()) return std::string();
  if (members->size() > 1 || members->front().first != name)
    return bad("the body may have the member " + quote(name) + " only, once");
  const auto* text = members->front().second.if_string();
  if (!text) return bad(std::string(name) + " must be a string");
  if (text->size() > max) return bad(std::string(name) + " is longer than " + std::to_string(max) + " bytes");
  if (std::any_of(text->begin(), text->end(), is_control)) return bad(std::string(name) + " has a control character");
  return *text;
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

result<std::string> parse_claim_body(std::string_view body) { return only_member(body, "reference", max_reference); }

result<std::string> parse_reject_body(std::string_view body) { return only_member(body, "reason", max_reason); }

result<verdict> parse_verdict(std::string_view body) {
  auto json = read_json(body);
  if (!json) return json.error();
  const auto* said = json->find("verdict");
  const auto* word = said ? said->if_string() : nullptr;
  if (!word || (*word != "accept" && *word != "reject"))
    return bad(R"(its body is not {"verdict":"accept"} or {"verdict":"reject","reason":"…"})");
  verdict v{*word == "accept", {}};
  const auto* reason = json->find("reason");
  if (const auto* text = reason ? reason->if_string() : nullptr; text && !v.is_accepted)
    v.reason = without_controls(*text, max_reason);
  return v;
}

} // namespace postern
