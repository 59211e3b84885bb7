// The check that every fuzz target uses.
#pragma once

#include <cstdlib>

namespace postern::fuzz {

// Aborts, so that libFuzzer keeps the input, when a property does not hold.
inline void require(bool holds) {
  if (!holds) std::abort();
}

} // namespace postern::fuzz
