#include <postern/front/connection_count.hpp>

namespace postern::front {

std::optional<connection_count::ticket> connection_count::enter(const asio::ip::address& peer, bool is_proxy) {
  std::lock_guard lock(mutex_);
  auto& from_peer = by_address_[peer];
  if ((max_ && total_ >= max_) || (!is_proxy && max_per_address_ && from_peer >= max_per_address_)) {
    if (from_peer == 0) by_address_.erase(peer);
    return std::nullopt;
  }
  ++from_peer;
  ++total_;
  return ticket(*this, peer);
}

void connection_count::leave(const asio::ip::address& peer) {
  std::lock_guard lock(mutex_);
  --total_;
  if (const auto found = by_address_.find(peer); --found->second == 0) by_address_.erase(found);
}

} // namespace postern::front
