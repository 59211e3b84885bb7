// A ledger whose Nth call fails; all other calls go to the real ledger.
#pragma once

#include "faults.hpp"
#include <postern/io/ledger.hpp>

namespace postern::test {

class faulty_ledger final : public ledger {
public:
  // The references must outlive this.
  faulty_ledger(ledger& real, faults& when) : real_(real), faults_(when) {}

  void issue(upload u) override {
    if (is_kept("issue")) real_.issue(std::move(u));
  }
  task<result<void>> reserve(upload u, quota limits) override {
    return with("reserve", real_.reserve(std::move(u), limits));
  }
  task<result<void>> settle(std::string id, std::optional<std::uint64_t> stored) override {
    return with("settle", real_.settle(std::move(id), stored));
  }
  task<result<started_parts>> start_parts(open_multipart m) override {
    return with("start_parts", real_.start_parts(std::move(m)));
  }
  task<result<void>> begin_multipart(open_multipart m) override {
    return with("begin_multipart", real_.begin_multipart(std::move(m)));
  }
  task<result<open_multipart>> name_multipart(std::string id, std::string store_id) override {
    return with("name_multipart", real_.name_multipart(std::move(id), std::move(store_id)));
  }
  void keep_multiparts(std::vector<std::string> ids, millis_clock due_at) override {
    if (is_kept("keep_multiparts")) real_.keep_multiparts(std::move(ids), due_at);
  }
  void end_multipart(std::string id, std::optional<std::string> store_id) override {
    if (is_kept("end_multipart")) real_.end_multipart(std::move(id), std::move(store_id));
  }
  task<result<std::vector<open_multipart>>> lease_due_multiparts(millis_clock now, millis_clock until, std::size_t max,
                                                                 bucket_names without) override {
    return with("lease_due_multiparts", real_.lease_due_multiparts(now, until, max, std::move(without)));
  }
  task<result<std::vector<open_multipart>>> list_multiparts(object_name name) override {
    return with("list_multiparts", real_.list_multiparts(std::move(name)));
  }
  task<result<open_multipart>> take_turn(std::string id, std::string holder, millis_clock now,
                                         millis_clock until) override {
    return with("take_turn", real_.take_turn(std::move(id), std::move(holder), now, until));
  }
  task<result<open_multipart>> keep_turn(std::string id, std::string holder, kept_bytes kept, millis_clock until,
                                         millis_clock due_at) override {
    return with("keep_turn", real_.keep_turn(std::move(id), std::move(holder), kept, until, due_at));
  }
  task<result<open_multipart>> find_multipart(std::string id) override {
    return with("find_multipart", real_.find_multipart(std::move(id)));
  }
  task<result<multipart_totals>> count_multiparts() override {
    return with("count_multiparts", real_.count_multiparts());
  }
  task<result<quota_usage>> find_usage(std::string profile, std::string user, std::int64_t day) override {
    return with("find_usage", real_.find_usage(std::move(profile), std::move(user), day));
  }
  void start_receiving(upload u, std::string attempt) override {
    if (is_kept("start_receiving")) real_.start_receiving(std::move(u), std::move(attempt));
  }
  void record_progress(std::vector<std::pair<std::string, std::uint64_t>> received, millis_clock not_before) override {
    if (is_kept("record_progress")) real_.record_progress(std::move(received), not_before);
  }
  task<result<upload>> reserve_key(upload u, std::string signed_key, std::string attempt) override {
    return with("reserve_key", real_.reserve_key(std::move(u), std::move(signed_key), std::move(attempt)));
  }
  task<result<confirmation>> confirm(completion c) override { return with("confirm", real_.confirm(std::move(c))); }
  task<result<void>> break_off(std::string id, std::string attempt) override {
    return with("break_off", real_.break_off(std::move(id), std::move(attempt)));
  }
  task<result<upload>> fail(upload u, std::string attempt, std::string code, millis_clock at) override {
    return with("fail", real_.fail(std::move(u), std::move(attempt), std::move(code), at));
  }
  task<result<upload>> check_later(upload u, millis_clock at) override {
    return with("check_later", real_.check_later(std::move(u), at));
  }
  task<result<std::vector<upload>>> lease_due_probes(millis_clock now, millis_clock until, std::size_t max,
                                                     bucket_names without) override {
    return with("lease_due_probes", real_.lease_due_probes(now, until, max, std::move(without)));
  }
  task<result<std::vector<upload>>> lease_due_checks(millis_clock now, millis_clock until, std::size_t max,
                                                     bucket_names without) override {
    return with("lease_due_checks", real_.lease_due_checks(now, until, max, std::move(without)));
  }
  task<result<std::vector<upload>>> lease_due_verdicts(millis_clock now, millis_clock until, std::size_t max) override {
    return with("lease_due_verdicts", real_.lease_due_verdicts(now, until, max));
  }
  task<result<void>> postpone_verdict(std::string id, millis_clock at, bool has_failed) override {
    return with("postpone_verdict", real_.postpone_verdict(std::move(id), at, has_failed));
  }
  task<result<upload>> accept(std::string id, std::string etag, millis_clock until) override {
    return with("accept", real_.accept(std::move(id), std::move(etag), until));
  }
  task<result<upload>> check_again(std::string id, stored_object found, millis_clock at) override {
    return with("check_again", real_.check_again(std::move(id), std::move(found), at));
  }
  task<result<confirmation>> finish_accepting(std::string id, std::string etag, millis_clock at,
                                              std::optional<millis_clock> claim_until) override {
    return with("finish_accepting", real_.finish_accepting(std::move(id), std::move(etag), at, claim_until));
  }
  task<result<confirmation>> reject(std::string id, std::string etag, std::string reason, millis_clock at,
                                    bool is_gone) override {
    return with("reject", real_.reject(std::move(id), std::move(etag), std::move(reason), at, is_gone));
  }
  task<result<upload>> claim_upload(std::string id, std::string reference, millis_clock at) override {
    return with("claim_upload", real_.claim_upload(std::move(id), std::move(reference), at));
  }
  task<result<upload>> start_removing(std::string id, millis_clock until) override {
    return with("start_removing", real_.start_removing(std::move(id), until));
  }
  task<result<std::vector<upload>>> start_removing_unclaimed(millis_clock now, millis_clock until, std::size_t max,
                                                             bucket_names without) override {
    return with("start_removing_unclaimed", real_.start_removing_unclaimed(now, until, max, std::move(without)));
  }
  task<result<upload>> finish_removing(std::string id, millis_clock at) override {
    return with("finish_removing", real_.finish_removing(std::move(id), at));
  }
  task<result<upload>> expire(std::string id, millis_clock at) override {
    return with("expire", real_.expire(std::move(id), at));
  }
  task<result<std::vector<webhook>>> lease_due_webhooks(millis_clock now, millis_clock until,
                                                        std::vector<webhook_demand> demands) override {
    return with("lease_due_webhooks", real_.lease_due_webhooks(now, until, std::move(demands)));
  }
  task<result<void>> record_delivery(std::string id) override {
    return with("record_delivery", real_.record_delivery(std::move(id)));
  }
  task<result<void>> record_failed_delivery(std::string id, std::string why,
                                            std::optional<millis_clock> retry_at) override {
    return with("record_failed_delivery", real_.record_failed_delivery(std::move(id), std::move(why), retry_at));
  }
  task<result<std::size_t>> expire_webhooks(std::string url, millis_clock before, std::string why) override {
    return with("expire_webhooks", real_.expire_webhooks(std::move(url), before, std::move(why)));
  }
  task<result<void>> stop_endpoint(std::string url, std::string why) override {
    return with("stop_endpoint", real_.stop_endpoint(std::move(url), std::move(why)));
  }
  task<result<std::vector<webhook>>> list_webhooks(webhook_filter filter) override {
    return with("list_webhooks", real_.list_webhooks(std::move(filter)));
  }
  task<result<std::size_t>> retry_webhooks(std::vector<std::string> ids, millis_clock now) override {
    return with("retry_webhooks", real_.retry_webhooks(std::move(ids), now));
  }
  task<result<std::size_t>> purge_webhooks(std::vector<std::string> ids) override {
    return with("purge_webhooks", real_.purge_webhooks(std::move(ids)));
  }
  task<result<std::optional<millis_clock>>> oldest_webhook() override {
    return with("oldest_webhook", real_.oldest_webhook());
  }
  task<result<bool>> has_message(std::string id, millis_clock now) override {
    return with("has_message", real_.has_message(std::move(id), now));
  }
  task<result<void>> note_message(std::string id, millis_clock now) override {
    return with("note_message", real_.note_message(std::move(id), now));
  }
  task<result<void>> note_secret(std::string fingerprint, millis_clock now) override {
    return with("note_secret", real_.note_secret(std::move(fingerprint), now));
  }
  task<result<std::vector<std::string>>> list_secrets(millis_clock since) override {
    return with("list_secrets", real_.list_secrets(since));
  }
  task<result<std::vector<rate_count>>> exchange_rates(std::string node, std::vector<rate_count> taken,
                                                       millis_clock now) override {
    return with("exchange_rates", real_.exchange_rates(std::move(node), std::move(taken), now));
  }
  task<result<upload>> find(std::string id) override { return with("find", real_.find(std::move(id))); }
  task<result<std::vector<upload>>> find_all(std::vector<std::string> ids) override {
    return with("find_all", real_.find_all(std::move(ids)));
  }
  task<result<std::vector<upload>>> list(upload_filter filter) override {
    return with("list", real_.list(std::move(filter)));
  }
  task<result<std::size_t>> purge_uploads(millis_clock created_before, std::size_t max) override {
    return with("purge_uploads", real_.purge_uploads(created_before, max));
  }
  task<result<void>> flush() override { return with("flush", real_.flush()); }

private:
  template <class T> task<result<T>> with(const char* what, task<result<T>> made) {
    return faults_.around(what, errc::ledger_failed, std::move(made));
  }
  // A call that is written behind has no answer: it is lost, or it is not.
  bool is_kept(const char* what) {
    const auto now = faults_.next(what);
    faults::throw_if(now);
    return !now || now == fault::late || now == fault::answer_lost;
  }

  ledger& real_;
  faults& faults_;
};

} // namespace postern::test
