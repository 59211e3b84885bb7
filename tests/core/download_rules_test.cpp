#include <postern/core/download_rules.hpp>

#include <boost/test/unit_test.hpp>

#include <string>

using namespace postern;

namespace {

const char* const any_bytes = "application/octet-stream";

shown_as shown(const std::string& type, const profile& rules = {}) { return show_object(rules, type, "a/b.bin"); }
bool is_inline(const shown_as& s) { return s.content_disposition.starts_with("inline; "); }

} // namespace

BOOST_AUTO_TEST_SUITE(download_rules)

// Types that browsers run, and texts that are none: field/pitfalls of upload servers, stored cross-site scripting.
BOOST_AUTO_TEST_CASE(a_type_that_a_browser_runs_is_never_sent) {
  profile open;
  open.download = shown_where::in_browser;
  open.inline_types = {"*/*", "text/*", "image/*", "application/*"};
  for (const std::string type : {"text/html",
                                 "TEXT/HTML",
                                 "text/html; charset=utf-8",
                                 "text/html ;x=y",
                                 "application/xhtml+xml",
                                 "image/svg+xml",
                                 "Image/SVG+XML",
                                 "text/xml",
                                 "application/xml",
                                 "application/rss+xml",
                                 "model/x3d+xml",
                                 "application/mathml+xml",
                                 "text/xsl",
                                 "application/xslt+xml",
                                 "text/javascript",
                                 "application/javascript",
                                 "application/x-javascript",
                                 "application/ecmascript",
                                 "text/ecmascript",
                                 "text/jscript",
                                 "text/livescript",
                                 "text/javascript1.5",
                                 "application/xml-dtd",
                                 "multipart/related",
                                 "multipart/x-mixed-replace",
                                 "message/rfc822",
                                 "*/*",
                                 "image/*",
                                 "unknown/unknown",
                                 "application/unknown",
                                 "application/x-shockwave-flash",
                                 "text/x-server-parsed-html",
                                 "application/vnd.wap.xhtml+xml",
                                 "image/svg",
                                 "",
                                 "text",
                                 "text/",
                                 "/html",
                                 "text/html,image/png",
                                 "image/png, text/html",
                                 "image/png;a=b, text/html",
                                 "image/ png",
                                 "image/png\r\nX: y",
                                 "image/png\x7f",
                                 "image/\xc3\xa9",
                                 "*",
                                 "a/b/c",
                                 " image/png",
                                 "image /png"}) {
    for (const auto& rules : {profile(), open}) {
      const auto s = shown(type, rules);
      BOOST_TEST(s.content_type == any_bytes, type);
      BOOST_TEST(s.content_disposition.starts_with("attachment; "), type);
    }
  }
  BOOST_TEST(shown("image/" + std::string(300, 'p'), open).content_type == any_bytes);
}

BOOST_AUTO_TEST_CASE(other_types_stay_and_are_saved_as_files) {
  for (const std::string type : {"image/png", "image/jpeg", "video/mp4", "application/pdf", "text/plain; charset=utf-8",
                                 "application/zip", "application/json", "application/vnd.oasis.opendocument.text",
                                 "IMAGE/PNG", "text/csv;header=present", "application/octet-stream"}) {
    BOOST_TEST(shown(type).content_type == type);
    BOOST_TEST(!is_inline(shown(type)), type);
  }
}

BOOST_AUTO_TEST_CASE(a_profile_may_show_types_in_the_browser) {
  profile pictures;
  pictures.inline_types = {"image/*", "application/pdf"};
  for (const char* type : {"image/png", "IMAGE/PNG", "image/gif; x=y", "application/pdf"})
    BOOST_TEST(is_inline(shown(type, pictures)), type);
  for (const char* type : {"text/plain", "video/mp4", "image/svg+xml", "images/png"})
    BOOST_TEST(!is_inline(shown(type, pictures)), type);
  profile all;
  all.download = shown_where::in_browser;
  for (const char* type : {"image/png", "text/plain", "video/mp4"}) BOOST_TEST(is_inline(shown(type, all)), type);
}

// RFC 6266, RFC 8187
BOOST_AUTO_TEST_CASE(the_name_is_safe_in_both_forms) {
  const auto of = [](const std::string& name) { return content_disposition(false, name); };
  BOOST_TEST(of("cat.jpg") == "attachment; filename=\"cat.jpg\"; filename*=UTF-8''cat.jpg");
  BOOST_TEST(of("Grüße.txt") == "attachment; filename=\"Gr__e.txt\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt");
  BOOST_TEST(of("a \"b\"; x=y.txt") ==
             "attachment; filename=\"a _b_; x=y.txt\"; filename*=UTF-8''a%20%22b%22%3B%20x%3Dy.txt");
  BOOST_TEST(of("100%41.txt") == "attachment; filename=\"100_41.txt\"; filename*=UTF-8''100%2541.txt");
  BOOST_TEST(of("it's*(1).txt") == "attachment; filename=\"it's*(1).txt\"; filename*=UTF-8''it%27s%2A%281%29.txt");
  BOOST_TEST(of("a\r\nSet-Cookie: b\x01\x7f") ==
             "attachment; filename=\"aSet-Cookie: b\"; filename*=UTF-8''aSet-Cookie%3A%20b");
  BOOST_TEST(of("🙂") == "attachment; filename=\"_\"; filename*=UTF-8''%F0%9F%99%82");
  BOOST_TEST(of("a\xff") == "attachment; filename=\"a_\"; filename*=UTF-8''a%EF%BF%BD");
  for (const char* none : {"", "..", "."})
    BOOST_TEST(of(none) == "attachment; filename=\"file\"; filename*=UTF-8''file");
  BOOST_TEST(of(std::string(1000, 'n')).size() < 600u);
  BOOST_TEST(content_disposition(true, "a") == "inline; filename=\"a\"; filename*=UTF-8''a");
}

BOOST_AUTO_TEST_CASE(the_name_is_the_last_part_of_the_key) {
  const auto name_for = [](const std::string& key) {
    const auto text = show_object({}, "image/png", key).content_disposition;
    return text.substr(text.find("''") + 2);
  };
  BOOST_TEST(name_for("uploads/1/cat.jpg") == "cat.jpg");
  BOOST_TEST(name_for("cat.jpg") == "cat.jpg");
  BOOST_TEST(name_for("a/b/") == "file");
  BOOST_TEST(name_for("a/b\\c") == "c");
}

BOOST_AUTO_TEST_SUITE_END()
