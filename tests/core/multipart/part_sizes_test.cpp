#include <postern/core/multipart/part_sizes.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

std::map<int, std::uint64_t> all_parts(const part_plan& plan) {
  std::map<int, std::uint64_t> lengths;
  for (int n = 1; n <= plan.count(); ++n) lengths[n] = plan.length(n);
  return lengths;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_parts_of_a_plan_are_the_file_within_the_limits_of_S3) {
  const std::uint64_t mib = 1 << 20, gib = 1 << 30;
  const std::uint64_t sizes[] = {0,       1,         16 * mib - 1,      16 * mib,           16 * mib + 1,     gib,
                                 5 * gib, 160 * gib, 160'000 * mib + 1, max_multipart_size, 4'999'999'999'999};
  for (const auto size : sizes) {
    BOOST_TEST_CONTEXT(size) {
      const auto plan = plan_multipart(size);
      std::uint64_t sum = 0;
      for (int n = 1; n <= plan.count(); ++n) {
        sum += plan.length(n);
        BOOST_REQUIRE((n == plan.count() || plan.length(n) >= min_part_size));
        BOOST_REQUIRE((plan.length(n) <= 5 * gib && (plan.length(n) > 0 || size == 0)));
      }
      BOOST_TEST(sum == size);
      BOOST_TEST((plan.count() >= 1 && plan.count() <= max_parts));
      BOOST_TEST(check_parts(plan, all_parts(plan)).has_value());
    }
  }
}

BOOST_AUTO_TEST_CASE(missing_short_and_surplus_parts_are_named) {
  const auto plan = plan_multipart(40 << 20);
  BOOST_TEST(plan.count() == 3);
  const auto why = [&](std::map<int, std::uint64_t> lengths) {
    const auto checked = check_parts(plan, lengths);
    return checked ? std::string("fits") : checked.error().on;
  };
  auto parts = all_parts(plan);
  BOOST_TEST(why(parts) == "fits");
  parts.erase(2);
  BOOST_TEST(why(parts) == "part 2 of 3 is not in the store; send it, and complete again");
  parts = all_parts(plan);
  parts[3] -= 1;
  BOOST_TEST(why(parts) == "part 3 has 8388607 bytes in the store, and must have 8388608; send it again");
  parts = all_parts(plan);
  parts[4] = 1;
  BOOST_TEST(why(parts) == "the store has a part 4, and the file has 3 parts only");
  BOOST_TEST(why({}) == "part 1 of 3 is not in the store; send it, and complete again");
}
