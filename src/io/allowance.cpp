#include <postern/base/metrics.hpp>
#include <postern/io/allowance.hpp>

#include <boost/asio/redirect_error.hpp>

#include <algorithm>

namespace postern {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

metrics::gauge memory_taken_now("postern_memory_bytes",
                                "Memory taken by connections and uploads; the limit is limits.buffers", "");
metrics::gauge
    store_requests_now("postern_store_requests_open",
                       "Uploads whose bytes are on their way to the store; the limit is limits.store_requests", "");
metrics::counter waits("postern_waits_total", "Uploads that had to wait for memory or for a request to the store", "");
metrics::counter left("postern_uploads_left_total",
                      "Slow uploads that had to leave because memory or requests were short", "");

std::int64_t now_ns() { return steady_clock::now().time_since_epoch().count(); }

} // namespace

// --- resources --------------------------------------------------------------------------------------

resources::resources(resource_limits limits)
    : max_wait_(limits.max_wait), memory_(limits.memory, limits.max_need), store_(limits.store_requests, 0) {}

std::uint64_t resources::memory_taken() const {
  std::lock_guard lock(mutex_);
  return memory_.taken();
}

std::uint64_t resources::store_requests() const {
  std::lock_guard lock(mutex_);
  return store_.taken();
}

resources::fixed_memory::fixed_memory(resources& of, std::uint64_t bytes) : of_(of), bytes_(bytes) {
  std::lock_guard lock(of_.mutex_);
  of_.memory_.charge(bytes_);
  of_.show_taken();
  of_.find_leavers();
}

// NOLINTNEXTLINE(bugprone-exception-escape): only without memory, which ends the program
resources::fixed_memory::~fixed_memory() {
  std::lock_guard lock(of_.mutex_);
  of_.memory_.discharge(bytes_);
  of_.wake_granted(of_.memory_);
}

// Each function below is called with the mutex held.

bool resources::take(fair_budget& of, fair_budget::holder& h, std::uint64_t amount) {
  const bool is_taken = of.take(h, amount);
  if (is_taken)
    show_taken();
  else
    wake_granted(of); // `h` itself, if it leads now
  find_leavers();
  return is_taken;
}

void resources::give_back(fair_budget& of, fair_budget::holder& h, std::uint64_t amount) {
  of.give_back(h, amount);
  wake_granted(of);
}

void resources::wake_granted(fair_budget& of) {
  for (auto* h : of.grant()) static_cast<allowance::part*>(h)->of->wake();
  show_taken();
}

void resources::show_taken() const {
  memory_taken_now.set(static_cast<std::int64_t>(memory_.taken()));
  store_requests_now.set(static_cast<std::int64_t>(store_.taken()));
}

// Looks at all holders, so at most ten times a second.
void resources::find_leavers() {
  if (!memory_.is_short() && !store_.is_short()) return;
  const auto now = steady_clock::now();
  if (now < next_look_) return;
  next_look_ = now + 100ms;
  const auto tell = [](fair_budget& of, const char* what) {
    if (!of.is_short()) return;
    for (auto* h : of.choose_leavers()) static_cast<allowance::part*>(h)->of->tell_to_leave(what);
  };
  tell(memory_, "memory (limits.buffers)");
  tell(store_, "requests to the store (limits.store_requests)");
}

// --- allowance --------------------------------------------------------------------------------------

allowance::allowance(resources& of, io_executor executor, const std::string& counts_in)
    : resources_(of), executor_(executor), self_(std::make_shared<allowance*>(this)) {
  for (auto* p : {&memory_, &store_}) {
    p->of = this;
    p->client = counts_in;
    p->time_left = [this] { return time_to_end(); };
  }
}

// NOLINTNEXTLINE(bugprone-exception-escape): only without memory, which ends the program
allowance::~allowance() {
  *self_ = nullptr;
  give_all_back();
}

void allowance::give_all_back() {
  if (!memory_.is_known() && !store_.is_known()) return; // nothing was ever taken
  std::lock_guard lock(resources_.mutex_);
  resources_.memory_.leave(memory_);
  resources_.store_.leave(store_);
  resources_.wake_granted(resources_.memory_);
  resources_.wake_granted(resources_.store_);
}

void allowance::set_store(const std::string& name) {
  std::lock_guard lock(resources_.mutex_);
  resources_.store_.set_group(store_, name);
}

void allowance::set_caller(const std::string& name) {
  std::lock_guard lock(resources_.mutex_);
  resources_.memory_.set_caller(memory_, name);
  resources_.store_.set_caller(store_, name);
}

// --- taking, and waiting

task<result<void>> allowance::take_memory(std::uint64_t bytes) {
  return take(resources_.memory_, memory_, bytes, std::nullopt);
}

