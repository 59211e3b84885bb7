#include <postern/base/uuid.hpp>
#include <postern/flow/resume/turns.hpp>

#include <boost/asio/redirect_error.hpp>

#include <algorithm>

namespace postern {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds first_pause = 10ms, max_pause = 500ms; // while another request has the turn
constexpr std::chrono::seconds max_wait = turns::lease + 5s;               // a dead holder's lease is over by then

task<> sleep_for(std::chrono::milliseconds pause) {
  timer t(co_await asio::this_coro::executor, pause);
  co_await t.async_wait(use_task);
}

} // namespace

// --- whose turn it is -----------------------------------------------------------------------------------

task<result<std::unique_ptr<turn>>> turns::take(std::string id) {
  const auto holder = new_uuid_v7(clock_());
  const auto give_up_at = std::chrono::steady_clock::now() + max_wait;
  for (auto pause = first_pause;; pause = std::min(2 * pause, max_pause)) {
    const auto now = clock_();
    auto row = co_await ledger_.take_turn(id, holder, now, now + lease);
    if (!row) co_return row.error();
    if (row->holder == holder) {
      const auto executor = co_await asio::this_coro::executor;
      co_return std::make_unique<turn>(*this, std::move(*row), executor);
    }
    if (std::chrono::steady_clock::now() >= give_up_at)
      co_return failure{errc::unavailable, "another request is sending this upload and does not stop"};
    tell_local_holder(id);
    co_await sleep_for(pause);
  }
}

void turns::enter(const std::string& id, holder_ptr h) {
  std::lock_guard lock(mutex_);
  holders_[id] = std::move(h);
}

void turns::leave(const std::string& id, const holder_ptr& h) {
  std::lock_guard lock(mutex_);
  const auto found = holders_.find(id);
  if (found != holders_.end() && found->second == h) holders_.erase(found);
}

void turns::tell_local_holder(const std::string& id) {
  holder_ptr here;
  {
    std::lock_guard lock(mutex_);
    const auto found = holders_.find(id);
    if (found == holders_.end()) return;
    here = found->second;
  }
  asio::post(here->executor, [here] {
    if (here->is) here->is->let_go();
  });
}

// --- one turn -------------------------------------------------------------------------------------------

turn::turn(turns& of, open_multipart row, io_executor executor)
    : turns_(of), row_(std::move(row)), here_(std::make_shared<turns::local_holder>(executor)), sleep_(executor) {
  here_->is = this;
  turns_.enter(row_.id, here_);
}

turn::~turn() {
  here_->is = nullptr;
  turns_.leave(row_.id, here_);
}

void turn::let_go() {
  must_let_go_ = true;
  if (body_) body_->interrupt();
  sleep_.cancel();
}

task<> turn::watch(byte_source& body, std::chrono::milliseconds grace) {
  body_ = &body;
  if (must_let_go_) body.interrupt(); // since before the body was known
  while (!is_over_ && !must_let_go_) {
    boost::system::error_code ec;
    sleep_.expires_after(turns::look);
    co_await sleep_.async_wait(asio::redirect_error(use_task, ec));
    if (is_over_ || must_let_go_) break;
    const bool goes_on = co_await extend(grace);
    if (!goes_on && !is_over_) let_go();
  }
  body_ = nullptr;
}

task<bool> turn::extend(std::chrono::milliseconds grace) {
  const auto now = turns_.clock_();
  auto kept = co_await turns_.ledger_.keep_turn(row_.id, row_.holder, row_.kept, now + turns::lease, now + grace);
  if (kept) {
    row_.held_until = kept->held_until;
    const bool is_wanted = !kept->wanted_by.empty();
    co_return !is_wanted;
  }
  is_lost_ = kept.error().code == errc::conflict;
  // While the ledger is away, the turn lasts as long as it was promised.
  co_return !is_lost_ && turns_.clock_() + turns::look < row_.held_until;
}

void turn::stop_watching() {
  is_over_ = true;
  sleep_.cancel();
}

task<result<void>> turn::release(millis_clock due_at) {
  if (is_lost_) co_return failure{errc::conflict, "another request goes on with this upload"};
  auto kept = co_await turns_.ledger_.keep_turn(row_.id, row_.holder, row_.kept, millis_clock{}, due_at);
  if (!kept) co_return kept.error();
  co_return result<void>{};
}

} // namespace postern
