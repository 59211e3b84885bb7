// Nodes that share a ledger hold each rate limit together, approximately: about once a second, a node records how often
// it admitted each noticeable user, and takes from its own buckets what the other nodes have recorded since. Owned by
// the node; one thread uses it. The limiters serve all threads meanwhile and never wait for the ledger.
//
// What holds: in t seconds, k nodes together admit a user at most `rate` * t times, and what each of them admits before
// it has learned of the others: k times `burst` and `rate` * (the seconds between two exchanges). That is owed
// afterwards, up to ten bursts, so it is no gain to use many nodes again and again. Use below a tenth of the rate at a
// node is not exchanged, so k nodes may add k tenths of the rate. While the ledger is away, each node limits by itself.
// So does a node with more than max_users noticeable users, for the lightest of them.
#pragma once

#include <postern/flow/admission/rate_limiter.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/tasks.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

namespace postern {

class rate_exchange {
public:
  static constexpr std::size_t max_users = 256; // of each limit, in one exchange

  struct limit {
    std::string name; // the same on all nodes
    rate_limiter* of; // must outlive this
  };
  // `node`: a new id of this process.
  rate_exchange(std::vector<limit> limits, std::string node, std::function<rate_limiter::time_point()> clock);

  // One exchange. Without noticeable users, the ledger is not asked.
  task<> run_round(ledger& records, millis_clock now);

private:
  struct shared_bucket {
    rate_limiter* limiter;
    std::string user;
  };

  const std::vector<limit> limits_;
  const std::string node_;
  const std::function<rate_limiter::time_point()> clock_;
  // What the other nodes had recorded at the last exchange, by id. A user is kept while noticeable.
  std::unordered_map<std::string, std::uint64_t> seen_;
};

} // namespace postern
