#include <postern/core/s3/delimiter.hpp>

#include <boost/test/unit_test.hpp>

#include <random>

using namespace postern;

namespace {

// The result of find, computed byte by byte.
std::size_t slowly(std::string_view hay, std::string_view text) {
  for (std::size_t at = 0; at < hay.size(); ++at) {
    const auto rest = hay.substr(at, text.size());
    if (rest == text.substr(0, rest.size())) return at; // whole, or cut by the end
  }
  return hay.npos;
}

std::size_t find(const delimiter& d, std::string_view hay) { return d.find({hay.data(), hay.size()}); }

} // namespace

BOOST_AUTO_TEST_SUITE(delimiter_test)

BOOST_AUTO_TEST_CASE(a_delimiter_is_found_at_every_position) {
  for (std::size_t length = 1; length <= 70; ++length) {
    const delimiter d(std::string(length / 2, '-') + std::string(length - length / 2, 'b'));
    for (std::size_t before = 0; before < 200; ++before) {
      const auto hay = std::string(before, 'x') + std::string(d.text()) + std::string(before % 7 * 20, 'y');
      BOOST_TEST_REQUIRE(find(d, hay) == before);
      for (std::size_t cut = before + 1; cut < before + d.text().size(); cut += 3)
        BOOST_TEST_REQUIRE(find(d, hay.substr(0, cut)) == before);
      BOOST_TEST_REQUIRE(find(d, hay.substr(0, before)) == std::string::npos);
    }
  }
}

// Few different bytes, so that nearly every place looks like the beginning of a delimiter.
BOOST_AUTO_TEST_CASE(find_agrees_with_a_search_byte_by_byte) {
  std::mt19937 random(7);
  const auto text_of = [&](std::size_t size, std::string_view alphabet) {
    std::string out;
    for (std::size_t i = 0; i < size; ++i) out += alphabet[random() % alphabet.size()];
    return out;
  };
  for (int round = 0; round < 20'000; ++round) {
    const delimiter d(text_of(1 + random() % 70, "-b"));
    std::string hay;
    while (hay.size() < 300) {
      const auto whole = std::string(d.text());
      switch (random() % 6) {
      case 0: hay += text_of(random() % 60, "\r\n-b"); break;
      case 1: hay += text_of(random() % 60, "b"); break;
      case 2: hay += whole.substr(0, random() % whole.size()); break;
      case 3: hay += whole.substr(random() % whole.size()); break;
      case 4: hay += text_of(random() % 60, "-"); break;
      default: hay += random() % 8 == 0 ? whole : whole.substr(1);
      }
    }
    hay.resize(random() % hay.size());
    BOOST_TEST_REQUIRE(find(d, hay) == slowly(hay, d.text()));
  }
}

BOOST_AUTO_TEST_SUITE_END()
