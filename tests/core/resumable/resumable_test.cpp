#include <postern/core/resumable/resumable.hpp>

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <limits>
#include <string>

using namespace postern;

namespace {

constexpr auto largest = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t largest_number = std::numeric_limits<std::int64_t>::max(); // that a client can send

// 40 bytes of a file are stored; 10 to 1000 bytes are allowed.
resumable_state stored(std::optional<std::uint64_t> length = std::nullopt) { return {40, length, 10, 1000, false}; }

append_request at(std::uint64_t offset, std::optional<std::uint64_t> announced = std::nullopt) {
  return {offset, std::nullopt, announced, false};
}

append_request with_length(append_request ask, std::uint64_t length) {
  ask.length = length;
  return ask;
}

append_request last(append_request ask) {
  ask.is_last = true;
  return ask;
}

bool is_refused(const resumable_state& have, const append_request& ask, errc code, std::string_view because) {
  const auto checked = check_append(have, ask);
  return !checked && checked.error().code == code && checked.error().on.find(because) != std::string::npos;
}

std::optional<std::uint64_t> length_after(const resumable_state& have, const append_request& ask) {
  return check_append(have, ask).value();
}

} // namespace

BOOST_AUTO_TEST_CASE(bytes_are_taken_where_the_stored_ones_end) {
  BOOST_TEST((length_after(stored(100), at(40, 60)) == 100u));
  BOOST_TEST((length_after(stored(100), at(40, 1)) == 100u));
  BOOST_TEST((length_after(stored(100), at(40, 0)) == 100u));
  BOOST_TEST((length_after(stored(100), at(40)) == 100u));
  BOOST_TEST((length_after(stored(), at(40, 5)) == std::nullopt));
  BOOST_TEST((length_after(stored(), at(40)) == std::nullopt));
  BOOST_TEST((length_after(stored(), at(40, 960)) == std::nullopt));
}

BOOST_AUTO_TEST_CASE(another_offset_is_a_conflict_that_names_both) {
  for (const auto& have : {stored(100), stored()})
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{39}, std::uint64_t{41}, largest})
      for (const auto& ask : {at(offset, 1), at(offset), last(at(offset, 7))}) {
        BOOST_TEST(is_refused(have, ask, errc::conflict, "offset 40"));
        BOOST_TEST(is_refused(have, ask, errc::conflict, "request's offset is " + std::to_string(offset)));
      }
}

BOOST_AUTO_TEST_CASE(a_wrong_offset_counts_before_a_wrong_length) {
  BOOST_TEST(is_refused(stored(100), with_length(at(0, 5), 101), errc::conflict, "offset 40"));
  BOOST_TEST(is_refused(stored(100), last(at(0, 5)), errc::conflict, "offset 40"));
}

BOOST_AUTO_TEST_CASE(a_length_can_be_declared_later_and_once) {
  BOOST_TEST((length_after(stored(), with_length(at(40, 5), 100)) == 100u));
  BOOST_TEST((length_after(stored(), with_length(at(40), 40)) == 40u));
  BOOST_TEST((length_after(stored(100), with_length(at(40, 5), 100)) == 100u));
  BOOST_TEST(is_refused(stored(100), with_length(at(40, 5), 99), errc::bad_request, "100 bytes, now as 99 bytes"));
  BOOST_TEST(is_refused(stored(), with_length(at(40), 39), errc::bad_request, "39 bytes, but 40 bytes of it"));
}

BOOST_AUTO_TEST_CASE(a_declared_length_lies_within_the_limits) {
  BOOST_TEST((length_after(stored(), with_length(at(40), 1000)) == 1000u));
  BOOST_TEST(is_refused(stored(), with_length(at(40), 1001), errc::payload_too_large,
                        "has 1001 bytes, at most 1000 bytes are allowed"));
  const resumable_state begun{0, std::nullopt, 10, 1000, false};
  BOOST_TEST((length_after(begun, with_length(at(0), 10)) == 10u));
  BOOST_TEST(
      is_refused(begun, with_length(at(0), 9), errc::entity_too_small, "has 9 bytes, at least 10 bytes are needed"));
  BOOST_TEST(is_refused(begun, last(at(0, 1)), errc::entity_too_small, "has 1 byte, at least 10 bytes"));
}

