// A limited number of places for work of one kind, of which one client has only a share. Shared by all threads.
#pragma once

#include <postern/io/tasks.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace postern {

class shared_places {
  using by_client = std::map<std::string, std::size_t>; // how many places each client has

public:
  // `all` places, of which one client has at most `of_client`.
  shared_places(std::size_t all, std::size_t of_client) : all_(all), of_client_(of_client) {}
  shared_places(const shared_places&) = delete;
  shared_places& operator=(const shared_places&) = delete;

  struct leave {
    shared_places* from;
    void operator()(by_client::value_type* client) const;
  };
  // Held while the work runs. The shared_places must outlive it.
  using place = std::unique_ptr<by_client::value_type, leave>;

  // Null: none is free for this client now. Work for no client, with an empty name, has no share.
  place take(const std::string& client);

  // The same, but waits for a free place; null: none became free within `max_wait`.
  task<place> wait_for(std::string client, std::chrono::milliseconds max_wait);

private:
  const std::size_t all_, of_client_;
  std::mutex mutex_;
  by_client taken_;
  std::size_t all_taken_ = 0;
};

} // namespace postern
