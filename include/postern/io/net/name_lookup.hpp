// Names to addresses, with an end to the waiting. The system's resolver blocks, for half a minute where a name server
// says nothing, and cannot be interrupted; Asio's waits for it, one name after another. Here it works on a few threads
// of its own, and whoever has waited long enough goes on without it. Shared by all threads.
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

  // The resolver is called on those threads; by default it is the system's.
  explicit name_lookup(std::size_t threads = 2, resolver ask = {});
  ~name_lookup(); // waits for what the resolver is in the middle of

  // At least one endpoint. errc::unavailable when the name is not known or the resolver fails, errc::timed_out.
  task<result<endpoints>> find(std::string host, std::uint16_t port, std::chrono::milliseconds max);

private:
  const resolver ask_;
  asio::thread_pool threads_;
};

} // namespace postern
