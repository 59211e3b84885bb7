#include <postern/app/stores/known_abilities.hpp>
#include <postern/base/log.hpp>
#include <postern/io/s3/s3_abilities.hpp>

#include <boost/asio/redirect_error.hpp>

#include <algorithm>

namespace postern::app {

using namespace std::chrono_literals;

namespace {

constexpr auto max_question = 10s;
constexpr std::chrono::milliseconds first_pause = 1s, max_pause = 5min;
constexpr unsigned failures_to_log = 4; // after some seconds: a store that is still starting is no news

store_abilities assumed_of(const config& c) {
  return c.store.type == "s3" ? with_settings(c.store, assumed_abilities) : store_abilities{};
}

// The settings say all, so there is nothing to ask. No setting is about the preflight of presigned PUTs.
bool is_all_set(const config::store_section& s) {
  const auto is_form = [](config::direct_way w) { return w == config::direct_way::form; };
  return s.ways && std::all_of(s.ways->begin(), s.ways->end(), is_form) && !s.sends_checksums && !s.sends_if_none_match;
}

} // namespace

store_abilities with_settings(const config::store_section& s, store_abilities found) {
  if (s.ways) {
    using way = config::direct_way;
    const auto has = [&](way w) { return std::find(s.ways->begin(), s.ways->end(), w) != s.ways->end(); };
    found.takes_forms = has(way::form);
    found.takes_presigned_put = has(way::put);
    found.takes_presigned_parts = has(way::multipart);
  }
  if (!s.sends_checksums) found.checks_checksums = found.checks_whole_object = false;
  if (!s.sends_if_none_match) found.takes_if_none_match = false;
  return found;
}

place_to_ask place_to_ask_in(const config& as_seen) {
  if (as_seen.profiles.empty()) return {as_seen.store.bucket, ""};
  const auto& p = as_seen.profiles.begin()->second;
  return {p.bucket, p.key.substr(0, p.key.find("${"))};
}

task<aws_result<store_abilities>> ask_abilities_of(const config& as_seen, storage& of, multipart_journal* journal) {
  auto place = place_to_ask_in(as_seen);
  return ask_abilities(*of.s3, of.http, std::move(place.bucket), std::move(place.key_prefix),
                       std::chrono::steady_clock::now() + max_question, journal);
}

std::string ways_shown(const store_abilities& a) {
  std::string all;
  const auto add = [&](bool has, const char* way) {
    if (has) all.append(all.empty() ? "" : ", ").append(way);
  };
  add(a.takes_forms, "form");
  add(a.takes_presigned_put && a.preflights_signed_headers, "put");
  add(a.takes_presigned_parts, "multipart");
  return all.empty() ? "none" : all;
}

std::string checksums_shown(const store_abilities& a) {
  return a.checks_whole_object ? "whole object" : a.checks_checksums ? "parts" : "none";
}

known_abilities::known_abilities(const config& as_seen)
    : config_(as_seen), assumed_(assumed_of(as_seen)), now_(&assumed_) {}

void known_abilities::log_found() const {
  log::info("the store was asked what it can do", {{"store", metric_name(config_.store)},
                                                   {"ways", ways_shown(found_)},
                                                   {"checksums", checksums_shown(found_)},
                                                   {"if_none_match", found_.takes_if_none_match},
                                                   {"bucket_cors", found_.has_bucket_cors}});
}

task<> known_abilities::learn(storage& of, multipart_journal* journal) {
  if (!of.s3 || is_all_set(config_.store)) co_return;
  sleep_.emplace(co_await asio::this_coro::executor);
  boost::system::error_code ec;
  unsigned failures = 0;
  for (auto pause = first_pause; !is_stopped_; pause = std::min(pause * 2, max_pause)) {
    auto answer = co_await ask_abilities_of(config_, of, journal);
    if (answer) {
      found_ = with_settings(config_.store, *answer);
      now_.store(&found_, std::memory_order_release);
      log_found();
      break;
    }
    if (++failures == failures_to_log)
      log::warning("the store does not say what it can do",
                   {{"store", metric_name(config_.store)},
                    {"why", to_failure(answer.error()).on},
                    {"meanwhile", "browsers get the ways " + ways_shown(assumed_)}});
    if (is_stopped_) break;
    sleep_->expires_after(pause);
    co_await sleep_->async_wait(asio::redirect_error(use_task, ec));
  }
  sleep_.reset();
}

void known_abilities::stop() {
  is_stopped_ = true;
  if (sleep_) sleep_->cancel();
}

} // namespace postern::app
