// Runs a fuzz target, without libFuzzer, on its seeds and on all inputs that once failed (tests/data/fuzz/NAME).
#pragma once

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

namespace postern::fuzz {

inline void run_seeds(const std::string& name, void (*target)(std::string_view)) {
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(POSTERN_SOURCE_DIR "/tests/data/fuzz/" + name)) {
    std::stringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    BOOST_TEST_CONTEXT(entry.path().string()) target(text.str());
    ++seen;
  }
  BOOST_TEST(seen > 0, name << " has no seeds");
}

} // namespace postern::fuzz
