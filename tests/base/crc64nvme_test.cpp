#include <postern/base/digest.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>
#include <string_view>

using namespace postern;

namespace {

std::uint64_t crc_of(std::string_view data) { return crc64nvme(0, {data.data(), data.size()}); }

// The definition, bit by bit.
std::uint64_t slow_crc_of(std::string_view data) {
  std::uint64_t crc = ~std::uint64_t{0};
  for (const char c : data) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x9a6c9329ac4bc9b5 : crc >> 1;
  }
  return ~crc;
}

std::string random_text(std::mt19937& random, std::size_t size) {
  std::string out(size, '\0');
  std::generate(out.begin(), out.end(), [&] { return static_cast<char>(random()); });
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(vectors_of_nvm_express) {
  // NVM Command Set Specification 1.0a, §5.2.1.3.5, "64b CRC Test Cases"
  BOOST_TEST(crc_of(std::string(4096, '\0')) == 0x6482d367eb22b64eu);
  BOOST_TEST(crc_of(std::string(4096, '\xff')) == 0xc0ddba7302eca3acu);
  std::string up(4096, '\0'), down(4096, '\0');
  std::iota(up.begin(), up.end(), '\0');
  std::iota(down.rbegin(), down.rend(), '\0');
  BOOST_TEST(crc_of(up) == 0x3e729f5f6750449cu);
  BOOST_TEST(crc_of(down) == 0x9a2df64b8e9e517eu);
}

BOOST_AUTO_TEST_CASE(vectors_of_aws) {
  // The tests of AWS's own library, awslabs/aws-checksums
  BOOST_TEST(crc_of(std::string(32, '\0')) == 0xcf3473434d4ecf3bu);
  std::string values(32, '\0');
  std::iota(values.begin(), values.end(), '\0');
  BOOST_TEST(crc_of(values) == 0xb9d9d4a8492cbd7fu);
  BOOST_TEST(crc_of("123456789") == 0xae8b14860a799888u); // also the check value in catalogues of CRCs
  BOOST_TEST(crc_of("") == 0u);
}

BOOST_AUTO_TEST_CASE(each_length_agrees_with_the_definition) {
  std::mt19937 random(1);
  for (std::size_t size = 0; size < 100; ++size) {
    const auto data = random_text(random, size);
    BOOST_TEST(crc_of(data) == slow_crc_of(data), size);
  }
}

BOOST_AUTO_TEST_CASE(any_split_has_the_crc_of_the_whole) {
  std::mt19937 random(2);
  for (int round = 0; round < 300; ++round) {
    const auto data = random_text(random, random() % 2000);
    const auto longest = round % 3 == 0 ? 3u : round % 3 == 1 ? 40u : 1000u;
    std::uint64_t crc = 0;
    for (std::string_view rest = data; !rest.empty();) {
      const auto piece = rest.substr(0, random() % (longest + 1)); // also pieces without a byte
      crc = crc64nvme(crc, {piece.data(), piece.size()});
      rest.remove_prefix(piece.size());
    }
    BOOST_TEST(crc == slow_crc_of(data), data.size());
  }
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_is_found) {
  std::mt19937 random(3);
  auto data = random_text(random, 67); // four steps and three bytes
  const auto whole = crc_of(data);
  for (std::size_t bit = 0; bit < 8 * data.size(); ++bit) {
    const auto flip = [&] { data[bit / 8] = static_cast<char>(data[bit / 8] ^ 1 << bit % 8); };
    flip();
    BOOST_TEST(crc_of(data) != whole, bit);
    flip();
  }
  BOOST_TEST(crc_of(data) == whole);
}
