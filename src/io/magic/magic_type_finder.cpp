#include "child_process.hpp"
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/core/file_type.hpp>
#include <postern/core/sign_request.hpp>
#include <postern/io/magic/magic_type_finder.hpp>

#include <algorithm>
#include <atomic>
#include <future>
#include <utility>

namespace postern {
namespace {

using std::chrono::steady_clock;

metrics::counter failures_of_children("postern_type_finder_failures_total",
                                      "Child processes for file types that crashed or took too long", "");

constexpr std::size_t max_answer = 255;          // bytes
constexpr unsigned failures_without_a_pause = 4; // in a row: two files that crash the child twice each

class finder final : public magic_type_finder {
public:
  explicit finder(magic_options options) : options_(std::move(options)) {}
  finder(const finder&) = delete;
  finder& operator=(const finder&) = delete;
  ~finder() override { thread_.join(); }

  task<result<std::string>> find(std::string first_bytes) override;
  result<void> check() override;
  int child() const override { return child_id_.load(); }

private:
  result<std::string> answer(std::string_view bytes, steady_clock::time_point asked);
  result<std::string> ask(std::string_view bytes);
  result<void> ensure_child();
  void note_failure(const failure& why);
  void end_child();

  const magic_options options_;
  std::atomic<std::size_t> waiting_ = 0;
  std::atomic<int> child_id_ = 0;
  // For the thread only:
  std::unique_ptr<child_process> child_;
  std::size_t answers_ = 0;               // of this child
  unsigned failures_ = 0;                 // of children, since the last answer
  steady_clock::time_point not_before_{}; // the next start
  asio::thread_pool thread_{1};
};

task<result<std::string>> finder::find(std::string first_bytes) {
  if (first_bytes.empty()) co_return complete_finding("", "");
  if (first_bytes.size() > looked_at_bytes) first_bytes.resize(looked_at_bytes);
  if (waiting_.fetch_add(1) >= options_.max_waiting) {
    waiting_.fetch_sub(1);
    co_return failure{errc::unavailable, "too many files wait for a look at their bytes"};
  }
  const std::unique_ptr<std::atomic<std::size_t>, void (*)(std::atomic<std::size_t>*)> place(
      &waiting_, [](auto* waiting) { waiting->fetch_sub(1); });
  const auto asked = steady_clock::now();
  const auto look = [this, &first_bytes, asked] { return answer(first_bytes, asked); };
  co_return co_await on_pool(thread_, look);
}

result<void> finder::check() {
  std::promise<result<void>> answer;
  asio::post(thread_, [this, &answer] { answer.set_value(ensure_child()); });
  return answer.get_future().get();
}

result<std::string> finder::answer(std::string_view bytes, steady_clock::time_point asked) {
  if (steady_clock::now() > asked + options_.to_wait)
    return failure{errc::unavailable, "the look at a file's bytes had to wait for too many others"};
  for (int tries = 0; tries < 2; ++tries) {
    if (auto ready = ensure_child(); !ready) return ready.error();
    auto type = ask(bytes);
    if (type) {
      failures_ = 0;
      if (++answers_ >= options_.max_answers) end_child();
      return complete_finding(*type, bytes);
    }
    note_failure(type.error());
  }
  return std::string{};
}

// One question to a child that is ready.
result<std::string> finder::ask(std::string_view bytes) {
  if (auto sent = child_->send(std::string("?").append(bytes)); !sent) return sent.error();
  auto type = child_->receive(max_answer, options_.to_answer);
  if (!type) return type;
  if (*type == "!") return std::string("application/octet-stream");
  if (!is_media_type(*type)) return failure{errc::disconnected, "the answer " + quote(*type) + " is not a media type"};
  return type;
}

result<void> finder::ensure_child() {
  if (child_) return {};
  if (steady_clock::now() < not_before_)
    return failure{errc::unavailable, "the child process that finds file types has failed several times in a row"};
  auto started = child_process::start(options_.command);
  if (!started) {
    note_failure(started.error());
    return started.error();
  }
  child_ = std::move(*started);
  child_id_ = child_->id();
  answers_ = 0;
  auto ready = child_->receive(max_answer, options_.to_start);
  if (ready && *ready == "ready") return {};
  failure why{errc::unavailable,
              "the child process that finds file types cannot start: " + (ready ? *ready : ready.error().on)};
  note_failure(why);
  return why;
}

void finder::note_failure(const failure& why) {
  failures_of_children.add();
  log::warning("the child process that finds file types failed", {{"pid", child_id_.load()}, {"why", why.on}});
  end_child();
  if (++failures_ < failures_without_a_pause) return;
  const auto doublings = std::min(failures_ - failures_without_a_pause, 16u);
  not_before_ = steady_clock::now() + std::min(options_.first_pause * (1 << doublings), options_.longest_pause);
}

void finder::end_child() {
  child_.reset();
  child_id_ = 0;
}

} // namespace

std::unique_ptr<magic_type_finder> make_magic_type_finder(magic_options options) {
  return std::make_unique<finder>(std::move(options));
}

} // namespace postern
