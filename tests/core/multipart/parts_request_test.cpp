#include <postern/core/multipart/part_sizes.hpp>
#include <postern/core/multipart/parts_request.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

BOOST_AUTO_TEST_CASE(a_batch_of_parts_with_their_checksums) {
  const auto parts = parse_parts_body(R"({"parts":[3,1,10000],"checksums":{"1":"4waSgw=="}})").value();
  BOOST_REQUIRE(parts.size() == 3);
  BOOST_TEST((parts[0].number == 3 && !parts[0].crc32c));
  BOOST_TEST((parts[1].number == 1 && parts[1].crc32c == 0xe3069283u));
  BOOST_TEST(parts[2].number == max_parts);
  BOOST_TEST(parse_parts_body(R"({"parts":[1],"checksums":null})").has_value());
}

BOOST_AUTO_TEST_CASE(batches_that_are_refused) {
  std::string many = "1";
  for (std::size_t n = 2; n <= max_parts_asked + 1; ++n) many += "," + std::to_string(n);
  const std::string refused[] = {"",
                                 "[]",
                                 "{}",
                                 R"({"parts":1})",
                                 R"({"parts":[]})",
                                 R"({"parts":[0]})",
                                 R"({"parts":[10001]})",
                                 R"({"parts":["1"]})",
                                 R"({"parts":[1.5]})",
                                 R"({"parts":[1,1]})",
                                 R"({"parts":[1],"parts":[2]})",
                                 R"({"parts":[1],"more":1})",
                                 R"({"parts":[1],"checksums":[]})",
                                 R"({"parts":[1],"checksums":{"2":"4waSgw=="}})",
                                 R"({"parts":[1],"checksums":{"1":"4waS"}})",
                                 R"({"parts":[1],"checksums":{"1":4}})",
                                 "{\"parts\":[" + many + "]}"};
  for (const auto& body : refused)
    BOOST_TEST_CONTEXT(body) BOOST_TEST((parse_parts_body(body).error().code == errc::bad_request));
}

BOOST_AUTO_TEST_CASE(the_list_of_a_completion) {
  BOOST_TEST(parse_complete_body("").value().empty());
  BOOST_TEST(parse_complete_body("{}").value().empty());
  BOOST_TEST(parse_complete_body(R"({"parts":null})").value().empty());
  const auto etags = parse_complete_body(R"({"parts":[{"number":2,"etag":"\"b\""},{"number":1,"etag":"a"}]})").value();
  BOOST_TEST((etags == std::map<int, std::string>{{1, "a"}, {2, "b"}}));
  for (const auto* body : {"[]", R"({"parts":[]})", R"({"parts":[1]})", R"({"parts":[{"number":1}]})",
                           R"({"parts":[{"etag":"a"}]})", R"({"parts":[{"number":0,"etag":"a"}]})",
                           R"({"parts":[{"number":1,"etag":""}]})", R"({"parts":[{"number":1,"etag":"\"\""}]})",
                           R"({"parts":[{"number":1,"etag":"\"half"}]})", R"({"parts":[{"number":1,"etag":7}]})",
                           R"({"parts":[{"number":1,"etag":"a"},{"number":1,"etag":"a"}]})", R"({"more":1})"})
    BOOST_TEST_CONTEXT(body) BOOST_TEST((parse_complete_body(body).error().code == errc::bad_request));
}
