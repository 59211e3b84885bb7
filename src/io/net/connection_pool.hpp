// The client connections of one thread: idle ones are kept for the next request to the same server, and the deadlines
// of connections in use are watched. Each io_context has one pool, made at the first use and destroyed with the
// io_context.
#pragma once

#include <postern/core/http/url.hpp>
#include <postern/io/net/wire.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/execution_context.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace postern {

class connection_pool final : public asio::execution_context::service {
public:
  using key_type = connection_pool;
  static asio::execution_context::id id;
  // Connections are shared by requests that have the same TLS settings and go to the same server.
  using key = std::pair<const asio::ssl::context*, http_address>;

  explicit connection_pool(asio::execution_context& on);

  connections& all() { return all_; }

  // Cuts all connections. From then on the pool is stopped.
  void stop();
  bool is_stopped() const { return is_stopped_; }

  std::unique_ptr<connection> take(const key& of); // an idle connection that the server has not closed; else nullptr
  void keep(const key& of, std::unique_ptr<connection> c);

private:
  friend class pooled_connection;
  struct idle_connection {
    std::unique_ptr<connection> c;
    std::chrono::steady_clock::time_point since;
  };
  void begin_use();
  void end_use() { --in_use_; }
  task<> watch();
  void shutdown() override { idle_.clear(); }

  io_executor executor_;
  connections all_;
  group watching_;
  std::map<key, std::vector<idle_connection>> idle_;
  std::size_t in_use_ = 0;
  bool is_stopped_ = false;
};

// A connection in use. keep() returns the connection to the pool; otherwise the destructor closes it.
class pooled_connection {
public:
  pooled_connection(connection_pool& pool, connection_pool::key of, std::unique_ptr<connection> c, bool was_used)
      : wire(std::move(c)), was_used_before(was_used), pool_(pool), of_(std::move(of)) {
    pool_.begin_use();
  }
  pooled_connection(const pooled_connection&) = delete;
  pooled_connection& operator=(const pooled_connection&) = delete;
  ~pooled_connection() { pool_.end_use(); }

  void keep() { pool_.keep(of_, std::move(wire)); }
  // `f`; its code becomes errc::cancelled if the pool was stopped, because then that is why the request failed.
  failure reason(failure f, bool is_cleanup = false) const {
    if (pool_.is_stopped() && !is_cleanup) f.code = errc::cancelled;
    return f;
  }

  std::unique_ptr<connection> wire;
  const bool was_used_before;

private:
  connection_pool& pool_;
  connection_pool::key of_;
};

} // namespace postern
