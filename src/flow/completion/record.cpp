#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/flow/completion/record.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace postern {
namespace {

std::array<metrics::counter, 5> completions{{
    {"postern_completions_total", "Uploads completed, by source", "source=\"fallback\""},
    {"postern_completions_total", "Uploads completed, by source", "source=\"redirect\""},
    {"postern_completions_total", "Uploads completed, by source", "source=\"event\""},
    {"postern_completions_total", "Uploads completed, by source", "source=\"sweep\""},
    {"postern_completions_total", "Uploads completed, by source", "source=\"probe\""},
}};
std::array<metrics::counter, 5> completions_by_way{{
    {"postern_completions_by_way_total", "Uploads completed, by the way of their bytes", "way=\"form\""},
    {"postern_completions_by_way_total", "Uploads completed, by the way of their bytes", "way=\"put\""},
    {"postern_completions_by_way_total", "Uploads completed, by the way of their bytes", "way=\"multipart\""},
    {"postern_completions_by_way_total", "Uploads completed, by the way of their bytes", "way=\"resumable\""},
    {"postern_completions_by_way_total", "Uploads completed, by the way of their bytes", "way=\"fallback\""},
}};
metrics::histogram lag("postern_completion_seconds", "From the signing of a form to its upload's completion", "");

} // namespace

bool store_answered(const failure& f) {
  return f.code == errc::object_absent || f.code == errc::conflict || f.code == errc::type_mismatch;
}

bool is_silence(const failure& f) {
  if (f.code == errc::no_such_bucket) return true;
  return retryable(f.code) && f.code != errc::too_many_requests && f.code != errc::ledger_failed;
}

void note_completion(const upload& u) {
  const auto by = u.completed_by.value_or(completion_source::sweep);
  completions[static_cast<std::size_t>(by)].add();
  completions_by_way[static_cast<std::size_t>(u.way.value_or(upload_way::form))].add();
  const auto took = u.completed_at.value_or(u.created_at) - u.created_at;
  lag.observe(std::chrono::duration<double>(took).count());
  log::info("upload completed", {{"upload", u.id},
                                 {"size", u.size.value_or(0)},
                                 {"source", name_of(by)},
                                 {"way", name_of(u.way.value_or(upload_way::form))}});
}

failure no_longer_possible(const upload& u) {
  const bool is_removed = u.state == upload_state::removing || u.state == upload_state::removed;
  return {errc::conflict, is_removed ? "the upload was removed" : "the upload is " + std::string(name_of(u.state))};
}

// The upload is completed by one object, and `other` reports another one. Nodes and events are not in order, so only
// the store knows which came later.
task<result<upload>> recorder::record_overwrite(completion other, upload row) const {
  object_name name{other.of.bucket, other.of.key};
  auto there = co_await store_.head(std::move(name));
  if (there ? there->etag == row.etag : store_answered(there.error())) co_return row;
  // Without an answer, what was seen last counts: an overwrite must not get lost.
  if (there) {
    other.etag = std::move(there->etag);
    other.size = there->size;
    other.crc32c = there->crc32c;
  }
  other.is_current = true;
  auto recorded = co_await ledger_.confirm(std::move(other));
  if (!recorded) co_return recorded.error();
  co_return std::move(recorded->row);
}

namespace {

// The metadata says by which way the object was to come; a form says nothing, because it is S3's.
upload_way way_of(const stored_object& found, completion_source by) {
  const auto plain = by == completion_source::fallback ? upload_way::fallback : upload_way::form;
  for (const auto& [name, value] : found.meta.user)
    if (name == way_metadata) return upload_way_of(value).value_or(plain);
  return plain;
}

} // namespace

void recorder::apply_profile(completion& done) const {
  // The form was signed for quarantine, whatever the configuration says now.
  if (!done.of.final_key.empty() && done.of.final_key != done.of.key) {
    done.needs_verdict = true;
    done.final_key = done.of.final_key;
    return;
  }
  const auto in_quarantine = [&](const auto& named) {
    return named.second.accept.exists() && done.of.key.starts_with(named.second.accept.quarantine);
  };
  auto found = profiles_.find(done.of.profile);
  // An upload that is known by its object only: nothing leaves quarantine unjudged.
  if (found == profiles_.end()) found = std::find_if(profiles_.begin(), profiles_.end(), in_quarantine);
  if (found == profiles_.end()) return;
  done.of.profile = found->first;
  const auto& rules = found->second;
  if (rules.accept.exists()) {
    done.needs_verdict = true;
    if (done.of.key.starts_with(rules.accept.quarantine))
      done.final_key = done.of.key.substr(rules.accept.quarantine.size());
  } else if (rules.unclaimed.count()) {
    done.claim_until = done.at + rules.unclaimed;
  }
}

task<result<upload>> recorder::record(upload of, stored_object found, completion_source by, millis_clock at) const {
  const auto parts_by = of.way && comes_in_parts(*of.way) ? of.way : std::nullopt;
  completion done;
  done.of = std::move(of);
  done.size = found.size;
  done.etag = std::move(found.etag);
  done.crc32c = found.crc32c;
  done.at = at;
  done.by = by;
  done.way = way_of(found, by);
  done.is_current = false;
  apply_profile(done);
  auto recorded = co_await ledger_.confirm(done);
  if (!recorded) co_return recorded.error();
  const auto& row = recorded->row;
  // Another way was faster than the client's parts, which are abandoned.
  if (recorded->is_new && parts_by && done.way != parts_by) ledger_.keep_multiparts({row.id}, at);
  if (row.state == upload_state::checking) {
    if (recorded->is_new)
      log::info("upload checked", {{"upload", row.id}, {"size", *row.size}, {"source", name_of(by)}});
    co_return std::move(recorded->row); // another object under its key is noticed when the verdict is carried out
  }
  if (row.state != upload_state::completed) co_return no_longer_possible(row);
  if (row.key != done.of.key) co_return failure{errc::conflict, "the form was used before, for another file"};
  if (row.etag != done.etag && row.overwritten_etag == done.etag) co_return std::move(recorded->row); // known already
  if (row.etag != done.etag) co_return co_await record_overwrite(std::move(done), row);
  if (recorded->is_new) note_completion(row);
  co_return std::move(recorded->row);
}

} // namespace postern
