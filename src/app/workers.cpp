#include <postern/app/workers.hpp>
#include <postern/base/log.hpp>
#include <postern/front/listen_address.hpp>
#include <postern/io/net/http_client.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>

#include <exception>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace postern::app {
namespace {

// Asio allocates a small block for each open descriptor and reuses it. A block between the memory of connections keeps
// a whole page when they are gone; allocated at the start, the blocks lie beside each other. Does what it can: there
// may be fewer descriptors than `count`.
void allocate_descriptor_states(asio::io_context& loop, std::size_t count) {
  const int any = ::eventfd(0, EFD_CLOEXEC);
  std::vector<asio::posix::stream_descriptor> open;
  open.reserve(count);
  while (open.size() < count) {
    const int copy = ::fcntl(any, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) break;
    boost::system::error_code ec;
    open.emplace_back(loop).assign(copy, ec);
    if (!ec) continue;
    ::close(copy);
    break;
  }
  ::close(any);
}

} // namespace

workers::workers(std::size_t threads, std::size_t descriptors) {
  for (std::size_t i = 0; i < threads; ++i) {
    all_.push_back(std::make_unique<worker>());
    allocate_descriptor_states(all_.back()->loop, descriptors / threads);
  }
}

workers::~workers() = default;

void workers::listen(const std::vector<std::string>& addresses, const front::server_options& options,
                     front::connection_count& count, resources& shared, const front::endpoint& answer) {
  for (const auto& text : addresses) {
    auto at = front::parse_listen_address(text);
    front::require_free_port(at);
    for (auto& w : all_) {
      w->servers.push_back(std::make_unique<front::http_server>(w->loop, at, options, count, shared, answer));
      at = w->servers.back()->local_endpoint();
    }
    log::info("listening", {{"kind", "public"}, {"address", front::to_text(at)}});
  }
}

void workers::run() {
  for (std::size_t i = 1; i < all_.size(); ++i) all_[i]->thread = std::thread([w = all_[i].get()] { w->run(); });
  all_.front()->run();
  for (std::size_t i = 1; i < all_.size(); ++i) all_[i]->thread.join();
}

void workers::drain(std::chrono::milliseconds max, std::function<void()> on_drained) {
  for (auto& each : all_) {
    auto* w = each.get();
    asio::post(w->loop, [w, max, on_drained] { w->tasks.start(w->drain(max, on_drained)); });
  }
}

void workers::cut() {
  for (auto& each : all_) asio::post(each->loop, [w = each.get()] { w->cut(); });
}

void workers::worker::run() {
  for (auto& s : servers) tasks.start(s->run());
  for (;;) {
    try {
      loop.run();
      return;
    } catch (const std::exception& e) {
      log::error("bug: an exception reached the loop", {{"what", e.what()}});
    }
  }
}

task<> workers::worker::drain(std::chrono::milliseconds max, std::function<void()> on_drained) {
  const std::function<void()> on_cut = [this] { http_client::stop(loop); };
  for (auto& s : servers) s->stop_accepting();
  const auto end = std::chrono::steady_clock::now() + max;
  for (auto& s : servers) co_await s->drain(end, on_cut);
  on_drained();
}

void workers::worker::cut() {
  for (auto& s : servers) s->cut();
  http_client::stop(loop);
}

} // namespace postern::app