task<result<void>> allowance::take_store_request(std::optional<steady_clock::time_point> by) {
  return take(resources_.store_, store_, 1, by);
}

task<result<void>> allowance::take(fair_budget& from, part& p, std::uint64_t amount,
                                   std::optional<steady_clock::time_point> by) {
  if (auto may_stay = check(); !may_stay) co_return may_stay;
  {
    std::lock_guard lock(resources_.mutex_);
    if (resources_.take(from, p, amount)) co_return result<void>{};
  }
  waits.add();
  timer woken(executor_);
  waits_ = &woken;
  const auto end = by.value_or(steady_clock::now() + resources_.max_wait_);
  result<bool> is_granted = look(from, p, end);
  while (is_granted && !*is_granted) {
    woken.expires_after(250ms);
    boost::system::error_code ec;
    co_await woken.async_wait(asio::redirect_error(use_task, ec));
    is_granted = look(from, p, end);
  }
  waits_ = nullptr;
  if (is_granted) co_return result<void>{};
  std::lock_guard lock(resources_.mutex_);
  from.stop_waiting(p);
  resources_.wake_granted(from); // those behind it may need less
  co_return is_granted.error();
}

// True: the amount is granted. A failure: waiting on is useless.
result<bool> allowance::look(fair_budget& from, part& p, steady_clock::time_point end) {
  {
    std::lock_guard lock(resources_.mutex_);
    if (!p.is_waiting()) return true;
    resources_.find_leavers();
  }
  if (auto may_stay = check(); !may_stay) return may_stay.error();
  if (client_.has_hung_up && client_.has_hung_up())
    return failure{errc::incomplete_body, "the client hung up while its upload had to wait"};
  if (steady_clock::now() < end) return false;
  return failure{errc::unavailable, &from == &resources_.memory_
                                        ? "no memory became free (limits.buffers)"
                                        : "no request to the store became free (limits.store_requests)"};
}

bool allowance::take_spare_memory(std::uint64_t bytes) {
  std::lock_guard lock(resources_.mutex_);
  const bool is_taken = resources_.memory_.take_spare(memory_, bytes);
  resources_.show_taken();
  return is_taken;
}

bool allowance::is_memory_scarce() const {
  std::lock_guard lock(resources_.mutex_);
  return resources_.memory_.is_half_taken();
}

void allowance::release_memory(std::uint64_t bytes) {
  std::lock_guard lock(resources_.mutex_);
  resources_.give_back(resources_.memory_, memory_, bytes);
}

void allowance::release_store_request() {
  std::lock_guard lock(resources_.mutex_);
  if (store_.held() > 0) resources_.give_back(resources_.store_, store_, 1);
}

void allowance::wake() {
  asio::post(executor_, [self = self_] {
    if (*self && (*self)->waits_) (*self)->waits_->cancel();
  });
}

// --- leaving

void allowance::tell_to_leave(const char* what) {
  left.add();
  short_of_.store(what, std::memory_order_relaxed);
  asio::post(executor_, [self = self_] {
    auto* a = *self;
    if (!a) return;
    if (a->waits_) a->waits_->cancel();
    if (a->client_.interrupt) a->client_.interrupt();
  });
}

result<void> allowance::check() const {
  const char* what = short_of_.load(std::memory_order_relaxed);
  if (!what) return {};
  return failure{errc::unavailable, std::string("this upload is slow, and others need its ") + what};
}

// --- speed

void allowance::begin_wait() { waits_since_.store(now_ns(), std::memory_order_relaxed); }

void allowance::end_wait(std::uint64_t arrived) {
  auto bytes = arrived_.load(std::memory_order_relaxed) + arrived;
  auto waited = waited_.load(std::memory_order_relaxed) + now_ns() - waits_since_.load(std::memory_order_relaxed);
  // What was long ago counts less and less. At least `patience` remains.
  if (std::chrono::nanoseconds(waited) > 2 * fair_budget::patience) waited /= 2, bytes /= 2;
  arrived_.store(bytes, std::memory_order_relaxed);
  waited_.store(waited, std::memory_order_relaxed);
  waits_since_.store(0, std::memory_order_relaxed);
  left_.store(left_ - std::min<std::uint64_t>(left_, arrived), std::memory_order_relaxed);
}

std::optional<fair_budget::duration> allowance::time_to_end() const {
  auto waited = waited_.load(std::memory_order_relaxed);
  if (const auto since = waits_since_.load(std::memory_order_relaxed)) waited += now_ns() - since;
  return time_left(left_.load(std::memory_order_relaxed), arrived_.load(std::memory_order_relaxed),
                   std::chrono::nanoseconds(waited));
}

} // namespace postern
