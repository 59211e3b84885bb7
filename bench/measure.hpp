// How the benchmarks measure: the best of several rounds of the same work, because what disturbs a round only ever
// makes it slower.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace postern::bench {

// The shortest time of run(), in seconds.
template <class Run> double best_of(int rounds, Run run) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

// Prevents the compiler from removing code whose result is unused.
template <class T> void use(const T& value) { asm volatile("" : : "g"(&value) : "memory"); }

} // namespace postern::bench