BOOST_AUTO_TEST_CASE(the_last_body_declares_the_length) {
  BOOST_TEST((length_after(stored(), last(at(40, 60))) == 100u));
  BOOST_TEST((length_after(stored(), last(at(40, 0))) == 40u));
  BOOST_TEST((length_after(stored(100), last(at(40, 60))) == 100u));
  BOOST_TEST((length_after(stored(), with_length(last(at(40, 60)), 100)) == 100u));
  // Without its size the body's end declares nothing.
  BOOST_TEST((length_after(stored(), last(at(40))) == std::nullopt));
  BOOST_TEST((length_after(stored(100), last(at(40))) == 100u));
  BOOST_TEST(is_refused(stored(100), last(at(40, 59)), errc::bad_request, "100 bytes, now as 99 bytes"));
  BOOST_TEST(is_refused(stored(), with_length(last(at(40, 59)), 100), errc::bad_request, "at 99 bytes"));
  BOOST_TEST(is_refused(stored(), last(at(40, 961)), errc::payload_too_large, "1001 bytes"));
}

BOOST_AUTO_TEST_CASE(a_body_beyond_the_file_is_refused) {
  BOOST_TEST(is_refused(stored(100), at(40, 61), errc::bad_request, "ends at 101 bytes, but the file has 100 bytes"));
  BOOST_TEST(is_refused(stored(), with_length(at(40, 61), 100), errc::bad_request, "101 bytes"));
  BOOST_TEST(
      is_refused(stored(), at(40, 961), errc::payload_too_large, "1001 bytes, but the file may have at most 1000"));
}

BOOST_AUTO_TEST_CASE(numbers_do_not_wrap_around) {
  for (const auto announced : {largest_number, largest - 40, largest - 39, largest}) {
    BOOST_TEST(is_refused(stored(100), at(40, announced), errc::bad_request, ""));
    BOOST_TEST(is_refused(stored(100), last(at(40, announced)), errc::bad_request, ""));
    BOOST_TEST(is_refused(stored(), at(40, announced), errc::payload_too_large, ""));
    BOOST_TEST(is_refused(stored(), last(at(40, announced)), errc::payload_too_large, ""));
  }
  const resumable_state boundless{largest_number, std::nullopt, 0, largest, false};
  BOOST_TEST((length_after(boundless, last(at(largest_number, 0))) == largest_number));
  BOOST_TEST((length_after(boundless, last(at(largest_number, largest_number))) == largest - 1));
  BOOST_TEST(is_refused(boundless, at(largest_number, largest), errc::payload_too_large, ""));
  BOOST_TEST(is_refused(boundless, last(at(largest_number, largest)), errc::payload_too_large, ""));
}

BOOST_AUTO_TEST_CASE(a_complete_file_takes_an_empty_body_at_its_end_only) {
  const resumable_state done{100, 100, 10, 1000, true};
  BOOST_TEST((length_after(done, at(100, 0)) == 100u));
  BOOST_TEST((length_after(done, last(at(100, 0))) == 100u));
  BOOST_TEST((length_after(done, with_length(at(100, 0), 100)) == 100u));
  BOOST_TEST((length_after({100, std::nullopt, 10, 1000, true}, at(100, 0)) == 100u));
  for (const auto& ask : {at(100, 1), at(100), at(99, 0), at(101, 0), at(0, 100), with_length(at(100, 0), 101)})
    BOOST_TEST(is_refused(done, ask, errc::conflict, "complete with 100 bytes"));
}
