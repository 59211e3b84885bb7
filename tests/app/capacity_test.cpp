#include <postern/app/capacity.hpp>

#include <boost/test/unit_test.hpp>

#include <support/captured_log.hpp>

using namespace postern;

namespace {

app::config with_s3() {
  app::config c;
  c.store.type = "s3";
  return c;
}

} // namespace

BOOST_AUTO_TEST_CASE(with_enough_descriptors_the_limits_stay) {
  const auto plan = app::plan_capacity(with_s3(), 1 << 20);
  BOOST_TEST(plan.connections == 20'000u);
  BOOST_TEST(plan.store_requests == 500u);
}

BOOST_AUTO_TEST_CASE(with_few_descriptors_store_and_ledger_still_have_some) {
  for (const std::uint64_t descriptors : {64u, 256u, 1024u, 4096u}) {
    const auto s3 = app::plan_capacity(with_s3(), descriptors);
    BOOST_TEST(s3.connections > 0u);
    BOOST_TEST(s3.connections + 2 * s3.store_requests + std::min<std::uint64_t>(96, descriptors / 2) <= descriptors);
    const auto files = app::plan_capacity({}, descriptors);
    BOOST_TEST(2 * files.connections + std::min<std::uint64_t>(96, descriptors / 2) <= descriptors + 1);
  }
}

BOOST_AUTO_TEST_CASE(connections_take_half_of_the_memory_at_most) {
  auto c = with_s3();
  c.limits.buffers = 24 << 20;
  BOOST_TEST(app::plan_capacity(c, 1 << 20).connections == 1024u);
  c.limits.buffers = 0;
  BOOST_TEST(app::plan_capacity(c, 1 << 20).connections == 20'000u);
}

BOOST_AUTO_TEST_CASE(without_a_limit_there_are_as_many_as_the_descriptors_allow) {
  auto c = with_s3();
  c.limits.connections = c.limits.store_requests = c.limits.buffers = 0;
  const auto plan = app::plan_capacity(c, 10'096);
  BOOST_TEST(plan.store_requests == 2500u);
  BOOST_TEST(plan.connections == 5000u);
}

BOOST_AUTO_TEST_CASE(a_lowered_limit_is_said_with_its_remedy) {
  const test::captured_log log;
  app::plan_capacity(with_s3(), 1024);
  const auto text = log.text();
  BOOST_TEST(text.find("limits.store_requests") != text.npos, text);
  BOOST_TEST(text.find("limits.connections") != text.npos, text);
  BOOST_TEST(text.find("only 1024 file descriptors") != text.npos, text);
}
