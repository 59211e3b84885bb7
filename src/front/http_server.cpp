#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/front/cors.hpp>
#include <postern/front/http_server.hpp>
#include <postern/front/listen_address.hpp>

#include <boost/asio/redirect_error.hpp>

namespace postern::front {

using namespace std::chrono_literals;

namespace {

metrics::gauge open_connections("postern_connections", "Open client connections", "");
metrics::counter refused_connections("postern_connections_refused_total",
                                     "Connections refused because a limit was reached", "");

// Connections beyond limits.connections for which others were cut that have not ended yet.
constexpr std::uint64_t max_beyond = 16;

// Answers to connections that no limit allows, with different values of Retry-After. Their requests are not read, so
// they have no id.
std::vector<std::string> busy_answers() {
  std::vector<std::string> all(16);
  const failure why{errc::unavailable, "limits.connections or limits.connections_per_address is reached"};
  for (auto& out : all) append_response(out, readable_refusal(problem_of(why, "none")), false, false, "none");
  return all;
}

struct counted_as_open {
  counted_as_open() { open_connections.add(1); }
  ~counted_as_open() { open_connections.add(-1); }
};

} // namespace

http_server::http_server(asio::io_context& on, const asio::ip::tcp::endpoint& at, server_options options,
                         connection_count& count, resources& shared, endpoint answer)
    : on_(on), options_(std::move(options)), count_(count), shared_(shared), answer_(std::move(answer)),
      acceptor_(on.get_executor()), connections_(on.get_executor()),
      turned_away_(options_.tls ? std::vector{tls_alert()} : busy_answers()), clean_up_(on.get_executor()),
      sessions_(on.get_executor()) {
  listen_on(acceptor_, at);
}

http_server::~http_server() = default;

task<> http_server::run() {
  sessions_.start(connections_.watch());
  sessions_.start(clean_up_turned_away());
  boost::system::error_code ec;
  while (acceptor_.is_open()) {
    tcp_socket socket(on_.get_executor());
    co_await acceptor_.async_accept(socket, asio::redirect_error(use_task, ec));
    if (!acceptor_.is_open()) break;
    if (ec) {
      // The usual cause is that no file descriptor is free. The pause lets sessions end and free some.
      if (ec != asio::error::connection_aborted) log::warning("accept failed", {{"why", ec.message()}});
      connections_.cut_longest_idle();
      timer pause(on_.get_executor(), 100ms);
      co_await pause.async_wait(asio::redirect_error(use_task, ec));
      continue;
    }
    const auto peer = socket.remote_endpoint(ec);
    if (ec) continue; // the client has left
    if (auto ticket = admit(peer.address())) {
      sessions_.start(serve(std::move(socket), std::move(*ticket)));
    } else {
      refused_connections.add();
      turned_away_.add(std::move(socket));
    }
  }
}

// When all places are taken, a connection that waits for its next request gives way to the new one.
std::optional<connection_count::ticket> http_server::admit(const asio::ip::address& peer) {
  const bool is_proxy = options_.proxies.contains(peer);
  auto ticket = count_.enter(peer, is_proxy);
  if (!ticket && count_.is_full() && connections_.cut_longest_idle()) ticket = count_.enter(peer, is_proxy, max_beyond);
  return ticket;
}

task<> http_server::clean_up_turned_away() {
  boost::system::error_code ec;
  while (acceptor_.is_open()) {
    clean_up_.expires_after(100ms);
    co_await clean_up_.async_wait(asio::redirect_error(use_task, ec));
    turned_away_.clean_up(std::chrono::steady_clock::now());
  }
}

task<> http_server::serve(tcp_socket socket, connection_count::ticket ticket) {
  (void)ticket; // counts until this returns
  const counted_as_open counted;
  const resources::fixed_memory own(shared_, connection_memory + (options_.tls ? tls_memory : 0));
  connection c(connections_, std::move(socket), options_.tls);
  http_session session(c, connections_, options_.limits, options_.proxies, count_, shared_, answer_);
  co_await session.run();
}

void http_server::stop_accepting() {
  boost::system::error_code ec;
  acceptor_.close(ec);
  clean_up_.cancel();
  connections_.drain();
}

task<> http_server::drain(std::chrono::steady_clock::time_point end, std::function<void()> on_cut) {
  stop_accepting();
  boost::system::error_code ec;
  // One member of the group is the watch over deadlines; the sessions need it until the last one has ended.
  timer tick(on_.get_executor());
  while (sessions_.size() > 1 && std::chrono::steady_clock::now() < end) {
    tick.expires_after(20ms);
    co_await tick.async_wait(asio::redirect_error(use_task, ec));
  }
  if (sessions_.size() > 1) {
    log::warning("drain timed out; cutting connections",
                 {{"connections", sessions_.size() - 1}, {"setting", "server.drain"}});
    on_cut();
  }
  connections_.cut_all();
  connections_.stop();
  co_await sessions_.wait(10s);
}

} // namespace postern::front
