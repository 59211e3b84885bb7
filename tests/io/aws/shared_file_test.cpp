#include <postern/io/aws/shared_file.hpp>

#include <boost/test/unit_test.hpp>

#include <string>

using namespace postern;

BOOST_AUTO_TEST_CASE(a_section_ends_where_another_begins) {
  const std::string text = "lost = 1\n[a]\nx = 1\n[b]\nx = 2\n[a]\ny = 3\nx = 4\n[broken\nx = 5\n";
  BOOST_TEST((section_of(text, "a") == shared_settings{{"x", "4"}, {"y", "3"}}));
  BOOST_TEST((section_of(text, "b") == shared_settings{{"x", "2"}}));
  BOOST_TEST(!section_of(text, "c").has_value());
  BOOST_TEST(!section_of(text, "").has_value());
  BOOST_TEST((section_of("[a]", "a") == shared_settings{}));
  BOOST_TEST(!section_of("", "a").has_value());
}

BOOST_AUTO_TEST_CASE(a_setting_ends_with_its_line) {
  const shared_settings both{{"key", "a = b"}, {"other", ""}};
  for (const std::string end : {"\n", "\r\n", "\r", "\n\n", "\n\r"})
    BOOST_TEST((section_of("[a]" + end + "\t KEY\t=  a = b \t" + end + "other=" + end, "a") == both));
  // A value with a line end would begin another header field.
  BOOST_TEST((section_of("[a]\nkey = x\rX-Forged: 1", "a") == shared_settings{{"key", "x"}}));
}

BOOST_AUTO_TEST_CASE(what_is_no_setting_is_skipped) {
  BOOST_TEST((section_of("[a]\n# x = 1\n; x = 2\n = 3\nx\n\n  \n", "a") == shared_settings{}));
}

BOOST_AUTO_TEST_CASE(the_credentials_file_takes_precedence) {
  const std::string credentials = "[default]\nx=1\n[p]\nx=2\n[profile p]\nx=9\n";
  const std::string config =
      "[default]\nx=3\ny=4\n[profile p]\ny=5\n[p]\ny=9\n[profile default]\ny=9\n[profile q]\nx=6\n";
  BOOST_TEST((profile_settings(credentials, config, "default") == shared_settings{{"x", "1"}, {"y", "4"}}));
  BOOST_TEST((profile_settings(credentials, config, "p") == shared_settings{{"x", "2"}, {"y", "5"}}));
  BOOST_TEST((profile_settings(credentials, config, "q") == shared_settings{{"x", "6"}}));
  BOOST_TEST((profile_settings(credentials, "", "p") == shared_settings{{"x", "2"}}));
  BOOST_TEST((profile_settings("", config, "p") == shared_settings{{"y", "5"}}));
  BOOST_TEST(!profile_settings(credentials, config, "r").has_value());
  BOOST_TEST(!profile_settings("", "", "default").has_value());
}

BOOST_AUTO_TEST_CASE(a_file_that_was_cut_has_the_settings_before_the_cut) {
  const std::string text = "[a]\r\nkey = 1\r\n[b]\nkey = 2\n";
  for (std::size_t n = 0; n <= text.size(); ++n) {
    const auto a = section_of(text.substr(0, n), "a"), b = section_of(text.substr(0, n), "b");
    BOOST_TEST(a.has_value() == (n >= text.find(']') + 1), n);
    BOOST_TEST(b.has_value() == (n >= text.rfind(']') + 1), n);
    BOOST_TEST((a && a->contains("key") && a->at("key") == "1") == (n >= text.find('1') + 1), n);
  }
}
