#include <postern/base/json.hpp>
#include <postern/core/events/webhook.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(webhook_)

// The test case of the Standard Webhooks libraries.
BOOST_AUTO_TEST_CASE(the_signature_matches_the_published_example) {
  const auto key = webhook_key(secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).value();
  BOOST_TEST(key.reveal().size() == 24u);
  BOOST_TEST(webhook_signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", seconds_clock{1614265330s},
                               R"({"test": 2432232314})") == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

BOOST_AUTO_TEST_CASE(the_signature_depends_on_every_input) {
  const secret key("0123456789abcdef"), other("0123456789abcdeg");
  const auto of = [](const secret& k, const char* id, int at, const char* payload) {
    return webhook_signature(k, id, seconds_clock{std::chrono::seconds(at)}, payload);
  };
  const auto one = of(key, "a", 1, "x");
  BOOST_TEST(one == of(key, "a", 1, "x"));
  for (const auto& other_message :
       {of(other, "a", 1, "x"), of(key, "b", 1, "x"), of(key, "a", 2, "x"), of(key, "a", 1, "y")})
    BOOST_TEST(one != other_message);
}

BOOST_AUTO_TEST_CASE(secrets_are_decoded_and_short_ones_rejected) {
  struct row {
    const char *configured, *bytes; // nullptr: refused
  };
  const row rows[]{
      {"whsec_MDEyMzQ1Njc4OWFiY2RlZg==", "0123456789abcdef"},
      {"0123456789abcdef", "0123456789abcdef"},
      {"MDEyMzQ1Njc4OWFiY2RlZg==", "MDEyMzQ1Njc4OWFiY2RlZg=="}, // without the prefix, the text is the secret
      {"0123456789abcde", nullptr},
      {"whsec_MDEyMzQ1Njc4OWFiY2Rl", nullptr}, // 15 bytes
      {"whsec_not base64 at all, no", nullptr},
      {"whsec_", nullptr},
      {"", nullptr},
  };
  for (const auto& r : rows) {
    BOOST_TEST_CONTEXT(r.configured) {
      const auto key = webhook_key(secret(r.configured));
      BOOST_TEST(key.has_value() == (r.bytes != nullptr));
      if (key && r.bytes) BOOST_TEST(key->reveal() == r.bytes);
      if (!key) BOOST_TEST((key.error().code == errc::invalid_argument));
    }
  }
}

BOOST_AUTO_TEST_CASE(an_endpoint_gets_only_the_types_that_it_wants) {
  using enum webhook_type;
  const auto wants = [](std::vector<std::string> types) {
    const webhook_endpoint e{"https://a", std::move(types)};
    std::string got;
    for (const auto t : {completed, failed, expired, overwritten}) got += e.wants(t) ? 'x' : '-';
    return got;
  };
  BOOST_TEST(wants({"*"}) == "xxxx");
  BOOST_TEST(wants({"upload.*"}) == "xxxx");
  BOOST_TEST(wants({"upload.completed"}) == "x---");
  BOOST_TEST(wants({"upload.failed", "upload.expired"}) == "-xx-");
  BOOST_TEST(wants({"upload.overwritten"}) == "---x");
  BOOST_TEST(wants({}) == "----");
  BOOST_TEST(wants({"upload", "completed", "other.*"}) == "----");
  BOOST_TEST((webhook_endpoint{}.wants(failed)));
}

BOOST_AUTO_TEST_CASE(the_payload_is_the_whole_upload) {
  upload u;
  u.id = "0193", u.state = upload_state::completed, u.profile = "default", u.user = "42", u.bucket = "media";
  u.key = "a \"b\".jpg", u.metadata = {{"order", "7"}}, u.size = 5, u.etag = "e1";
  u.completed_by = completion_source::event;
  const millis_clock at{1'795'457'700'123ms};
  const auto text = webhook_payload(webhook_type::completed, u, at);
  BOOST_TEST(text == R"({"type":"upload.completed","timestamp":")" + iso8601_millis(at) + R"(","data":)" +
                         to_json(u, true) + "}");
  const auto v = read_json(text).value();
  BOOST_TEST(*v.find("data")->find("key")->if_string() == u.key);
  BOOST_TEST(*v.find("data")->find("metadata")->find("order")->if_string() == "7");
  BOOST_TEST(*v.find("data")->find("completed_by")->if_string() == "event");
}

BOOST_AUTO_TEST_CASE(pauses_grow_to_a_day_and_end) {
  const std::chrono::milliseconds least[]{5s, 5min, 30min, 2h, 5h, 10h, 14h, 20h, 24h};
  unsigned tries = 0;
  for (const auto pause : least) {
    ++tries;
    BOOST_TEST((webhook_pause(tries, 0) == pause));
    BOOST_TEST((webhook_pause(tries, 0.5) == pause + pause / 10));
    BOOST_TEST((webhook_pause(tries, 1) == pause + pause / 5));
  }
  BOOST_TEST(!webhook_pause(tries + 1, 0).has_value());
  BOOST_TEST(!webhook_pause(1000, 0).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
