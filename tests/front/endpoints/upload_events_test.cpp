#include "support/ledger_contract.hpp"
#include <postern/front/endpoints/upload_events.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <utility>

using namespace postern;
using namespace postern::test;
using postern::front::upload_event_stream;

namespace {

struct fixture {
  asio::io_context loop{1};
  upload_feed feed;
  std::optional<std::uint64_t> received;
  upload row = some_upload(1);

  upload_event_stream watch(bool is_whole = false) {
    return {row, is_whole, feed.subscribe(row.id, loop.get_executor()).value(), [this] { return received; }};
  }
  std::optional<std::string> next(upload_event_stream& w) { return run_on(loop, w.next()); }
  void change(upload_state state) {
    row.state = state;
    feed.publish(row);
  }
};

bool begins(const std::optional<std::string>& event, const std::string& with) {
  return event && event->starts_with(with);
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(watch_, fixture)

BOOST_AUTO_TEST_CASE(the_current_state_comes_first_then_each_change_until_the_end) {
  auto w = watch();
  const auto data = to_json(row, false);
  BOOST_TEST(next(w).value() == "id: issued\nevent: upload\ndata: " + data + "\n\n");
  change(upload_state::receiving);
  BOOST_TEST(begins(next(w), "id: receiving\n"));
  change(upload_state::failed); // the client may try again
  BOOST_TEST(begins(next(w), "id: failed\n"));
  change(upload_state::completed);
  BOOST_TEST(begins(next(w), "id: completed\n"));
  BOOST_TEST(!next(w).has_value());
}

BOOST_AUTO_TEST_CASE(without_a_change_there_is_no_event) {
  auto w = watch();
  BOOST_TEST(begins(next(w), "id: issued\n"));
  BOOST_TEST(next(w).value() == "");
  change(upload_state::issued); // the same row
  BOOST_TEST(next(w).value() == "");
}

BOOST_AUTO_TEST_CASE(progress_on_this_node_is_read_without_the_ledger) {
  row.state = upload_state::receiving;
  auto w = watch();
  received = 10;
  BOOST_TEST(next(w).value().find("\"received\":10") != std::string::npos);
  BOOST_TEST(next(w).value() == "");
  received = 15;
  BOOST_TEST(next(w).value().find("\"received\":15") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_key_is_shown_only_to_a_caller_who_may_read_it) {
  for (const bool is_whole : {false, true}) {
    auto w = watch(is_whole);
    BOOST_TEST((next(w).value().find("\"key\"") != std::string::npos) == is_whole);
  }
}

BOOST_AUTO_TEST_CASE(the_last_event_is_recognized_by_its_id) {
  for (const char* id : {"completed", "expired"}) BOOST_TEST(front::was_last_event(id), id);
  for (const char* id : {"", "issued", "receiving", "failed", "x"}) BOOST_TEST(!front::was_last_event(id), id);
}

BOOST_AUTO_TEST_SUITE_END()
