// Resolves host names, with a timeout. The system's resolver blocks, up to half a minute for a silent name server, and
// cannot be interrupted; Asio's resolver queues all names behind it. So the system's resolver runs on a few threads of
// its own, and a caller whose timeout has passed goes on without the result. Shared by all threads.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace postern {

class name_lookup {
public:
  using endpoints = std::vector<asio::ip::tcp::endpoint>;
  using resolver = std::function<result<endpoints>(const std::string& host, std::uint16_t port)>;

  // `resolve` is called on the lookup's own threads; the default is the system's resolver.
  explicit name_lookup(std::size_t threads = 2, resolver resolve = {});
  ~name_lookup(); // waits for the resolver calls that are running

  // At least one endpoint. errc::unavailable when the name is unknown or the resolver fails, errc::timed_out.
  task<result<endpoints>> find(std::string host, std::uint16_t port, std::chrono::milliseconds max);

private:
  const resolver resolve_;
  asio::thread_pool threads_;
};

} // namespace postern
