#include <postern/base/uuid.hpp>

#include <boost/test/unit_test.hpp>

#include <array>

using namespace postern;

BOOST_AUTO_TEST_CASE(uuids_of_version_7_sort_by_time) {
  std::array<unsigned char, 10> random;
  random.fill(0xff);
  const auto first = uuid_v7(millis_clock(std::chrono::milliseconds(0x0123456789ab)), random);
  BOOST_TEST(first == "01234567-89ab-7fff-bfff-ffffffffffff");
  BOOST_TEST(is_uuid(first));
  random.fill(0);
  BOOST_TEST(first < uuid_v7(millis_clock(std::chrono::milliseconds(0x0123456789ac)), random));
  for (const char* wrong : {"", "01234567-89AB-7fff-bfff-ffffffffffff", "01234567-89ab-7fff-bfff-fffffffffff",
                            "0123456789ab7fffbfffffffffffffff----", "../../..-....-....-....-............"})
    BOOST_TEST(!is_uuid(wrong), wrong);
  BOOST_TEST((time_of_uuid_v7(first) == millis_clock(std::chrono::milliseconds(0x0123456789ab))));
}

BOOST_AUTO_TEST_CASE(a_new_uuid_has_the_time_and_differs_from_the_last_one) {
  const auto now = millis_clock(std::chrono::milliseconds(1'764'000'000'123));
  const auto a = new_uuid_v7(now), b = new_uuid_v7(now);
  BOOST_TEST(is_uuid(a));
  BOOST_TEST((time_of_uuid_v7(a) == now));
  BOOST_TEST(a != b);
}
