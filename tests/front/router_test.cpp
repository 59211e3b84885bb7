#include "support/test_request.hpp"
#include <postern/base/metrics.hpp>
#include <postern/front/router.hpp>

#include <boost/test/unit_test.hpp>

#include <stdexcept>

using namespace postern;
using namespace postern::front;
using test::field_of;
using test::is_problem;
using test::test_request;

namespace {

const char* const page = "https://app.example.com";

// Responds with its name and the path parameter.
endpoint named(const std::string& name) {
  return [name](request& r) -> task<response> {
    co_return make_response(200, "text/plain", name + " " + r.path_parameter + "?" + std::string(r.query));
  };
}

task<response> broken(request& r) {
  if (!r.path.empty()) throw std::logic_error("a bug of the test");
  co_return response{};
}

struct fixture {
  cors_rules allowed{"https://up.example.com", {page}};
  router routes{{{"/things", http::verb::post, cors_readers::allowed_origins, named("make")},
                 {"/things", http::verb::get, cors_readers::allowed_origins, named("list")},
                 {"/things/", http::verb::get, cors_readers::allowed_origins, named("show")},
                 {"/things/{id}/parts", http::verb::get, cors_readers::allowed_origins, named("parts")},
                 {"/things/{id}/claim", http::verb::post, cors_readers::any_origin, named("claim")},
                 {"/things/", http::verb::delete_, cors_readers::allowed_origins, named("remove")},
                 {"/public/", http::verb::get, cors_readers::any_origin, named("public")},
                 {"/bug", http::verb::get, cors_readers::any_origin, broken},
                 {"/own", http::verb::get, cors_readers::own_pages, named("own")},
                 {"/", http::verb::get, cors_readers::own_pages, named("root")}},
                allowed};

