#include "support/captured_log.hpp"
#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/app/secret_watch.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(each_secret_of_another_node_is_told_once) {
  fake_ledger records;
  app::secret_watch watch({"00000001", "00000002"}, records, 1h);
  captured_log log;
  const auto told = [&](const char* fingerprint) {
    const auto text = log.text(), words = std::string("fingerprint=") + fingerprint;
    const auto at = text.find(words);
    return at != text.npos && text.find(words, at + 1) == text.npos;
  };
  run_task(watch.run_round());
  BOOST_TEST(records.secrets.contains("00000001"));
  BOOST_TEST(records.secrets.size() == 1u); // the second one only verifies
  const auto now = now_millis();
  records.secrets["00000002"] = now;
  records.secrets["00000003"] = now - 59min;
  records.secrets["00000004"] = now - 61min; // what it signed has expired
  for (int round = 0; round < 2; ++round) run_task(watch.run_round());
  BOOST_TEST(told("00000003"));
  for (const char* silent : {"00000001", "00000002", "00000004"}) BOOST_TEST(!told(silent), silent);
  records.broken = failure{errc::unavailable, "away"};
  run_task(watch.run_round());
  records.broken.reset();
  records.secrets["00000005"] = now;
  run_task(watch.run_round());
  BOOST_TEST(told("00000005"));
  BOOST_TEST(told("00000003"));
}

BOOST_AUTO_TEST_CASE(a_short_lifetime_of_claims_still_leaves_time_to_note_a_secret) {
  BOOST_TEST((app::lifetime_of_secrets(1s) == 5min));
  BOOST_TEST((app::lifetime_of_secrets(24h) == 24h));
}
