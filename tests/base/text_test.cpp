#include <postern/base/text.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

BOOST_AUTO_TEST_CASE(invalid_utf8_is_rejected) {
  for (const char* right : {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"})
    BOOST_TEST(is_utf8(right), right);
  // overlong, surrogate, past the last plane, cut, lone
  for (const char* wrong : {"\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "\xff",
                            "\xf8\x88\x80\x80\x80"})
    BOOST_TEST(!is_utf8(wrong));
}

BOOST_AUTO_TEST_CASE(plain_names_have_letters_digits_and_three_other_characters) {
  for (const char* name : {"a", "A-z_0.9"}) BOOST_TEST(is_plain_name(name), name);
  for (const char* name : {"", "a b", "a~", "a/b", "a:b", "ä", "a\n"}) BOOST_TEST(!is_plain_name(name), name);
}

BOOST_AUTO_TEST_CASE(a_part_of_a_key_leads_nowhere_else) {
  for (const auto* good : {"ann", "a.b", "...", "auth0|5f7c8ec7", "ann@example.com", "\xc3\xa4", "$", "{}"})
    BOOST_TEST(is_key_part(good), good);
  for (const std::string bad : {"", ".", "..", "a/b", "/", "a\\b", "${filename}", "a\n", "a\x7f", "a\xc2\x80", "\xff"})
    BOOST_TEST(!is_key_part(bad), bad);
  BOOST_TEST(!is_key_part(std::string(1, '\0')));
}

BOOST_AUTO_TEST_CASE(region_names_have_letters_digits_and_hyphens) {
  for (const auto& name : {std::string("a"), std::string("RegionOne"), std::string("us-gov-west-1"),
                           std::string("0-z9"), std::string(63, 'r')})
    BOOST_TEST(is_region_name(name), name);
  for (const auto& name : {std::string(), std::string("eu.west"), std::string("eu_west"), std::string("eu west"),
                           std::string("eu/1"), std::string("x\r\ny"), std::string("a\0", 2), std::string("\xc3\xa9"),
                           std::string("`a{"), std::string("@AZ["), std::string(64, 'r')})
    BOOST_TEST(!is_region_name(name), name);
}

BOOST_AUTO_TEST_CASE(case_is_folded_in_ascii_only) {
  BOOST_TEST(lower("AbZ[\xc3\x89") == "abz[\xc3\x89");
  BOOST_TEST(iequals("Content-TYPE", "content-type"));
  BOOST_TEST(!iequals("a", "ab"));
  BOOST_TEST(!iequals("[", "{")); // they differ by the same bit as A and a
}

BOOST_AUTO_TEST_CASE(blanks_are_trimmed_at_the_ends) {
  BOOST_TEST(trim(" \t a b\t ") == "a b");
  BOOST_TEST(trim(" \t ").empty());
  BOOST_TEST(trim("").empty());
  BOOST_TEST(trim("a\r\n") == "a\r\n"); // HTTP's optional whitespace has no line ends
  BOOST_TEST(trim("\r\n a\n", " \r\n") == "a");
  BOOST_TEST(trim_end(" a \n\n", "\n") == " a ");
  BOOST_TEST(trim_end("\n\n", "\n").empty());
}

BOOST_AUTO_TEST_CASE(a_number_consists_of_digits_only) {
  BOOST_TEST(parse_number("0").value() == 0u);
  BOOST_TEST(parse_number("007").value() == 7u);
  BOOST_TEST(parse_number("18446744073709551615").value() == ~std::uint64_t{0});
  for (const char* wrong : {"", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1e3", "18446744073709551616"})
    BOOST_TEST(!parse_number(wrong).has_value(), wrong);
}
