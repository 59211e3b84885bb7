// Limits how many connections are open, in all and from one client address. One object counts for all threads and
// listeners of the process; any thread may use it.
#pragma once

#include <postern/io/tasks.hpp>

#include <boost/asio/ip/address.hpp>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace postern::front {

class connection_count {
public:
  // 0 switches a limit off.
  connection_count(std::uint64_t max, std::uint64_t max_per_address) : max_(max), max_per_address_(max_per_address) {}

  // Counts one connection while it lives. It must not outlive the connection_count.
  class ticket {
  public:
    ticket(connection_count& count, asio::ip::address peer) : count_(&count), peer_(std::move(peer)) {}
    ticket(ticket&& other) noexcept : count_(std::exchange(other.count_, nullptr)), peer_(std::move(other.peer_)) {}
    ~ticket() {
      if (count_) count_->leave(peer_);
    }

  private:
    connection_count* count_;
    asio::ip::address peer_;
  };

  // Nothing when a limit is reached. With `is_proxy` only the total counts: a proxy connects for many clients.
  std::optional<ticket> enter(const asio::ip::address& peer, bool is_proxy = false);

private:
  void leave(const asio::ip::address& peer);

  const std::uint64_t max_, max_per_address_;
  std::mutex mutex_;
  std::uint64_t total_ = 0;
  std::map<asio::ip::address, std::uint64_t> by_address_;
};

} // namespace postern::front
