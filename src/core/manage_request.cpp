#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/core/manage_request.hpp>

#include <algorithm>

namespace postern {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

} // namespace

result<std::string> parse_claim_body(std::string_view body) {
  if (body.empty()) return std::string();
  auto json = read_json(body);
  if (!json) return json.error();
  const auto* members = json->if_object();
  if (!members) return failure{errc::bad_request, "the body must be a JSON object"};
  if (members->size() > 1) return failure{errc::bad_request, "the body may have one member only, reference"};
  std::string reference;
  for (const auto& [name, value] : *members) {
    if (name != "reference") return failure{errc::bad_request, "unknown member " + quote(name)};
    const auto* text = value.if_string();
    if (!text) return failure{errc::bad_request, "reference must be a string"};
    if (text->size() > max_reference)
      return failure{errc::bad_request, "reference is longer than " + std::to_string(max_reference) + " bytes"};
    if (std::any_of(text->begin(), text->end(), is_control))
      return failure{errc::bad_request, "reference has a control character"};
    reference = *text;
  }
  return reference;
}

} // namespace postern
