#include <postern/base/json.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

std::string written(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(every_kind_of_value_is_read) {
  const auto v =
      read_json(
          R"({"s":"a\u00e9\ud83d\ude00","i":-9007199254740993,"d":1.5,"t":true,"n":null,"a":[1,[2]],"o":{"x":""}})")
          .value();
  BOOST_TEST(*v.find("s")->if_string() == "a\xc3\xa9\xf0\x9f\x98\x80");
  BOOST_TEST(*v.find("i")->if_int() == -9007199254740993);
  BOOST_TEST(*v.find("d")->if_double() == 1.5);
  BOOST_TEST(*v.find("t")->if_bool());
  BOOST_TEST(v.find("n")->is_null());
  BOOST_TEST(v.find("a")->if_array()->size() == 2u);
  BOOST_TEST(v.find("o")->find("x")->if_string()->empty());
  BOOST_TEST(!v.find("absent"));
  BOOST_TEST(!v.find("s")->find("x"));
}

BOOST_AUTO_TEST_CASE(a_repeated_member_name_is_kept_twice) {
  BOOST_TEST(read_json(R"({"a":1,"a":2})")->if_object()->size() == 2u);
}

BOOST_AUTO_TEST_CASE(text_that_is_not_json_is_rejected) {
  for (const char* wrong :
       {"", "{", "{}}", "{\"a\":1,}", "[1 2]", "\"a", "{'a':1}", "nul", "{\"a\":\"\xff\"}", "\"a\nb\"", "01", "[1]x"}) {
    const auto read = read_json(wrong);
    BOOST_REQUIRE(read.has_error());
    BOOST_TEST((read.error().code == errc::bad_request));
  }
  BOOST_TEST(read_json(std::string(31, '[') + std::string(31, ']')).has_value());
  BOOST_TEST(read_json(std::string(5000, '[') + std::string(5000, ']')).has_error());
}

BOOST_AUTO_TEST_CASE(a_byte_is_escaped_at_every_position) {
  for (int c = 1; c < 0x80; ++c)
    for (std::size_t before = 0; before < 40; ++before) {
      const auto alone = written(std::string(1, static_cast<char>(c)));
      const auto text = std::string(before, 'a') + static_cast<char>(c) + std::string(20, 'b');
      BOOST_TEST_REQUIRE(written(text) == '"' + std::string(before, 'a') + alone.substr(1, alone.size() - 2) +
                                              std::string(20, 'b') + '"');
      const bool plain =
          c >= 0x20 && c != 0x7f && std::string_view("\"\\<>&").find(static_cast<char>(c)) == std::string_view::npos;
      BOOST_TEST_REQUIRE((alone.size() == 3) == plain);
    }
}

BOOST_AUTO_TEST_CASE(text_is_escaped_for_json_and_for_html) {
  BOOST_TEST(written("plain") == "\"plain\"");
  BOOST_TEST(written("a\"b\\c\n\r\t") == R"("a\"b\\c\n\r\t")");
  BOOST_TEST(written(std::string("\0\x1f\x7f", 3)) == R"("\u0000\u001f\u007f")");
  BOOST_TEST(written("</script>&") == R"("\u003c/script\u003e\u0026")");
  BOOST_TEST(written("\xe2\x80\xa8\xe2\x80\xa9\xc3\xa9") == "\"\\u2028\\u2029\xc3\xa9\"");
  BOOST_TEST(written("a\xff"
                     "b") == "\"a\xef\xbf\xbd"
                             "b\"");
}

BOOST_AUTO_TEST_CASE(every_byte_at_every_position_of_a_block_round_trips) {
  for (int c = 1; c < 128; ++c)
    for (std::size_t at = 0; at < 70; ++at) {
      std::string text(70, 'x');
      text[at] = static_cast<char>(c);
      const auto read = read_json(written(text));
      BOOST_REQUIRE(read.has_value());
      BOOST_REQUIRE(*read->if_string() == text);
    }
}

BOOST_AUTO_TEST_CASE(the_writer_adds_the_commas) {
  json_writer w;
  w.begin_object();
  w.member("a", std::uint64_t{18446744073709551615u});
  w.key("b");
  w.begin_array();
  w.string("x");
  w.boolean(false);
  w.null();
  w.begin_object();
  w.end_object();
  w.end_array();
  w.member("c", "y");
  w.end_object();
  BOOST_TEST(w.take() == R"({"a":18446744073709551615,"b":["x",false,null,{}],"c":"y"})");
}

BOOST_AUTO_TEST_CASE(an_indented_document_has_the_same_content) {
  const std::string text = R"({"a":[],"b":["x","y"],"c":{},"d":[{"e":1,"f":true,"g":null}]})";
  BOOST_TEST(indented(*read_json(text)) == "{\n  \"a\": [],\n  \"b\": [\"x\", \"y\"],\n  \"c\": {},\n  \"d\": [\n    "
                                           "{\n      \"e\": 1,\n      \"f\": true,\n      \"g\": null\n    }\n  ]\n}");
  for (const char* number : {"1e-10", "0.1", "18446744073709551616.0", "1.0", "-2.5"})
    BOOST_TEST(*read_json(indented(*read_json(number)))->if_double() == *read_json(number)->if_double(), number);
  const std::string many = R"(["one that is long enough","another that is long enough","a third"])";
  BOOST_TEST(indented(*read_json(many)) == "[\n  \"one that is long enough\",\n  \"another that is long enough\",\n  "
                                           "\"a third\"\n]");
}
