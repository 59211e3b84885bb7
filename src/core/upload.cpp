#include <postern/base/digest.hpp>
#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/core/upload.hpp>

#include <array>

namespace postern {
namespace {

constexpr std::array<std::string_view, upload_state_count> state_names{
    "issued", "receiving", "checking", "completed", "rejected", "failed", "expired", "removing", "removed"};
constexpr std::array<std::string_view, 5> source_names{"fallback", "redirect", "event", "sweep", "probe"};
constexpr std::array<std::string_view, 5> way_names{"form", "put", "multipart", "resumable", "fallback"};

template <class E, std::size_t N>
std::optional<E> find_name(const std::array<std::string_view, N>& names, std::string_view name) {
  for (std::size_t i = 0; i < N; ++i)
    if (names[i] == name) return static_cast<E>(i);
  return std::nullopt;
}

} // namespace

std::string_view name_of(upload_state s) { return state_names[static_cast<std::size_t>(s)]; }
std::optional<upload_state> upload_state_of(std::string_view name) {
  return find_name<upload_state>(state_names, name);
}
std::string upload_state_names() {
  std::string all(state_names.front());
  for (std::size_t i = 1; i < state_names.size(); ++i)
    all.append(i + 1 < state_names.size() ? ", " : " or ").append(state_names[i]);
  return all;
}
std::string_view name_of(completion_source e) { return source_names[static_cast<std::size_t>(e)]; }
std::optional<completion_source> completion_source_of(std::string_view name) {
  return find_name<completion_source>(source_names, name);
}

std::string_view name_of(upload_way w) { return way_names[static_cast<std::size_t>(w)]; }
std::optional<upload_way> upload_way_of(std::string_view name) { return find_name<upload_way>(way_names, name); }

bool may_follow(upload_state from, upload_state to) {
  using enum upload_state;
  const bool is_stored = to == checking || to == completed;
  switch (from) {
  case issued: return is_stored || to == receiving || to == failed || to == expired;
  case receiving: return is_stored || to == issued || to == receiving || to == failed || to == expired;
  case failed:
  case expired: return is_stored || to == receiving;
  case checking: return to == completed || to == rejected;
  case completed: return to == removing;
  case removing: return to == removed;
  case rejected:
  case removed: break;
  }
  return false;
}

std::string to_json(const upload& u, bool whole) {
  json_writer w;
  w.reserve(512);
  w.begin_object();
  w.member("id", u.id);
  w.member("state", name_of(u.state));
  if (whole) {
    w.member("profile", u.profile);
    if (!u.user.empty()) w.member("user", u.user);
    w.member("bucket", u.bucket);
    w.member("key", u.final_key.empty() ? u.key : u.final_key);
    if (!u.final_key.empty() && u.key != u.final_key) w.member("stored_key", u.key);
    w.key("metadata");
    w.begin_object();
    for (const auto& [name, value] : u.metadata) w.member(name, value);
    w.end_object();
  }
  const auto moment = [&](std::string_view name, const std::optional<millis_clock>& t) {
    if (t) w.member(name, iso8601_millis(*t));
  };
  if (u.state == upload_state::receiving && u.received) w.member("received", *u.received);
  if (u.size) w.member("size", *u.size);
  if (!u.etag.empty()) w.member("etag", u.etag);
  if (u.crc32c) w.member("checksum_crc32c", crc32c_base64(*u.crc32c));
  moment("created_at", u.created_at);
  moment("expires_at", u.expires_at);
  moment("stored_at", u.stored_at);
  moment("completed_at", u.completed_at);
  if (u.completed_by) w.member("completed_by", name_of(*u.completed_by));
  if (u.way) w.member("way", name_of(*u.way));
  moment("overwritten_at", u.overwritten_at);
  if (!u.overwritten_etag.empty()) w.member("overwritten_etag", u.overwritten_etag);
  moment("claim_until", u.claim_until);
  moment("claimed_at", u.claimed_at);
  if (whole && !u.claimed_as.empty()) w.member("claimed_as", u.claimed_as);
  moment("removed_at", u.removed_at);
  if (whole && !u.reason.empty()) w.member("reason", u.reason);
  if (u.state == upload_state::failed && !u.failed_because.empty()) w.member("code", u.failed_because);
  w.end_object();
  return w.take();
}

std::string safe_filename(std::string_view name) {
  constexpr std::size_t max = 255;
  if (const auto slash = name.find_last_of("/\\"); slash != name.npos) name.remove_prefix(slash + 1);
  std::string out;
  while (!name.empty()) {
    const auto n = utf8_sequence(name);
    const auto c = static_cast<unsigned char>(name.front());
    // C1 controls are two bytes in UTF-8: C2 80 to C2 9F.
    const bool control = c < 0x20 || c == 0x7f || (n == 2 && c == 0xc2 && static_cast<unsigned char>(name[1]) < 0xa0);
    const auto piece = n == 0 ? std::string_view("\xef\xbf\xbd") : name.substr(0, n);
    if (!control && out.size() + piece.size() > max) break;
    if (!control) out += piece;
    name.remove_prefix(n == 0 ? 1 : n);
  }
  // S3 would replace ${filename}, so a file of that very name must not be taken for the variable.
  for (auto at = out.find("${"); at != out.npos; at = out.find("${", at)) out[at] = '_';
  return out.empty() || out == "." || out == ".." ? "file" : out;
}

namespace {

// Empty: no such name.
std::optional<std::string_view> value_of(std::string_view name, const key_values& v) {
  if (name == "id") return v.id;
  if (name == "filename") return v.filename;
  if (name == "user") return v.user;
  if (name == "profile") return v.profile;
  if (name == "date") return v.date;
  if (!name.starts_with(meta_variable)) return std::nullopt;
  for (const auto& [known, value] : v.metadata)
    if (known == name.substr(meta_variable.size())) return value;
  return std::nullopt;
}

} // namespace

result<std::string> fill_key(std::string_view key_template, const key_values& v) {
  std::string out;
  auto rest = key_template;
  while (!rest.empty()) {
    const auto open = rest.find("${");
    out += rest.substr(0, open);
    if (open == rest.npos) break;
    const auto close = rest.find('}', open);
    if (close == rest.npos) return failure{errc::invalid_argument, "${ without } in the key template"};
    const auto name = rest.substr(open + 2, close - open - 2);
    const auto value = value_of(name, v);
    if (!value) return failure{errc::invalid_argument, "${" + std::string(name) + "} in the key template is not known"};
    out += *value;
    rest.remove_prefix(close + 1);
  }
  if (out.size() > 1024)
    return failure{errc::key_too_long,
                   "the key would have " + std::to_string(out.size()) + " bytes; the maximum is 1024"};
  return out;
}

std::vector<std::string> ids_in_key(std::string_view key) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at + 36 <= key.size();) {
    const bool found = is_uuid(key.substr(at, 36));
    if (found) out.emplace_back(key.substr(at, 36));
    at += found ? 36 : 1;
  }
  return out;
}

} // namespace postern
