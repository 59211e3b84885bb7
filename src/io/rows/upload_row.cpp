#include "upload_row.hpp"

#include <postern/base/json.hpp>
#include <postern/io/rows/webhook_rows.hpp>

#include <string_view>
#include <utility>

namespace postern {

std::string states_before(upload_state to) {
  using enum upload_state;
  std::string list;
  for (const auto from : {issued, receiving, checking, completed, rejected, failed, expired, removing, removed})
    if (may_follow(from, to)) list.append(list.empty() ? "('" : ", '").append(name_of(from)).append("'");
  return list + ")";
}

namespace {

// A reserved name among the metadata, so that the signed content type needs no column.
constexpr std::string_view content_type_name = "postern-content-type";

} // namespace

std::string metadata_text(const upload& u) {
  if (u.metadata.empty() && u.content_type.empty()) return "{}";
  json_writer w;
  w.begin_object();
  if (!u.content_type.empty()) w.member(content_type_name, u.content_type);
  for (const auto& [name, value] : u.metadata) w.member(name, value);
  w.end_object();
  return w.take();
}

namespace {

void read_metadata(std::string_view text, upload& into) {
  if (text == "{}") return;
  if (auto v = read_json(text))
    if (const auto* members = v->if_object())
      for (const auto& [name, value] : *members)
        if (const auto* s = value.if_string()) {
          if (name == content_type_name)
            into.content_type = *s;
          else
            into.metadata.emplace_back(name, *s);
        }
}

} // namespace

namespace {

std::uint64_t unsigned_of(std::int64_t n) { return static_cast<std::uint64_t>(n); }

upload read_new_completion(sql::statement& s) {
  upload u;
  u.id = s.text();
  u.state = upload_state_of(s.text()).value_or(upload_state::failed);
  u.profile = s.text();
  u.user = s.text();
  u.bucket = s.text();
  u.key = s.text();
  read_metadata(s.text(), u);
  u.min_size = unsigned_of(s.integer().value_or(0));
  u.max_size = unsigned_of(s.integer().value_or(0));
  u.created_at = as_time(s.integer().value_or(0));
  u.expires_at = as_time(s.integer().value_or(0));
  if (const auto n = s.integer()) u.size = unsigned_of(*n);
  u.etag = s.text();
  if (const auto n = s.integer()) u.crc32c = static_cast<std::uint32_t>(*n);
  if (const auto n = s.integer()) u.completed_at = as_time(*n);
  u.completed_by = completion_source_of(s.text());
  u.quota_day = s.integer();
  if (const auto n = s.integer()) u.reserved = unsigned_of(*n);
  if (const auto n = s.integer()) u.charged = unsigned_of(*n);
  if (const auto n = s.integer()) u.claim_until = as_time(*n);
  u.final_key = s.text();
  u.way = upload_way_of(s.text());
  return u;
}

} // namespace

upload read_upload(sql::statement& s) {
  auto u = read_new_completion(s);
  if (const auto n = s.integer()) u.overwritten_at = as_time(*n);
  u.overwritten_etag = s.text();
  u.failed_because = s.text();
  if (const auto n = s.integer(); n && u.state == upload_state::receiving) u.received = unsigned_of(*n);
  if (const auto n = s.integer()) u.claimed_at = as_time(*n);
  u.claimed_as = s.text();
  if (const auto n = s.integer()) u.removed_at = as_time(*n);
  u.form_key = s.text();
  if (const auto n = s.integer()) u.stored_at = as_time(*n);
  u.is_accepted = s.integer().value_or(0) != 0;
  u.asked = static_cast<unsigned>(s.integer().value_or(0));
  u.reason = s.text();
  return u;
}

std::optional<upload> one_new_completion(sql::statement& s) {
  auto found = s.step() ? std::optional(read_new_completion(s)) : std::nullopt;
  s.rewind();
  return found;
}

std::optional<upload> one_upload(sql::statement& s) {
  auto found = s.step() ? std::optional(read_upload(s)) : std::nullopt;
  s.rewind();
  return found;
}

std::vector<upload> all_uploads(sql::statement& s) {
  std::vector<upload> found;
  while (s.step()) found.push_back(read_upload(s));
  s.rewind();
  return found;
}

} // namespace postern
