// Limits how many connections are open, in all and from one client: an address, or a network as front/client_network
// says. A client behind a trusted proxy has no connection of its own: its requests are counted instead. One object
// counts for all threads and listeners of the process; any thread may use it.
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

  // Counts one connection or request while it lives. It must not outlive the connection_count.
  class ticket {
  public:
    ticket(connection_count& count, std::optional<asio::ip::address> network, bool is_connection)
        : count_(&count), network_(std::move(network)), is_connection_(is_connection) {}
    ticket(ticket&& other) noexcept
        : count_(std::exchange(other.count_, nullptr)), network_(std::move(other.network_)),
          is_connection_(other.is_connection_) {}
    ticket& operator=(ticket&& other) noexcept {
      std::swap(count_, other.count_);
      std::swap(network_, other.network_);
      std::swap(is_connection_, other.is_connection_);
      return *this;
    }
    ~ticket() {
      if (count_) count_->leave(*this);
    }

  private:
    friend class connection_count;
    connection_count* count_;
    std::optional<asio::ip::address> network_; // in whose number it counts
    bool is_connection_;                       // counts in the total
  };

  // Nothing when a limit is reached. With `is_proxy` only the total counts: a proxy connects for many clients.
  // `beyond`: so many more than the limit, because others are about to leave.
  std::optional<ticket> enter(const asio::ip::address& peer, bool is_proxy = false, std::uint64_t beyond = 0);
  // Whether the total is reached. Then another connection may give way.
  bool is_full() const;
  // For one request of a client that a trusted proxy names. Nothing when the limit per address is reached.
  std::optional<ticket> enter_behind_proxy(const asio::ip::address& client);

private:
  bool enter_network(const asio::ip::address& network);
  void leave(const ticket& t);

  const std::uint64_t max_, max_per_address_;
  mutable std::mutex mutex_;
  std::uint64_t total_ = 0;
  std::map<asio::ip::address, std::uint64_t> by_address_;
};

} // namespace postern::front
