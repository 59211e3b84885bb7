// What every ledger must do with the rates that several nodes hold together. The test of each ledger calls check_rates
// with a function that makes one.
#pragma once

#include "ledger_contract.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace postern::test {

// `has_several_nodes`: whether the database may have several nodes. Otherwise nothing is exchanged.
inline void check_rates(const make_ledger_fn& make, bool has_several_nodes) {
  const auto l = make({});
  using counts = std::map<std::string, std::uint64_t>;
  const auto exchange = [&](const char* node, std::vector<rate_count> taken, std::int64_t at = 1) {
    counts others;
    for (const auto& [id, n] : run_task(l->exchange_rates(node, std::move(taken), at_second(at))).value())
      others[id] = n;
    return others;
  };
  const auto expected = [&](counts others) { return has_several_nodes ? others : counts{}; };

  BOOST_TEST(exchange("a", {}).empty());
  BOOST_TEST((exchange("a", {{"u", 5}, {"v", 7}}) ==
              expected({{"u", 0}, {"v", 0}}))); // its own counts are not those of others
  BOOST_TEST((exchange("b", {{"u", 2}, {"w", 1}}) == expected({{"u", 5}, {"w", 0}})));
  BOOST_TEST((exchange("c", {{"u", 0}, {"v", 0}, {"w", 0}}) == expected({{"u", 7}, {"v", 7}, {"w", 1}})));
  BOOST_TEST((exchange("a", {{"u", 10}}) == expected({{"u", 2}})));
  BOOST_TEST((exchange("b", {{"u", 0}}) == expected({{"u", 15}}))); // counts add up

  // A node forgets what it has not added to for rate_memory; of a node that has ended, others forget it later.
  exchange("a", {{"u", 1}}, 15);
  BOOST_TEST((exchange("a", {{"z", 1}}, 30) == expected({{"z", 0}})));
  BOOST_TEST((exchange("b", {{"u", 0}, {"v", 0}}, 30) == expected({{"u", 16}, {"v", 0}})));
  BOOST_TEST((exchange("c", {{"u", 0}, {"v", 0}}, 1000) == expected({{"u", 0}, {"v", 0}})));

  std::vector<rate_count> many;
  for (unsigned n = 0; n < 1'000; ++n) many.push_back({std::to_string(n), n + 1});
  exchange("a", many);
  const auto others = exchange("b", many);
  BOOST_TEST(others.size() == (has_several_nodes ? 1'000u : 0u));
  for (const auto& [id, n] : others) BOOST_TEST(std::to_string(n - 1) == id);
}

} // namespace postern::test
