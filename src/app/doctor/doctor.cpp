#include <postern/app/doctor/checks.hpp>
#include <postern/app/doctor/doctor.hpp>
#include <postern/app/doctor/remedies.hpp>
#include <postern/app/setup/setup.hpp>

#include <cstdio>

namespace postern::app {
namespace {

// A row of checks each of which needs those before it.
class chain {
public:
  explicit chain(report& out) : out_(out) {}

  task<> next(std::string what, task<finding> check) {
    if (!broken_at_.empty()) {
      out_.add(what, finding::untried("first " + broken_at_));
      co_return;
    }
    auto found = co_await std::move(check);
    add(what, found);
  }
  void add(const std::string& what, const finding& found) {
    out_.add(what, found);
    if (found.is == verdict::wrong && broken_at_.empty()) broken_at_ = what;
  }
  const std::string& broken_at() const { return broken_at_; }

private:
  report& out_;
  std::string broken_at_;
};

finding configuration(const config& c) {
  const auto store = c.store.type == "file" ? "the directory " + c.store.path.string()
                                            : "S3 at " + (is_aws(c) ? "AWS, " + c.store.region : c.store.endpoint);
  const auto text =
      "public_url " + c.server.public_url + ", store " + store + ", ledger " + without_password(c.ledger_url);
  if (!c.auth.anonymous && c.auth.api_keys.empty())
    return {verdict::warning, text + "; but nobody may sign",
            "Set auth.api_keys for the application's back end, or auth.anonymous = true for trying it out."};
  return finding::right(text);
}

task<> check_all(patient& p, bool& ended) {
  chain row(p.out);
  // With a directory the form is judged by the running server, so it must be known first whether there is one.
  std::optional<finding> home;
  if (!is_s3(p)) home = co_await check_public_url(p);
  co_await row.next("store", check_store(p));
  if (row.broken_at().empty())
    row.add("clock", check_clock(p));
  else
    p.out.add("clock", finding::untried("first store"));
  const bool reached = row.broken_at() != "store";
  co_await row.next("credentials", check_credentials(p));
  co_await row.next("AssumeRole", check_role(p));
  for (const auto& bucket : buckets_of(p.c)) {
    auto of_bucket = row;
    co_await of_bucket.next("bucket", check_bucket(p, bucket));
    bool probed = false;
    for (const auto& [name, rules] : p.c.profiles) {
      if (rules.bucket != bucket) continue;
      if (!std::exchange(probed, true)) co_await of_bucket.next("probe object", check_probe(p, rules));
      co_await of_bucket.next("form", check_form(p, rules));
    }
  }
  if (!is_s3(p)) {
    p.out.add("CORS", finding::untried("pages post to Postern itself, which lets server.allowed_origins in"));
  } else if (!reached) {
    p.out.add("CORS", finding::untried("first store"));
  } else {
    for (const auto& bucket : buckets_of(p.c))
      for (const auto& origin : origins_of(p.c)) {
        auto found = co_await check_origin(p, bucket, origin);
        p.out.add("CORS", found);
      }
  }
  auto ledger = co_await check_ledger(p);
  p.out.add("ledger", ledger);
  for (std::size_t which = 0; which < p.c.webhooks.size(); ++which) {
    auto found = co_await check_webhook(p, which);
    p.out.add("webhook", found);
  }
  if (!home) home = co_await check_public_url(p);
  p.out.add("public_url", *home);
  ended = true;
}

} // namespace

int examine(const std::function<config()>& load, const std::string& with_config) {
  report out(stdout);
  std::optional<config> c;
  try {
    c.emplace(load());
  } catch (const std::exception& e) {
    out.add("configuration", finding::wrong(e.what(), "Every setting is described in README.md."));
    out.finish();
    return 2;
  }
  // What is done by itself elsewhere, and logged, is a finding here.
  if (c->log_level != log::level::debug) log::set_up(log::level::error, c->log_format);
  asio::io_context loop{1}; // outlives the threads that answer to it
  try {
    patient p(std::move(*c), out, with_config);
    (void)direct_urls(p.c); // throws where store.public_endpoint cannot be used
    out.add("configuration", configuration(p.c));
    group running(loop.get_executor());
    bool ended = false;
    running.start(check_all(p, ended));
    loop.run();
    p.backend.disk.join();
    if (!ended) out.add("doctor", finding::wrong("ended by a fault of its own, see the log line", ""));
  } catch (const std::exception& e) {
    out.add("configuration", finding::wrong(e.what(), "Every setting is described in README.md."));
    out.finish();
    return 2;
  }
  return out.finish();
}

} // namespace postern::app
