// Random bytes that nobody can predict.
#pragma once

#include <span>

namespace postern {

// Fills `into` from the operating system's generator (OpenSSL's RAND_bytes). Any thread. Aborts the program when the
// generator fails, since every secret depends on it.
void random_bytes(std::span<unsigned char> into);

// From 0 to 1, without 1. The same.
double random_fraction();

} // namespace postern
