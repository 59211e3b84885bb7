// A ledger in memory that holds only webhooks, for tests of their delivery.
#pragma once

#include <postern/io/ledger.hpp>

#include <algorithm>
#include <map>

namespace postern::test {

struct outbox final : ledger {
  std::map<std::string, webhook> rows;
  std::vector<std::string> done;    // ids
  std::vector<std::string> stopped; // URLs
  std::vector<std::size_t> taken;   // how many messages each call took
  std::optional<failure> broken;
  std::size_t changes = 0; // of rows, by leases and failed deliveries
  int unrecorded = 0;      // deliveries that could not be recorded because the ledger was broken

  void put(const std::string& id, const std::string& url, millis_clock due) {
    webhook w;
    w.id = id;
    w.upload_id = "upload of " + id;
    w.url = url;
    w.type = "upload.completed";
    w.payload = "{\"of\":\"" + id + "\"}";
    w.created_at = w.due_at = due;
    rows[id] = w;
  }

  task<result<std::vector<webhook>>> lease_due_webhooks(millis_clock now, millis_clock until,
                                                        std::vector<webhook_demand> demands) override {
    if (broken) co_return *broken;
    std::vector<webhook> out;
    for (const auto& d : demands) {
      std::vector<webhook*> due;
      for (auto& [id, w] : rows)
        if (w.url == d.url && !w.is_dead && w.due_at <= now) due.push_back(&w);
      std::stable_sort(due.begin(), due.end(), [](auto* a, auto* b) { return a->due_at < b->due_at; });
      if (due.size() > d.max) due.resize(d.max);
      for (auto* w : due) {
        out.push_back(*w);
        w->due_at = until;
        ++changes;
      }
    }
    taken.push_back(out.size());
    co_return out;
  }
  task<result<void>> record_delivery(std::string id) override {
    if (broken) {
      ++unrecorded;
      co_return *broken;
    }
    done.push_back(id);
    rows.erase(id);
    co_return result<void>{};
  }
  task<result<void>> record_failed_delivery(std::string id, std::string why,
                                            std::optional<millis_clock> again) override {
    if (broken) co_return *broken;
    auto& w = rows.at(id);
    ++changes, ++w.tries;
    w.last_error = why;
    w.is_dead = !again;
    if (again) w.due_at = *again;
    co_return result<void>{};
  }
  task<result<std::size_t>> expire_webhooks(std::string url, millis_clock due_before, std::string why) override {
    std::size_t n = 0;
    for (auto& [id, w] : rows)
      if (w.url == url && !w.is_dead && w.due_at < due_before) w.is_dead = true, w.last_error = why, ++n;
    co_return n;
  }
  task<result<void>> stop_endpoint(std::string url, std::string why) override {
    stopped.push_back(url);
    for (auto& [id, w] : rows)
      if (w.url == url) w.is_dead = true, w.last_error = why;
    co_return result<void>{};
  }

  // The methods that no test of webhooks calls.
  static failure none() { return failure(errc::internal, "not in this ledger"); }
  task<result<void>> reserve(upload, quota) override { co_return failure(errc::internal, "not asked"); }
  task<result<std::vector<upload>>> lease_due_verdicts(millis_clock, millis_clock, std::size_t) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<void>> postpone_verdict(std::string, millis_clock, bool) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<upload>> accept(std::string, std::string, millis_clock) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<upload>> check_again(std::string, stored_object, millis_clock) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<confirmation>> finish_accepting(std::string, std::string, millis_clock,
                                              std::optional<millis_clock>) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<confirmation>> reject(std::string, std::string, std::string, millis_clock, bool) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<upload>> claim_upload(std::string, std::string, millis_clock) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<upload>> start_removing(std::string, millis_clock) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<std::vector<upload>>> start_removing_unclaimed(millis_clock, millis_clock, std::size_t,
                                                             bucket_names) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<upload>> finish_removing(std::string, millis_clock) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<std::vector<rate_count>>> exchange_rates(std::string, std::vector<rate_count>, millis_clock) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<void>> settle(std::string, std::optional<std::uint64_t>) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<quota_usage>> find_usage(std::string, std::string, std::int64_t) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<started_parts>> start_parts(open_multipart) override { co_return none(); }
  task<result<void>> begin_multipart(open_multipart) override { co_return none(); }
  task<result<open_multipart>> name_multipart(std::string, std::string) override { co_return none(); }
  task<result<open_multipart>> take_turn(std::string, std::string, millis_clock, millis_clock) override {
    co_return none();
  }
  task<result<open_multipart>> keep_turn(std::string, std::string, kept_bytes, millis_clock, millis_clock) override {
    co_return none();
  }
  void keep_multiparts(std::vector<std::string>, millis_clock) override {}
  void end_multipart(std::string, std::optional<std::string>) override {}
  task<result<std::vector<open_multipart>>> lease_due_multiparts(millis_clock, millis_clock, std::size_t,
                                                                 bucket_names) override {
    co_return none();
  }
  task<result<std::vector<open_multipart>>> list_multiparts(object_name) override { co_return none(); }
  task<result<open_multipart>> find_multipart(std::string) override { co_return none(); }
  task<result<multipart_totals>> count_multiparts() override { co_return none(); }
  void issue(upload) override {}
  void start_receiving(upload, std::string) override {}
  task<result<upload>> reserve_key(upload, std::string, std::string) override { co_return none(); }
  void record_progress(std::vector<std::pair<std::string, std::uint64_t>>, millis_clock) override {}
  task<result<confirmation>> confirm(completion) override { co_return none(); }
  task<result<bool>> has_message(std::string, millis_clock) override { co_return none(); }
  task<result<void>> note_message(std::string, millis_clock) override { co_return none(); }
  task<result<void>> break_off(std::string, std::string) override { co_return none(); }
  task<result<upload>> fail(upload, std::string, std::string, millis_clock) override { co_return none(); }
  task<result<upload>> check_later(upload, millis_clock) override { co_return none(); }
  task<result<std::vector<upload>>> lease_due_probes(millis_clock, millis_clock, std::size_t, bucket_names) override {
    co_return none();
  }
  task<result<std::vector<upload>>> lease_due_checks(millis_clock, millis_clock, std::size_t, bucket_names) override {
    co_return none();
  }
  task<result<upload>> expire(std::string, millis_clock) override { co_return none(); }
  task<result<std::vector<webhook>>> list_webhooks(webhook_filter) override { co_return none(); }
  task<result<std::optional<millis_clock>>> oldest_webhook() override {
    if (broken) co_return *broken;
    std::optional<millis_clock> oldest;
    for (const auto& [id, w] : rows)
      if (!w.is_dead) oldest = std::min(oldest.value_or(w.created_at), w.created_at);
    co_return oldest;
  }
  task<result<void>> note_secret(std::string, millis_clock) override { co_return none(); }
  task<result<std::vector<std::string>>> list_secrets(millis_clock) override { co_return none(); }
  task<result<std::size_t>> retry_webhooks(std::vector<std::string>, millis_clock) override { co_return none(); }
  task<result<std::size_t>> purge_webhooks(std::vector<std::string>) override { co_return none(); }
  task<result<upload>> find(std::string) override { co_return none(); }
  task<result<std::vector<upload>>> find_all(std::vector<std::string>) override { co_return none(); }
  task<result<std::vector<upload>>> list(upload_filter) override { co_return none(); }
  task<result<std::size_t>> purge_uploads(millis_clock, std::size_t) override { co_return none(); }
  task<result<void>> flush() override { co_return result<void>{}; }
};

} // namespace postern::test
