#include <postern/io/net/name_lookup.hpp>

#include <boost/asio/redirect_error.hpp>

namespace postern {
namespace {

result<name_lookup::endpoints> resolve_with_system(const std::string& host, std::uint16_t port) {
  asio::io_context unused;
  asio::ip::tcp::resolver resolver(unused);
  boost::system::error_code ec;
  const auto found = resolver.resolve(host, std::to_string(port), ec);
  if (ec) return failure{errc::unavailable, "the name " + quote(host) + " cannot be resolved: " + ec.message()};
  name_lookup::endpoints out;
  for (const auto& f : found) out.push_back(f.endpoint());
  return out;
}

// One lookup, shared by the resolver's thread and the waiting coroutine. The resolver's thread holds the mutex while it
// posts to the io_context. The coroutine locks the mutex before it ends, so the io_context still exists at that moment.
struct lookup {
  std::mutex mutex;
  std::optional<result<name_lookup::endpoints>> answer;
  timer* waiter = nullptr; // null once the coroutine has stopped waiting

  void complete(result<name_lookup::endpoints> a, const io_executor& home, const std::shared_ptr<lookup>& self) {
    std::lock_guard lock(mutex);
    answer.emplace(std::move(a));
    if (!waiter) return;
    asio::post(home, [self] {
      std::lock_guard again(self->mutex);
      if (self->waiter) self->waiter->cancel();
    });
  }
};

// Registers the coroutine's timer with the lookup for as long as the coroutine waits.
struct registration {
  registration(std::shared_ptr<lookup> f, timer& t) : on(std::move(f)) {
    std::lock_guard lock(on->mutex);
    on->waiter = &t;
  }
  registration(const registration&) = delete;
  registration& operator=(const registration&) = delete;
  ~registration() {
    std::lock_guard lock(on->mutex);
    on->waiter = nullptr;
  }
  std::optional<result<name_lookup::endpoints>> answer() {
    std::lock_guard lock(on->mutex);
    return on->answer;
  }
  const std::shared_ptr<lookup> on;
};

} // namespace

name_lookup::name_lookup(std::size_t threads, resolver resolve)
    : resolve_(resolve ? std::move(resolve) : resolve_with_system), threads_(threads) {}

name_lookup::~name_lookup() {
  threads_.stop();
  threads_.join();
}

task<result<name_lookup::endpoints>> name_lookup::find(std::string host, std::uint16_t port,
                                                       std::chrono::milliseconds max) {
  const auto home = co_await asio::this_coro::executor;
  timer limit(home, max);
  const auto running = std::make_shared<lookup>();
  registration waiting(running, limit);
  asio::post(threads_, [this, running, host, port, home] { running->complete(resolve_(host, port), home, running); });
  boost::system::error_code ec;
  co_await limit.async_wait(asio::redirect_error(use_task, ec));
  if (auto answer = waiting.answer()) co_return std::move(*answer);
  co_return failure{errc::timed_out, "looking up the name " + quote(host)};
}

} // namespace postern
