#include <postern/base/json.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>

#include <boost/test/unit_test.hpp>

#include <thread>

using namespace postern;

namespace {

std::string line(log::format how, std::initializer_list<log::field> fields) {
  return log::line(how, "2026-11-23T18:15:00.123Z", log::level::info, "upload completed", fields);
}

metrics::counter requests("test_requests_total", "Requests", "route=\"sign\"");
metrics::counter more_requests("test_requests_total", "Requests", "route=\"status\"");
metrics::gauge running("test_running", "What runs", "");
metrics::histogram seconds("test_seconds", "How long", "");

} // namespace

BOOST_AUTO_TEST_CASE(an_event_is_one_line_of_logfmt) {
  BOOST_TEST(line(log::format::logfmt, {{"size", 5}, {"key", "a b\"c"}, {"ok", true}}) ==
             R"(time=2026-11-23T18:15:00.123Z level=info event="upload completed" size=5 key="a b\"c" ok=true)");
}

BOOST_AUTO_TEST_CASE(an_event_is_one_line_of_json) {
  const auto text = line(log::format::json, {{"size", 5}, {"key", "a b\"c"}});
  const auto read = read_json(text);
  BOOST_REQUIRE(read.has_value());
  BOOST_TEST(*read->find("size")->if_int() == 5);
  BOOST_TEST(*read->find("key")->if_string() == "a b\"c");
  BOOST_TEST(*read->find("event")->if_string() == "upload completed");
}

BOOST_AUTO_TEST_CASE(text_from_outside_cannot_begin_a_log_line) {
  for (const auto how : {log::format::logfmt, log::format::json}) {
    const auto text = line(how, {{"key", "a\r\nlevel=error event=forged"}, {"esc", "\x1b[31m"}});
    BOOST_TEST(text.find_first_of("\r\n\x1b") == text.npos);
  }
}

BOOST_AUTO_TEST_CASE(a_secret_prints_as_stars) {
  const secret hidden("hunter2");
  BOOST_TEST(line(log::format::logfmt, {{"key", hidden}}).ends_with("key=***"));
}

BOOST_AUTO_TEST_CASE(metrics_are_printed_in_the_prometheus_format) {
  requests.add(3);
  more_requests.add();
  running.add(2), running.add(-1);
  seconds.observe(0.0002);
  seconds.observe(100);
  const auto text = metrics::print_all();
  const auto has = [&](const char* s) { return text.find(s) != text.npos; };
  BOOST_TEST(has("# TYPE test_requests_total counter\n"));
  BOOST_TEST(text.find("# TYPE test_requests_total") == text.rfind("# TYPE test_requests_total"));
  BOOST_TEST(has("test_requests_total{route=\"sign\"} 3\n"));
  BOOST_TEST(has("test_requests_total{route=\"status\"} 1\n"));
  BOOST_TEST(has("test_running 1\n"));
  BOOST_TEST(has("test_seconds_bucket{le=\"1e-04\"} 0\n"));
  BOOST_TEST(has("test_seconds_bucket{le=\"5e-04\"} 1\n"));
  BOOST_TEST(has("test_seconds_bucket{le=\"+Inf\"} 2\n"));
  BOOST_TEST(has("test_seconds_count 2\n"));
}

BOOST_AUTO_TEST_CASE(counting_from_many_threads_loses_nothing) {
  const auto before = requests.value();
  std::vector<std::thread> all;
  for (int i = 0; i < 4; ++i)
    all.emplace_back([] {
      for (int n = 0; n < 10'000; ++n) requests.add();
    });
  for (auto& t : all) t.join();
  BOOST_TEST(requests.value() == before + 40'000);
}
