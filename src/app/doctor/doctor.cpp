#include <postern/app/doctor/checks.hpp>
#include <postern/app/doctor/doctor.hpp>
#include <postern/app/doctor/remedies.hpp>
#include <postern/app/setup/setup.hpp>
#include <postern/app/stores/stores.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace postern::app {
namespace {

finding skipped_after(const std::string& failed) {
  return finding::skipped("skipped, because the check \"" + failed + "\" failed");
}

// A sequence of checks. Each needs the earlier ones, so after a failure the rest is skipped.
class check_sequence {
public:
  explicit check_sequence(report& out) : out_(out) {}

  task<> run(std::string name, task<finding> check) {
    if (!failed_.empty()) {
      out_.add(name, skipped_after(failed_));
      co_return;
    }
    auto found = co_await std::move(check);
    add(name, found);
  }
  void add(const std::string& name, const finding& found) {
    out_.add(name, found);
    if (found.kind == verdict::failed && failed_.empty()) failed_ = name;
  }
  // The name of the check that failed first. Empty: none.
  const std::string& failed() const { return failed_; }

private:
  report& out_;
  std::string failed_;
};

std::string shown_place(const config::store_section& s) {
  return s.type == "file" ? "the directory " + s.path.string()
                          : "S3 at " + (s.endpoint.empty() ? "AWS, " + s.region : s.endpoint);
}

finding check_configuration(const config& c) {
  auto text = "public_url " + c.server.public_url + ", store: " + shown_place(c.store);
  for (const auto& s : c.stores) text += ", " + shown_name(s) + ": " + shown_place(s);
  text += ", ledger " + without_password(c.ledger.url);
  if (c.admits_nobody())
    return finding::warning(text + "; nobody may sign uploads",
                            "Set auth.api_keys for the application's back end. To try Postern out without keys, set "
                            "auth.anonymous = true.");
  return finding::passed(text);
}

// With the first object: then the keys and the bucket are right.
task<> show_abilities(examination& exam, const std::string& failed) {
  if (!failed.empty() && is_s3(exam)) {
    exam.out.add("abilities", skipped_after(failed));
    co_return;
  }
  const auto findings = co_await check_abilities(exam);
  for (const auto& found : findings) exam.out.add("abilities", found);
}

// How browsers bring a file of this profile.
task<> check_direct_way(examination& exam, check_sequence& checks, const profile& rules) {
  if (!is_s3(exam) || exam.used.takes_forms)
    co_await checks.run("form", check_form(exam, rules));
  else if (exam.used.takes_presigned_put)
    co_await checks.run("presigned PUT", check_presigned_put(exam, rules));
  else
    exam.out.add("form", finding::skipped("skipped, because browsers upload through Postern only"));
}

// The bucket, and with it the profiles that write to it.
task<> check_bucket_and_forms(examination& exam, check_sequence checks, std::string bucket, bool is_first) {
  co_await checks.run("bucket", check_bucket(exam, bucket));
  bool has_probed = false;
  for (const auto& [name, rules] : exam.c.profiles) {
    if (rules.bucket != bucket) continue;
    if (!std::exchange(has_probed, true)) {
      co_await checks.run("probe object", check_probe(exam, rules));
      if (is_first) co_await show_abilities(exam, checks.failed());
    }
    co_await check_direct_way(exam, checks, rules);
  }
  if (has_probed && is_s3(exam)) co_await checks.run("lifecycle", check_lifecycle(exam, bucket));
}

// The store is asked in the first one what it can do.
std::vector<std::string> buckets_in_order(const config& c) {
  std::vector<std::string> all{place_to_ask_in(c).bucket};
  for (const auto& bucket : buckets_of(c))
    if (bucket != all.front()) all.push_back(bucket);
  return all;
}

task<> check_origins(examination& exam, bool is_store_reached) {
  if (!is_s3(exam)) {
    exam.out.add("CORS", finding::skipped("pages post to Postern, which accepts the server.allowed_origins"));
    co_return;
  }
  if (!is_store_reached) {
    exam.out.add("CORS", skipped_after("store"));
    co_return;
  }
  for (const auto& bucket : buckets_of(exam.c))
    for (const auto& origin : origins_of(exam.c)) {
      auto found = co_await check_origin(exam, bucket, origin);
      exam.out.add("CORS", found);
    }
}

// One store, and the profiles that upload to it.
task<> check_store_and_forms(examination& exam) {
  check_sequence checks(exam.out);
  co_await checks.run("store", check_store(exam));
  const bool is_store_reached = checks.failed().empty();
  if (is_store_reached)
    checks.add("clock", check_clock(exam));
  else
    exam.out.add("clock", skipped_after("store"));
  co_await checks.run("credentials", check_credentials(exam));
  co_await checks.run("AssumeRole", check_role(exam));
  const auto buckets = buckets_in_order(exam.c);
  for (const auto& bucket : buckets) co_await check_bucket_and_forms(exam, checks, bucket, bucket == buckets.front());
  co_await check_origins(exam, is_store_reached);
}

// What all stores have in common.
task<> check_node(examination& exam, std::optional<finding> public_url) {
  auto ledger = co_await check_ledger(exam);
  exam.out.add("ledger", ledger);
  auto secrets = co_await check_secrets(exam);
  exam.out.add("secrets", secrets);
  for (std::size_t index = 0; index < exam.c.webhooks.size(); ++index) {
    auto found = co_await check_webhook(exam, index);
    exam.out.add("webhook", found);
  }
  if (!public_url) public_url = co_await check_public_url(exam);
  exam.out.add("public_url", *public_url);
  auto large = co_await check_large_form(exam);
  exam.out.add("large form", large);
}

using examinations = std::vector<std::unique_ptr<examination>>; // one for each store

// The one that posts the large form to the running server, if any can.
examination& poster_of(const examinations& all) {
  for (const auto& one : all)
    if (takes_large_form(one->c)) return *one;
  return *all.front();
}

task<> check_all(const examinations& all, bool& has_ended) {
  auto& poster = poster_of(all);
  // With a file store the form goes to the running server, so the first question is whether there is one.
  std::optional<finding> public_url;
  const bool has_files = std::any_of(all.begin(), all.end(), [](const auto& one) { return !is_s3(*one); });
  if (has_files) public_url = co_await check_public_url(poster);
  for (const auto& one : all) {
    one->is_served = poster.is_served;
    if (all.size() > 1) one->out.begin_section(shown_name(one->c.store));
    co_await check_store_and_forms(*one);
  }
  if (all.size() > 1) poster.out.begin_section("Postern");
  co_await check_node(poster, std::move(public_url));
  has_ended = true;
}

finding unusable_configuration(const std::exception& e) {
  return finding::failed(e.what(), "conf/README.md describes each setting with its default.");
}

} // namespace