  response answer(test_request asks) {
    auto r = asks.made();
    return test::run_task(routes.answer(r));
  }
  response get(const std::string& target) { return answer(test_request(http::verb::get, target)); }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(verb_and_path_choose_the_endpoint, fixture) {
  BOOST_TEST(answer(test_request(http::verb::post, "/things")).body == "make ?");
  BOOST_TEST(get("/things").body == "list ?");
  BOOST_TEST(get("/things?a=1&b=2").body == "list ?a=1&b=2");
  BOOST_TEST(get("/").body == "root ?");
  BOOST_TEST(answer(test_request(http::verb::head, "/things")).body == "list ?"); // the session leaves the body out
}

BOOST_FIXTURE_TEST_CASE(the_last_part_of_the_path_is_passed_decoded, fixture) {
  BOOST_TEST(get("/things/42").body == "show 42?");
  BOOST_TEST(get("/things/a%20b%2Fc").body == "show a b/c?");
  BOOST_TEST(is_problem(get("/things/a%2"), 400, "bad_request"));
  BOOST_TEST(is_problem(get("/things/%zz"), 400, "bad_request"));
}

BOOST_FIXTURE_TEST_CASE(a_parameter_may_stand_between_two_fixed_parts, fixture) {
  const auto post = [&](const std::string& path) { return answer(test_request(http::verb::post, path)); };
  BOOST_TEST(get("/things/42/parts").body == "parts 42?");
  BOOST_TEST(get("/things/42/parts?a=1").body == "parts 42?a=1");
  BOOST_TEST(get("/things/a%20b%2Fparts/parts").body == "parts a b/parts?"); // an encoded slash is none of the path's
  BOOST_TEST(get("/things/parts/parts").body == "parts parts?");
  BOOST_TEST(get("/things/parts").body == "show parts?");
  BOOST_TEST(post("/things/42/claim").body == "claim 42?");
  BOOST_TEST(answer(test_request(http::verb::delete_, "/things/42")).body == "remove 42?");
  BOOST_TEST(answer(test_request(http::verb::head, "/things/42/parts")).body == "parts 42?");
  BOOST_TEST(is_problem(get("/things/%zz/parts"), 400, "bad_request"));
  BOOST_TEST(is_problem(get("/things/42/claim"), 405, "method_not_allowed"));
  BOOST_TEST(field_of(get("/things/42/claim"), "Allow") == "POST, OPTIONS");
  BOOST_TEST(field_of(post("/things/42"), "Allow") == "GET, DELETE, OPTIONS");
  for (const char* path : {"/things//parts", "/things/4/2/parts", "/things/42/parts/", "/things/42/part",
                           "/things/42/xparts", "/things/42/PARTS", "/x/things/42/parts", "/things/42/parts/parts"})
    BOOST_TEST(is_problem(get(path), 404, "not_found"), path);
  BOOST_TEST(metrics::print_all().find("{route=\"GET /things/{id}/parts\",status=\"2xx\"} ") != std::string::npos);
  const auto page_reads = answer(test_request(http::verb::post, "/things/1/claim").from_page("https://other.example"));
  BOOST_TEST(field_of(page_reads, "Access-Control-Allow-Origin") == "*"); // the route's own
}

BOOST_FIXTURE_TEST_CASE(a_path_without_a_route_is_404, fixture) {
  for (const char* path : {"/nothing", "/things/", "/things/1/2", "/thing", "/Things", "//", "", "/own/"})
    BOOST_TEST(is_problem(get(path), 404, "not_found"), path);
  BOOST_TEST(get("/nothing").body.find("no such endpoint: \\\"/nothing\\\"") != std::string::npos);
  BOOST_TEST(field_of(get("/nothing"), "Allow") == "(absent)");
}

BOOST_FIXTURE_TEST_CASE(a_path_with_another_verb_is_405_and_names_the_verbs, fixture) {
  const auto refused = answer(test_request(http::verb::delete_, "/things"));
  BOOST_TEST(is_problem(refused, 405, "method_not_allowed"));
  BOOST_TEST(field_of(refused, "Allow") == "POST, GET, OPTIONS");
  BOOST_TEST(field_of(answer(test_request(http::verb::post, "/things/1")), "Allow") == "GET, DELETE, OPTIONS");
}

BOOST_FIXTURE_TEST_CASE(a_preflight_allows_listed_pages_only, fixture) {
  const auto preflight = [&](const char* path, const char* origin) {
    return answer(test_request(http::verb::options, path).from_page(origin));
  };
  const auto allowed_page = preflight("/things", page);
  BOOST_TEST(allowed_page.status == 204);
  BOOST_TEST(field_of(allowed_page, "Access-Control-Allow-Origin") == page);
  BOOST_TEST(field_of(allowed_page, "Access-Control-Allow-Methods") == "POST, GET");
  BOOST_TEST(field_of(allowed_page, "Access-Control-Allow-Headers") ==
             "Authorization, Content-Type, Accept, Cache-Control, X-Requested-With");
  BOOST_TEST(field_of(preflight("/things", "https://evil.example"), "Access-Control-Allow-Origin") == "(absent)");
  BOOST_TEST(field_of(preflight("/public/1", "null"), "Access-Control-Allow-Origin") == "*");
  BOOST_TEST(is_problem(preflight("/nothing", page), 404, "not_found"));
}

BOOST_FIXTURE_TEST_CASE(the_route_says_which_pages_read_its_responses, fixture) {
  const auto readable = [&](const char* path, const char* origin) {
    return field_of(answer(test_request(http::verb::get, path).from_page(origin)), "Access-Control-Allow-Origin");
  };
  BOOST_TEST(readable("/things/1", page) == page);
  BOOST_TEST(readable("/things/1", "https://evil.example") == "(absent)");
  BOOST_TEST(readable("/things/%zz", page) == page); // errors too
  BOOST_TEST(readable("/public/1", "https://evil.example") == "*");
  BOOST_TEST(readable("/own", page) == "(absent)");
}

BOOST_FIXTURE_TEST_CASE(an_exception_is_a_500_that_pages_can_read_and_that_is_counted_by_route, fixture) {
  const auto made = answer(test_request(http::verb::get, "/bug").from_page(page));
  BOOST_TEST(is_problem(made, 500, "internal"));
  BOOST_TEST(field_of(made, "Access-Control-Allow-Origin") == "*");
  const std::string line = "postern_requests_total{route=\"GET /bug\",status=\"5xx\"} 1\n";
  BOOST_TEST(metrics::print_all().find(line) != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(requests_are_counted_by_route_and_class_of_status, fixture) {
  get("/things");
  get("/things");
  get("/things/%zz");
  get("/nothing");
  answer(test_request(http::verb::put, "/things"));
  const auto counts = metrics::print_all();
  for (const char* line : {"postern_requests_total{route=\"GET /things\",status=\"2xx\"} 2\n",
                           "postern_requests_total{route=\"GET /things/\",status=\"4xx\"} 1\n",
                           "postern_requests_total{route=\"other\",status=\"4xx\"} 2\n"})
    BOOST_TEST(counts.find(line) != counts.npos, line);
}
