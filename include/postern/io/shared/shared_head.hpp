// store::head for many callers. However often a claim or an event is repeated, the store gets ten of these requests a
// second at most for one object: calls within a tenth of a second after a request share the next one. So each answer is
// newer than the call that gets it, and a call on its own does not wait. Questions about different objects have a limit
// together, so that uploads find connections to the store, and a quarter of it is the share of one client. Of several
// stores, one has half of it: the others are asked although it is silent. Shared by all threads.
#pragma once

#include <postern/io/shared/shared_places.hpp>
#include <postern/io/store.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace postern {

class shared_head {
public:
  static constexpr std::chrono::milliseconds pause{100};     // between two questions about one object
  static constexpr std::size_t max_at_once = 48;             // questions about all objects
  static constexpr std::size_t max_of_client = 12;           // of these, questions for one client
  static constexpr std::size_t max_of_store = 24;            // and questions to one store, if there are several
  static constexpr std::chrono::milliseconds max_wait{1000}; // for each of the two places that a question needs

  // The store must outlive this, and this must outlive the loops on which it is called.
  explicit shared_head(store& objects) : store_(objects) {}

  // As store::head. `client` is the network of the client for whom the store is asked; empty: for no client, without a
  // share. errc::too_many_requests: no place became free within max_wait; the store was not asked. errc::cancelled: the
  // loop that asks for all has ended.
  task<result<stored_object>> ask(object_name name, std::string client = {});

private:
  using reply = std::function<void(result<stored_object>)>;
  struct questions {
    clock_point next_at{};      // no question before
    std::vector<reply> waiting; // for the next question; the first call has started it
  };
  task<> ask_store(std::string id, object_name name, std::string client, clock_point at);
  std::string share_of(const std::string& bucket) const;
  std::vector<reply> take_waiting(const std::string& id);
  void forget_old(clock_point now);

  store& store_;
  std::mutex mutex_;
  std::map<std::string, questions> objects_;         // by bucket/key
  std::size_t forget_at_ = 1024;                     // when there are so many, old ones are looked for
  shared_places places_{max_at_once, max_of_client}; // of questions that the store is asked now
  shared_places places_of_stores_{std::numeric_limits<std::size_t>::max(), max_of_store};
};

} // namespace postern
