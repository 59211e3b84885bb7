// A proxy between a client and a server on this machine. It cuts the connection when the client sends a certain word:
// before the server receives the word, or after the server has replied and before the client receives the reply.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <atomic>
#include <mutex>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace postern::test {

class cutting_proxy {
public:
  explicit cutting_proxy(const std::string& to_port)
      : to_(boost::asio::ip::address_v4::loopback(), static_cast<unsigned short>(std::stoi(to_port))),
        listens_(io_, {boost::asio::ip::address_v4::loopback(), 0}),
        port_(std::to_string(listens_.local_endpoint().port())), accepting_([this] { accept(); }) {}
  ~cutting_proxy() {
    ending_ = true;
    accepting_.join();
    for (auto& t : sessions_) t.join();
  }
  cutting_proxy(const cutting_proxy&) = delete;
  cutting_proxy& operator=(const cutting_proxy&) = delete;

  const std::string& port() const { return port_; }
  unsigned cuts() const { return cuts_; }
  // Once, at the next occurrence of the word.
  void cut_after(std::string word) { set(std::move(word), false); }
  void cut_before(std::string word) { set(std::move(word), true); }
  void let_all_pass() { set("", false); }

private:
  using socket = boost::asio::ip::tcp::socket;

  void set(std::string word, bool before) {
    std::lock_guard lock(mutex_);
    word_ = std::move(word), before_ = before;
  }

  static bool readable(int fd) {
    pollfd p{fd, POLLIN, 0};
    return ::poll(&p, 1, 20) > 0;
  }

  void accept() {
    while (!ending_) {
      if (!readable(listens_.native_handle())) continue;
      socket client(io_);
      listens_.accept(client);
      sessions_.emplace_back([this, c = std::move(client)]() mutable { pass(c); });
    }
  }

  void pass(socket& client) {
    boost::system::error_code ec;
    socket server(io_);
    server.connect(to_, ec);
    if (ec) return;
    std::vector<char> bytes(65536);
    bool cutting = false;
    while (!ending_) {
      pollfd both[2]{{client.native_handle(), POLLIN, 0}, {server.native_handle(), POLLIN, 0}};
      if (::poll(both, 2, 20) <= 0) continue;
      for (int from = 0; from < 2; ++from) {
        if (!both[from].revents) continue;
        const auto n = ::recv(both[from].fd, bytes.data(), bytes.size(), 0);
        if (n <= 0) return;
        const std::string_view text(bytes.data(), static_cast<std::size_t>(n));
        if (from == 0) {
          std::lock_guard lock(mutex_);
          if (!word_.empty() && text.find(word_) != text.npos) {
            word_.clear();
            ++cuts_;
            if (before_) return;
            cutting = true;
          }
        } else if (cutting) {
          return; // the server has replied
        }
        if (::send(both[1 - from].fd, bytes.data(), text.size(), MSG_NOSIGNAL) != n) return;
      }
    }
  }

  boost::asio::io_context io_;
  const boost::asio::ip::tcp::endpoint to_;
  boost::asio::ip::tcp::acceptor listens_;
  const std::string port_;
  std::atomic<bool> ending_{false};
  std::atomic<unsigned> cuts_{0};
  std::mutex mutex_;
  std::string word_;
  bool before_ = false;
  std::vector<std::thread> sessions_;
  std::thread accepting_;
};

} // namespace postern::test
