#include <postern/app/stores/store_watch.hpp>
#include <postern/base/log.hpp>

#include <cerrno>
#include <cstring>
#include <unistd.h>

namespace postern::app {

using namespace std::chrono_literals;

namespace {

constexpr auto max_wait = 10s; // for one round

} // namespace

bool minute_limit::take(std::chrono::steady_clock::time_point now, std::size_t& left_out) {
  std::lock_guard lock(mutex_);
  if (last_ != std::chrono::steady_clock::time_point{} && now - last_ < 1min) {
    ++left_out_;
    return false;
  }
  last_ = now;
  left_out = std::exchange(left_out_, 0);
  return true;
}

store_watch::store_watch(stores::one& of)
    : of_(of), backend_(of.backend), name_(metric_name(of.settings.store)),
      is_up_("postern_store_up", "1 while the store can be used, by its last answer", "store=\"" + name_ + "\""),
      buckets_(buckets_of(of.settings)), folder_(of.settings.store.path),
      path_setting_(of.settings.store.setting("path")),
      last_(failure{errc::unavailable, "the store was not asked yet"}) {
  if (!backend_.s3)
    note(examine_folder());
  else
    backend_.s3->report_refusals_to([this](const aws_error& e) { note_refusal(e); });
}

result<void> store_watch::last() const {
  std::lock_guard lock(mutex_);
  return last_;
}

task<result<void>> store_watch::check() const {
  const auto answer = last();
  if (!answer || !of_.objects) co_return answer;
  co_return co_await of_.objects->check();
}

// A store without credentials is not asked: credentials has logged why there are none.
task<> store_watch::run_round() {
  if (backend_.s3 && !backend_.credentials.current()) {
    is_up_.set(0);
    std::lock_guard lock(mutex_);
    last_ = failure{errc::unavailable, "there are no credentials for the store"};
    co_return;
  }
  remedy_.clear();
  auto asking = ask_all();
  auto answer = co_await within(max_wait, std::move(asking), "the store did not answer within 10 s");
  note(answer);
}

task<result<void>> store_watch::ask_all() {
  if (!backend_.s3) {
    const auto usable = examine_folder();
    if (of_.objects) { // it can say why: the folder was moved or replaced
      auto same = co_await of_.objects->check();
      if (!same) co_return same;
    }
    co_return usable;
  }
  for (const auto& bucket : buckets_) {
    auto answer = co_await ask(bucket);
    if (!answer) co_return answer;
  }
  co_return result<void>{};
}

// HEAD needs the permission s3:ListBucket, without which uploads work. The answer to a HEAD has no body, so where it is
// refused, a GET finds out why.
task<result<void>> store_watch::ask(std::string bucket) {
  auto head = co_await backend_.s3->head_bucket(bucket);
  if (head) co_return result<void>{};
  const bool is_refused = head.error().status >= 400 && head.error().status < 500;
  if (!is_refused) co_return to_failure(head.error());
  auto location = co_await backend_.s3->get_bucket_location(bucket);
  if (location || location.error().code == "AccessDenied") {
    if (!std::exchange(has_told_of_permission_, true))
      log::error("the store denies a permission",
                 {{"store", name_},
                  {"bucket", bucket},
                  {"why", to_failure(head.error()).on},
                  {"remedy", "uploads may work; postern setup iam prints all permissions that Postern needs"}});
    co_return result<void>{};
  }
  remedy_ = remedy_for(location.error());
  co_return to_failure(location.error());
}

// It names the settings of [store].
std::string store_watch::remedy_for(const aws_error& e) const {
  std::string text(remedy_of(e));
  const std::string_view of_default = "store.";
  const auto own = of_.settings.store.setting("");
  for (auto at = text.find(of_default); at != text.npos; at = text.find(of_default, at + own.size()))
    text.replace(at, of_default.size(), own);
  return text;
}

result<void> store_watch::examine_folder() const {
  if (::access(folder_.c_str(), R_OK | W_OK | X_OK) == 0) return {};
  return failure{errc::store_failed, path_setting_ + " " + folder_.string() + ": " + std::strerror(errno)};
}

void store_watch::note(const result<void>& answer) {
  {
    std::lock_guard lock(mutex_);
    last_ = answer;
  }
  is_up_.set(answer.has_value());
  if (answer) {
    if (!told_.empty()) log::info("the store can be used again", {{"store", name_}});
    told_.clear();
    return;
  }
  std::size_t left_out = 0;
  const auto& why = answer.error().on;
  if (!failures_.take(std::chrono::steady_clock::now(), left_out) && why == told_) return;
  log::error(
      "the store cannot be used",
      {{"store", name_}, {"why", why}, {"remedy", remedy_.empty() ? std::string("run postern doctor") : remedy_}});
  told_ = why;
}

// The requests of this watch are logged by note().
void store_watch::note_refusal(const aws_error& e) {
  if (e.operation.starts_with("HeadBucket ") || e.operation.starts_with("GetBucketLocation ")) return;
  std::size_t left_out = 0;
  if (refusals_.take(std::chrono::steady_clock::now(), left_out))
    log::error("the store refuses requests",
               {{"store", name_}, {"why", to_failure(e).on}, {"remedy", remedy_for(e)}, {"left_out", left_out}});
}

store_watches::store_watches(const stores& all) {
  for (const auto& each : all.all()) all_.push_back(std::make_unique<store_watch>(*each));
}

task<> store_watches::run_round() {
  group rounds(co_await asio::this_coro::executor);
  for (const auto& each : all_) rounds.start(each->run_round());
  for (bool all = false; !all;) all = co_await rounds.wait(max_wait);
}

task<result<void>> store_watches::check() const {
  result<void> last;
  for (const auto& each : all_) {
    last = co_await each->check();
    if (last) break;
  }
  co_return last;
}

} // namespace postern::app
