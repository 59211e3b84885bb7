#include <postern/base/encoding.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

BOOST_AUTO_TEST_CASE(base64_of_rfc_4648) {
  // RFC 4648 §10
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : cases) {
    BOOST_TEST(to_base64(plain) == coded);
    BOOST_TEST(from_base64(coded).value() == plain);
    std::string bare = coded;
    while (bare.ends_with('=')) bare.pop_back();
    BOOST_TEST(to_base64url(plain) == bare);
    BOOST_TEST(from_base64url(bare).value() == plain);
  }
  BOOST_TEST(to_base64("\xfb\xff\xfe") == "+//+");
  BOOST_TEST(to_base64url("\xfb\xff\xfe") == "-__-");
}

BOOST_AUTO_TEST_CASE(malformed_base64_is_rejected) {
  for (const char* wrong : {"Z", "Zg=", "Zg===", "Zh==", "Zm9=", "Z g=", "Zg==\n", "Zm8-", "=", "Zg==Zg=="})
    BOOST_TEST(from_base64(wrong).has_error(), wrong);
  for (const char* wrong : {"Zg==", "Zm+v", "Z", "Zh"}) BOOST_TEST(from_base64url(wrong).has_error(), wrong);
}

BOOST_AUTO_TEST_CASE(hex_is_written_and_parsed) {
  const unsigned char bytes[] = {0, 0x7f, 0x80, 0xff};
  BOOST_TEST(to_hex(bytes) == "007f80ff");
  BOOST_TEST(from_hex("007F80ff").value() == std::string("\0\x7f\x80\xff", 4));
  for (const char* wrong : {"0", "0g", "0x00", " 00"}) BOOST_TEST(from_hex(wrong).has_error(), wrong);
}

BOOST_AUTO_TEST_CASE(uri_encoding_follows_aws) {
  BOOST_TEST(uri_encode("AZaz09-._~") == "AZaz09-._~");
  BOOST_TEST(uri_encode(" +%/*'\"&=?#:\xc3\xa9") == "%20%2B%25%2F%2A%27%22%26%3D%3F%23%3A%C3%A9");
  BOOST_TEST(uri_encode("a/b c", true) == "a/b%20c");
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  BOOST_TEST(uri_decode(uri_encode(all)).value() == all);
  BOOST_TEST(uri_decode("a+b").value() == "a+b");
  BOOST_TEST(uri_decode("a+b", true).value() == "a b");
  for (const char* wrong : {"%", "%2", "%zz", "a%2"}) BOOST_TEST(uri_decode(wrong).has_error(), wrong);
}

BOOST_AUTO_TEST_CASE(query_parameters_are_found_by_their_whole_name) {
  BOOST_TEST(query_parameter("bucket=b&key=a%2Fb+c&etag=%22e%22", "key").value() == "a/b c");
  BOOST_TEST(query_parameter("etag=%22e%22&key=k", "etag").value() == "\"e\"");
  BOOST_TEST(query_parameter("a=1&a=2", "a").value() == "1");
  BOOST_TEST(query_parameter("a=&b=1", "a").value().empty());
  BOOST_TEST(query_parameter("xkey=1&key=2", "key").value() == "2");
  BOOST_TEST(!query_parameter("keys=1", "key").has_value());
  BOOST_TEST(!query_parameter("key=%zz", "key").has_value());
}

BOOST_AUTO_TEST_CASE(markup_is_escaped) {
  BOOST_TEST(html_escape("<a href=\"x\">&'").find_first_of("<>\"'") == std::string::npos);
  BOOST_TEST(xml_escape("a&b<c>") == "a&amp;b&lt;c&gt;");
  BOOST_TEST(xml_escape(std::string("a\0b\x1f", 4)) == "a\xef\xbf\xbd"
                                                       "b\xef\xbf\xbd");
}
