#include <postern/io/net/name_lookup.hpp>

#include <boost/asio/redirect_error.hpp>

namespace postern {
namespace {

result<name_lookup::endpoints> ask_system(const std::string& host, std::uint16_t port) {
  asio::io_context unused;
  asio::ip::tcp::resolver resolver(unused);
  boost::system::error_code ec;
  const auto found = resolver.resolve(host, std::to_string(port), ec);
  if (ec) return failure{errc::unavailable, "the name " + quote(host) + " cannot be resolved: " + ec.message()};
  name_lookup::endpoints out;
  for (const auto& f : found) out.push_back(f.endpoint());
  return out;
}

// One question, and who waits for its answer, if anyone still does. The resolver's thread wakes the loop with the mutex
// held, and the waiting coroutine takes it before it goes on: so the loop is still there.
struct question {
  std::mutex mutex;
  std::optional<result<name_lookup::endpoints>> answer;
  timer* waits = nullptr;

  void answered(result<name_lookup::endpoints> a, const io_executor& home, const std::shared_ptr<question>& self) {
    std::lock_guard lock(mutex);
    answer.emplace(std::move(a));
    if (!waits) return;
    asio::post(home, [self] {
      std::lock_guard again(self->mutex);
      if (self->waits) self->waits->cancel();
    });
  }
};

struct waiting {
  waiting(std::shared_ptr<question> f, timer& t) : on(std::move(f)) {
    std::lock_guard lock(on->mutex);
    on->waits = &t;
  }
  waiting(const waiting&) = delete;
  waiting& operator=(const waiting&) = delete;
  ~waiting() {
    std::lock_guard lock(on->mutex);
    on->waits = nullptr;
  }
  std::optional<result<name_lookup::endpoints>> answer() {
    std::lock_guard lock(on->mutex);
    return on->answer;
  }
  const std::shared_ptr<question> on;
};

} // namespace

name_lookup::name_lookup(std::size_t threads, resolver ask)
    : ask_(ask ? std::move(ask) : ask_system), threads_(threads) {}

name_lookup::~name_lookup() {
  threads_.stop();
  threads_.join();
}

task<result<name_lookup::endpoints>> name_lookup::find(std::string host, std::uint16_t port,
                                                       std::chrono::milliseconds max) {
  const auto home = co_await asio::this_coro::executor;
  timer patience(home, max);
  const auto asked = std::make_shared<question>();
  waiting here(asked, patience);
  asio::post(threads_, [this, asked, host, port, home] { asked->answered(ask_(host, port), home, asked); });
  boost::system::error_code ec;
  co_await patience.async_wait(asio::redirect_error(use_task, ec));
  if (auto answer = here.answer()) co_return std::move(*answer);
  co_return failure{errc::timed_out, "looking up the name " + quote(host)};
}

} // namespace postern
