#include <postern/io/net/dial.hpp>

#include <boost/asio/redirect_error.hpp>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

namespace postern {
namespace {

using namespace std::chrono_literals;

// The attempts of one call. Each attempt shares it, because a closed socket reports its end after the call has ended.
struct race {
  explicit race(const io_executor& executor) : changed(executor) {}

  void begin(const std::shared_ptr<race>& self, const asio::ip::tcp::endpoint& to) {
    auto& socket = sockets.emplace_back(changed.get_executor());
    ++running;
    socket.async_connect(to, [self, &socket](const boost::system::error_code& ec) { self->end(socket, ec); });
  }
  void end(tcp_socket& socket, const boost::system::error_code& ec) {
    --running;
    if (!ec && !winner) winner = &socket;
    if (ec && !why) why = ec;
    changed.cancel();
  }
  void close_all() {
    boost::system::error_code ignored;
    for (auto& s : sockets) s.close(ignored);
  }

  timer changed;                  // cancelled when an attempt ends
  std::deque<tcp_socket> sockets; // a deque, because attempts refer to them
  std::size_t running = 0;
  tcp_socket* winner = nullptr;
  boost::system::error_code why; // of the first attempt that failed
};

// Closes the sockets of the attempts that did not win, also when the call is cancelled.
struct end_of_race {
  explicit end_of_race(std::shared_ptr<race> r) : of(std::move(r)) {}
  end_of_race(const end_of_race&) = delete;
  end_of_race& operator=(const end_of_race&) = delete;
  ~end_of_race() { of->close_all(); }
  const std::shared_ptr<race> of;
};

} // namespace

name_lookup::endpoints interleave_families(const name_lookup::endpoints& found) {
  name_lookup::endpoints mixed, first, second;
  for (const auto& e : found) (e.protocol() == found.front().protocol() ? first : second).push_back(e);
  for (std::size_t n = 0; n < std::max(first.size(), second.size()); ++n) {
    if (n < first.size()) mixed.push_back(first[n]);
    if (n < second.size()) mixed.push_back(second[n]);
  }
  return mixed;
}

task<result<tcp_socket>> dial(name_lookup::endpoints to) {
  const auto executor = co_await asio::this_coro::executor;
  const auto attempts = std::make_shared<race>(executor);
  const end_of_race ends(attempts);
  boost::system::error_code ec;
  const auto order = interleave_families(to);
  for (std::size_t next = 0; next < order.size() || attempts->running > 0;) {
    if (next < order.size()) attempts->begin(attempts, order[next++]);
    attempts->changed.expires_after(next < order.size() ? std::chrono::steady_clock::duration(dial_pause) : 1h);
    co_await attempts->changed.async_wait(asio::redirect_error(use_task, ec));
    if (attempts->winner) co_return std::move(*attempts->winner);
  }
  co_return failure{errc::unavailable, attempts->why.message()};
}

} // namespace postern
