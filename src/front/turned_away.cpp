#include <postern/front/turned_away.hpp>
#include <postern/io/net/wire.hpp>

#include <sys/socket.h>

namespace postern::front {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

void turned_away::add(tcp_socket socket) {
  const int fd = socket.native_handle();
  const auto& answer = answers_[next_answer_++ % answers_.size()];
  ::send(fd, answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL); // fits into the buffer of a new socket
  ::shutdown(fd, SHUT_WR);
  drop_received(fd);
  if (all_.size() == max) all_.pop_front();
  all_.push_back({std::move(socket), steady_clock::now()});
}

void turned_away::clean_up(steady_clock::time_point now) {
  std::erase_if(all_, [now](refused& r) { return drop_received(r.socket.native_handle()) == 0 || now - r.since > 1s; });
}

std::string tls_alert() { return {"\x15\x03\x01\x00\x02\x02\x50", 7}; }

} // namespace postern::front
