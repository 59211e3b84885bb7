#include <postern/app/doctor/remedies.hpp>

#include <boost/test/unit_test.hpp>

#include <string>

using namespace postern;
using app::verdict;

namespace {

const std::string url = "https://uploads.example.com/upload/media";

http_response answer(int status, std::string body = "") {
  http_response r;
  r.status = status;
  r.body = std::move(body);
  return r;
}

bool says(const app::finding& f, verdict kind, std::string_view words) {
  BOOST_TEST_MESSAGE(f.cause << " / " << f.remedy);
  return f.kind == kind && (f.cause + " " + f.remedy).find(words) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_proxy_that_refuses_or_cuts_a_large_form_has_a_remedy) {
  BOOST_TEST(says(app::judge_large_form(url, answer(303)), verdict::passed, url));
  const auto refused = app::judge_large_form(url, answer(413, "<html>413 Request Entity Too Large</html>"));
  BOOST_TEST(says(refused, verdict::failed, url + " answers 413"));
  BOOST_TEST(says(refused, verdict::failed, "\n  client_max_body_size 0;\n"));
  const auto cut = app::judge_large_form(url, failure{errc::disconnected, "the connection was reset"});
  BOOST_TEST(says(cut, verdict::failed, "is cut: the connection was reset"));
  for (const int status : {408, 502, 503, 504})
    BOOST_TEST(says(app::judge_large_form(url, answer(status)), verdict::failed, "gives up before"), status);
}

// Postern itself refuses: its answer is S3's XML.
BOOST_AUTO_TEST_CASE(a_large_form_that_postern_refuses_is_explained_by_its_code) {
  const auto xml = "<Error><Code>NoSuchBucket</Code><Message>This server does not serve the bucket.</Message></Error>";
  BOOST_TEST(says(app::judge_large_form(url, answer(404, xml)), verdict::failed, "NoSuchBucket"));
}

BOOST_AUTO_TEST_CASE(a_store_without_cors_documents_has_a_setting_of_its_own) {
  const auto f = app::explain_refused_by_store("https://app.example.com", "PUT", "the preflight is answered with 400");
  BOOST_TEST((f.kind == app::verdict::failed));
  BOOST_TEST(f.cause.find("may not send PUT to the store (the preflight is answered with 400)") != std::string::npos);
  BOOST_TEST(f.remedy.find("cors_preflight_allow_origin = https://app.example.com") != std::string::npos);
  BOOST_TEST(f.remedy.find("setup cors") == std::string::npos);
}
