#include "support/captured_log.hpp"
#include "support/scripted_peer.hpp"
#include <postern/app/stores/known_abilities.hpp>
#include <postern/app/stores/stores.hpp>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <string>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

namespace {

app::config with(const std::string& store, const std::string& more = "") {
  const char* const none[] = {nullptr};
  return app::parse_config("[server]\nsecrets = [\"sixteen bytes or more\"]\n[store]\n" + store + "\n" + more, none);
}

std::string s3_at(const std::string& endpoint) {
  return "type = \"s3\"\nbucket = \"media\"\npath_style = true\ncredentials = { access_key = \"AKIA\", secret_key = "
         "\"s\" }\nendpoint = \"" +
         endpoint + "\"\n";
}

constexpr store_abilities everything{true, true, true, true, true, true, true, true};

// As AWS answers: everything is there.
step as_aws(const received_request& r) {
  const auto method = r.method();
  if (method == "PUT") return answers(400, "<Error><Code>BadDigest</Code></Error>");
  if (method == "DELETE") return answers(204);
  if (method == "GET") return answers(404, "<Error><Code>NoSuchCORSConfiguration</Code></Error>");
  if (r.target().find("?uploads") == std::string::npos)
    return answers(400, "<Error><Code>EntityTooLarge</Code></Error>");
  return answers(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
                 {{"x-amz-checksum-type", "FULL_OBJECT"}});
}

struct fixture {
  explicit fixture(const app::config& of) : c(of), all(c, own) {}
  const app::config c;
  const signer own{c.server.secrets};
  app::stores all;
  app::stores::one& store = *all.all().front();

  void learn() { app::run_alone(learned()); }
  task<int> learned() {
    co_await store.abilities.learn(store.backend);
    co_return 0;
  }
};

} // namespace

BOOST_AUTO_TEST_CASE(settings_limit_what_is_used) {
  app::config::store_section s;
  BOOST_TEST((app::with_settings(s, everything) == everything));
  BOOST_TEST((app::with_settings(s, {}) == store_abilities{}));
  s.ways.emplace();
  auto none = app::with_settings(s, everything);
  BOOST_TEST((!none.takes_forms && !none.takes_presigned_put && !none.takes_presigned_parts));
  s.ways = {app::config::direct_way::put};
  const auto put = app::with_settings(s, {}); // whatever the store said
  BOOST_TEST((!put.takes_forms && put.takes_presigned_put && !put.takes_presigned_parts));
  s.ways = {app::config::direct_way::form, app::config::direct_way::multipart};
  const auto others = app::with_settings(s, everything);
  BOOST_TEST((others.takes_forms && !others.takes_presigned_put && others.takes_presigned_parts));
  s.sends_checksums = s.sends_if_none_match = false;
  const auto bare = app::with_settings(s, everything);
  BOOST_TEST((!bare.checks_checksums && !bare.checks_whole_object && !bare.takes_if_none_match));
  BOOST_TEST(bare.has_bucket_cors);
}

BOOST_AUTO_TEST_CASE(a_store_is_asked_with_a_key_of_a_profile) {
  auto place = app::place_to_ask_in(with("type = \"s3\"\nbucket = \"media\"\nother_buckets = [\"b\"]",
                                         "[profiles.a]\nbucket = \"b\"\nkey = \"pictures/${id}\""));
  BOOST_TEST(place.bucket == "b");
  BOOST_TEST(place.key_prefix == "pictures/");
  place = app::place_to_ask_in(with("type = \"s3\"\nbucket = \"media\""));
  BOOST_TEST(place.bucket == "media");
  BOOST_TEST(place.key_prefix == "uploads/");
}

BOOST_AUTO_TEST_CASE(forms_and_puts_are_assumed_until_the_store_has_answered) {
  captured_log log;
  scripted_peer peer(as_aws);
  fixture f(with(s3_at(peer.url())));
  BOOST_TEST((f.store.forms.abilities() == assumed_abilities));
  BOOST_TEST(assumed_abilities.takes_forms);
  BOOST_TEST(assumed_abilities.takes_presigned_put);
  f.learn();
  BOOST_TEST((f.store.forms.abilities() == everything));
  BOOST_TEST((f.all.find("media")->abilities() == everything));
  BOOST_TEST(log.text().find("event=\"the store was asked what it can do\" store=default ways=\"form, put, multipart\" "
                             "checksums=\"whole object\" if_none_match=true bucket_cors=true") != std::string::npos,
             log.text());
}

BOOST_AUTO_TEST_CASE(a_store_that_does_not_answer_is_asked_again) {
  std::atomic<int> creates{0};
  scripted_peer peer([&](const received_request& r) {
    const bool is_first = r.target().find("?uploads") != std::string::npos && ++creates <= 2;
    return is_first ? answers(403, "<Error><Code>InvalidAccessKeyId</Code></Error>") : as_aws(r);
  });
  fixture f(with(s3_at(peer.url())));
  const auto begin = std::chrono::steady_clock::now();
  f.learn();
  BOOST_TEST((f.store.abilities.now() == everything));
  BOOST_TEST((std::chrono::steady_clock::now() - begin >= 3s)); // after one second, and two
  BOOST_TEST(creates == 3);
}

BOOST_AUTO_TEST_CASE(a_store_without_forms_is_learnt) {
  scripted_peer peer([&](const received_request& r) {
    const bool is_form = r.method() == "POST" && r.target().find("?uploads") == std::string::npos;
    return is_form ? answers(501, "<Error><Code>NotImplemented</Code></Error>") : as_aws(r);
  });
  fixture f(with(s3_at(peer.url())));
  f.learn();
  BOOST_TEST(!f.store.forms.abilities().takes_forms);
  fixture forced(with(s3_at(peer.url()) + "ways = [\"form\"]"));
  forced.learn();
  BOOST_TEST(forced.store.forms.abilities().takes_forms);
  BOOST_TEST(!forced.store.forms.abilities().takes_presigned_put);
}

BOOST_AUTO_TEST_CASE(a_store_of_which_the_settings_say_all_is_not_asked) {
  scripted_peer peer(std::vector<step>{});
  fixture f(with(s3_at(peer.url()) + "ways = [\"form\"]\nchecksums = \"none\"\nif_none_match = \"none\""));
  f.learn();
  BOOST_TEST(
      (f.store.abilities.now() == store_abilities{.takes_forms = true, .preflights_signed_headers = true}));
}

BOOST_AUTO_TEST_CASE(a_directory_can_do_nothing_of_this) {
  fixture f(with("type = \"file\""));
  f.learn();
  BOOST_TEST((f.store.forms.abilities() == store_abilities{}));
}

BOOST_AUTO_TEST_CASE(learning_can_be_stopped) {
  scripted_peer peer(
      [](const received_request&) { return answers(403, "<Error><Code>InvalidAccessKeyId</Code></Error>"); });
  fixture f(with(s3_at(peer.url())));
  const auto begin = std::chrono::steady_clock::now();
  asio::io_context loop{1};
  group running(loop.get_executor());
  running.start(f.store.abilities.learn(f.store.backend));
  timer soon(loop.get_executor(), 300ms);
  soon.async_wait([&](boost::system::error_code) { f.store.abilities.stop(); });
  loop.run();
  BOOST_TEST((std::chrono::steady_clock::now() - begin < 3s));
  BOOST_TEST((f.store.abilities.now() == assumed_abilities));
}
