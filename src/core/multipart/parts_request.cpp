#include <postern/base/digest.hpp>
#include <postern/base/json.hpp>
#include <postern/core/multipart/part_sizes.hpp>
#include <postern/core/multipart/parts_request.hpp>
#include <postern/core/object.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace postern {
namespace {

constexpr std::size_t max_etag = 128; // bytes

failure bad(std::string what) { return failure{errc::bad_request, std::move(what)}; }

result<int> part_number(const json_value& v) {
  const auto* n = v.if_int();
  if (!n || *n < 1 || *n > max_parts) return bad("the number of a part must be from 1 to " + std::to_string(max_parts));
  return static_cast<int>(*n);
}

// The member `name` of the body, which may have the members `known` only.
result<json_value> read_body(std::string_view body, std::initializer_list<std::string_view> known) {
  auto json = read_json(body);
  if (!json) return json.error();
  const auto* members = json->if_object();
  if (!members) return bad("the body must be a JSON object");
  std::vector<std::string_view> seen;
  for (const auto& [name, value] : *members) {
    if (std::find(known.begin(), known.end(), name) == known.end() ||
        std::find(seen.begin(), seen.end(), name) != seen.end())
      return bad("unknown or repeated member " + quote(name));
    seen.push_back(name);
  }
  return json;
}

asked_part* find_part(std::vector<asked_part>& parts, std::string_view number) {
  const auto found =
      std::find_if(parts.begin(), parts.end(), [&](const auto& p) { return std::to_string(p.number) == number; });
  return found == parts.end() ? nullptr : &*found;
}

result<void> read_checksums(const json_value& v, std::vector<asked_part>& into) {
  const auto* members = v.if_object();
  if (!members) return bad("checksums must be an object, such as {\"1\": \"base64 of the part's CRC32C\"}");
  for (const auto& [number, value] : *members) {
    auto* part = find_part(into, number);
    if (!part) return bad("checksums has " + quote(number) + ", which is not among parts");
    const auto* text = value.if_string();
    part->crc32c = text ? parse_crc32c(*text) : std::nullopt;
    if (!part->crc32c) return bad("the checksum of part " + number + " must be four bytes in base64");
  }
  return {};
}

} // namespace

result<std::vector<asked_part>> parse_parts_body(std::string_view body) {
  auto json = read_body(body, {"parts", "checksums"});
  if (!json) return json.error();
  const auto* list = json->find("parts");
  const auto* numbers = list ? list->if_array() : nullptr;
  if (!numbers || numbers->empty() || numbers->size() > max_parts_asked)
    return bad("parts must be a list of 1 to " + std::to_string(max_parts_asked) + " numbers");
  std::vector<asked_part> parts;
  for (const auto& one : *numbers) {
    auto number = part_number(one);
    if (!number) return number.error();
    if (find_part(parts, std::to_string(*number))) return bad("part " + std::to_string(*number) + " is there twice");
    parts.push_back({*number, std::nullopt});
  }
  if (const auto* sums = json->find("checksums"); sums && !sums->is_null())
    if (auto read = read_checksums(*sums, parts); !read) return read.error();
  return parts;
}

result<std::map<int, std::string>> parse_complete_body(std::string_view body) {
  std::map<int, std::string> etags;
  if (body.empty()) return etags;
  auto json = read_body(body, {"parts"});
  if (!json) return json.error();
  const auto* list = json->find("parts");
  if (!list || list->is_null()) return etags;
  const auto* parts = list->if_array();
  if (!parts || parts->empty() || parts->size() > static_cast<std::size_t>(max_parts))
    return bad("parts must be a list of 1 to " + std::to_string(max_parts) + " parts, or absent");
  for (const auto& one : *parts) {
    const auto* n = one.find("number");
    auto number = n ? part_number(*n) : result<int>(bad("each part must have a number"));
    if (!number) return number.error();
    const auto* e = one.find("etag");
    const auto* etag = e ? e->if_string() : nullptr;
    auto bare = etag && etag->size() <= max_etag ? std::string(bare_etag(*etag)) : std::string();
    if (bare.empty() || bare.find('"') != bare.npos)
      return bad("part " + std::to_string(*number) + " must have its etag, as the store answered it");
    if (!etags.emplace(*number, std::move(bare)).second)
      return bad("part " + std::to_string(*number) + " is there twice");
  }
  return etags;
}

} // namespace postern
