// The seeds of the fuzz targets and all that they once found (tests/data/fuzz), run without libFuzzer.
#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <fuzz/one_input.hpp>
#include <sstream>

using namespace postern;

BOOST_AUTO_TEST_CASE(seeds_and_findings_keep_their_promises) {
  const std::pair<const char*, void (*)(std::string_view)> targets[] = {{"form", fuzz::form},
                                                                        {"policy", fuzz::policy},
                                                                        {"claim", fuzz::claim},
                                                                        {"sign_request", fuzz::sign_request},
                                                                        {"event", fuzz::event}};
  for (const auto& [name, run] : targets) {
    int seen = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::string(POSTERN_SOURCE_DIR "/tests/data/fuzz/") + name)) {
      std::stringstream text;
      text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      BOOST_TEST_CONTEXT(entry.path().string()) run(text.str());
      ++seen;
    }
    BOOST_TEST(seen > 0);
  }
}
