#include <postern/core/http/byte_range.hpp>

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <string>
#include <vector>

using namespace postern;

namespace {

// "0-9", "whole" or "outside".
std::string chosen(const std::string& field, std::uint64_t size) {
  const auto r = choose_range(field, size);
  if (r.as == byte_range::answer::outside) return "outside";
  if (r.as == byte_range::answer::part) return std::to_string(r.first) + "-" + std::to_string(r.first + r.length - 1);
  BOOST_TEST((r.first == 0 && r.length == size));
  return "whole";
}

} // namespace

BOOST_AUTO_TEST_SUITE(byte_range_)

BOOST_AUTO_TEST_CASE(one_range_is_chosen) {
  struct row {
    std::string field;
    std::uint64_t size;
    std::string answer;
  };
  const std::string huge(40, '9');
  for (const auto& [field, size, answer] : std::vector<row>{
           {"bytes=0-9", 100, "0-9"},
           {"bytes=0-0", 100, "0-0"},
           {"bytes=99-99", 100, "99-99"},
           {"bytes=10-", 100, "10-99"},
           {"bytes=0-", 1, "0-0"},
           {"bytes=90-200", 100, "90-99"}, // ends with the object
           {"bytes=0-" + huge, 100, "0-99"},
           {"bytes=00-09", 100, "0-9"},
           {"BYTES=1-2", 100, "1-2"},
           {"bytes= 1-2 ", 100, "1-2"},
           {"bytes=-1", 100, "99-99"},
           {"bytes=-100", 100, "0-99"},
           {"bytes=-101", 100, "0-99"},
           {"bytes=-" + huge, 100, "0-99"},
           {"bytes=100-", 100, "outside"},
           {"bytes=100-200", 100, "outside"},
           {"bytes=" + huge + "-" + huge, 100, "outside"},
           {"bytes=-0", 100, "outside"},
           {"bytes=0-", 0, "outside"},
           {"bytes=0-0", 0, "outside"},
           {"bytes=-0", 0, "outside"},
           {"bytes=-5", 0, "whole"},
       })
    BOOST_TEST(chosen(field, size) == answer, field << " of " << size);
}

BOOST_AUTO_TEST_CASE(what_is_no_single_range_is_ignored) {
  for (const char* field :
       {"",           "bytes",      "bytes=",     "bytes=-",    "bytes=--1",   "bytes=1",       "bytes=9-0",
        "bytes=a-b",  "bytes=1-2x", "bytes=1 -2", "bytes=+1-2", "bytes=0x1-2", "bytes=1-2,4-5", "bytes=0-0,-1",
        "bytes=,1-2", "items=0-9",  "byte=0-9",   "bytes 0-9",  " bytes=0-9",  "bytes=1-2-3",   "=0-1",
        "bytes==0-1"})
    BOOST_TEST(chosen(field, 100) == "whole", field);
}

BOOST_AUTO_TEST_CASE(content_range_names_the_part_and_the_size) {
  BOOST_TEST(content_range(choose_range("bytes=1-3", 10), 10) == "bytes 1-3/10");
  BOOST_TEST(content_range(choose_range("bytes=10-", 10), 10) == "bytes */10");
  BOOST_TEST(content_range(choose_range("bytes=-1", 5'497'558'138'880), 5'497'558'138'880) ==
             "bytes 5497558138879-5497558138879/5497558138880");
}

// RFC 9110 §13.1.5: the comparison is strong, and a date matches only the Last-Modified that was sent.
BOOST_AUTO_TEST_CASE(if_range_must_be_the_objects_etag) {
  BOOST_TEST(allows_range("", "e"));
  BOOST_TEST(allows_range("\"e\"", "e"));
  for (const char* other : {"\"f\"", "W/\"e\"", "e", "\"e\" ", "\"e\", \"f\"", "*", "Mon, 30 Nov 2026 05:05:25 GMT"})
    BOOST_TEST(!allows_range(other, "e"), other);
  BOOST_TEST(!allows_range("\"\"", ""));
}

BOOST_AUTO_TEST_SUITE_END()
