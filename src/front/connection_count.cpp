#include <postern/front/client_network.hpp>
#include <postern/front/connection_count.hpp>

namespace postern::front {

// The caller holds the mutex.
bool connection_count::enter_network(const asio::ip::address& network) {
  auto& count = by_address_[network];
  if (max_per_address_ && count >= max_per_address_) return false;
  ++count;
  return true;
}

std::optional<connection_count::ticket> connection_count::enter(const asio::ip::address& peer, bool is_proxy,
                                                                std::uint64_t beyond) {
  std::optional<asio::ip::address> network;
  if (!is_proxy) network = network_of(peer);
  std::lock_guard lock(mutex_);
  if (max_ && total_ >= max_ + beyond) return std::nullopt;
  if (network && !enter_network(*network)) return std::nullopt;
  ++total_;
  return ticket(*this, std::move(network), true);
}

std::optional<connection_count::ticket> connection_count::enter_behind_proxy(const asio::ip::address& client) {
  const auto network = network_of(client);
  std::lock_guard lock(mutex_);
  if (!enter_network(network)) return std::nullopt;
  return ticket(*this, network, false);
}

bool connection_count::is_full() const {
  std::lock_guard lock(mutex_);
  return max_ && total_ >= max_;
}

void connection_count::leave(const ticket& t) {
  std::lock_guard lock(mutex_);
  if (t.is_connection_) --total_;
  if (!t.network_) return;
  if (const auto found = by_address_.find(*t.network_); --found->second == 0) by_address_.erase(found);
}

} // namespace postern::front