int examine(const std::function<config()>& load, const std::string& config_option) {
  report out(stdout);
  std::optional<config> c;
  try {
    c.emplace(load());
  } catch (const std::exception& e) {
    out.add("configuration", unusable_configuration(e));
    out.finish();
    return 2;
  }
  // The findings already say what the log would.
  if (c->logging.level != log::level::debug) log::set_up(log::level::error, c->logging.format);
  asio::io_context loop{1}; // must outlive the threads that answer to it
  try {
    examinations all;
    auto views = by_store(*c);
    for (auto& seen : views) {
      const auto store_option = views.size() > 1 ? " --store " + metric_name(seen.store) : "";
      all.push_back(std::make_unique<examination>(std::move(seen), out, config_option, store_option));
      (void)direct_urls(all.back()->c); // throws when the store's public_endpoint cannot be used
    }
    out.add("configuration", check_configuration(*c));
    group running(loop.get_executor());
    bool has_ended = false;
    running.start(check_all(all, has_ended));
    loop.run();
    for (const auto& one : all) one->backend.join();
    if (!has_ended)
      out.add("doctor", finding::failed("stopped before the last check because of a bug; the log line above names it",
                                        "Report this log line to the authors of Postern."));
  } catch (const std::exception& e) {
    out.add("configuration", unusable_configuration(e));
    out.finish();
    return 2;
  }
  return out.finish();
}

} // namespace postern::app
