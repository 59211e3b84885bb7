#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include "support/signing_certificates.hpp"
#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/flow/completion/receive_events.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

const signer own({secret("a secret for the tests only")});
const millis_clock now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
const std::string token = "a token for the tests only", topic = "arn:aws:sns:eu-west-1:123456789012:uploads",
                  id = "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4", key = "uploads/" + id + "/a b";
const test::made_certificate signing = test::make_certificate({}), another = test::make_certificate({});

struct fake_sns final : sns {
  std::vector<std::string> fetched, confirmed;
  std::optional<failure> broken;
  task<result<certificate>> signing_certificate(sns_url at, seconds_clock) override {
    fetched.push_back(at.url);
    if (broken) co_return *broken;
    co_return certificate::read_pem(signing.pem()).value().front();
  }
  task<result<void>> confirm(sns_url at) override {
    confirmed.push_back(at.url);
    if (broken) co_return *broken;
    co_return result<void>{};
  }
};

std::string event(const std::string& of = "uploads/" + id + "/a+b", const std::string& name = "ObjectCreated:Post") {
  return R"({"Records":[{"eventVersion":"2.5","eventSource":"aws:s3","eventName":")" + name +
         R"(","s3":{"bucket":{"name":"media"},"object":{"key":")" + of + R"(","size":50,"eTag":"abc"}}}]})";
}

struct fixture {
  test::fake_store store;
  test::fake_ledger ledger;
  fake_sns amazon;
  std::map<std::string, profile> profiles;
  const recorder recording{ledger, store, profiles};
  completer completions{own, store, ledger, recording};
  event_receiver_options options{secret(token), {topic}, {"media"}};
  std::optional<event_receiver> receiver;

  fixture() {
    stored_object o;
    o.size = 50;
    o.etag = "abc";
    o.meta.user.emplace_back("postern-id", id);
    store.objects["media/" + key] = o;
    upload u;
    u.id = id, u.bucket = "media", u.key = key, u.max_size = 100;
    ledger.issue(u);
  }
  result<event_counts> receive(const std::string& body, const std::string& authorization,
                               const std::string& signature = "") {
    if (!receiver) receiver.emplace(options, completions, amazon, ledger);
    return test::run_task(receiver->receive({authorization, signature, body}, now));
  }
  errc refused(const std::string& body, const std::string& authorization = "", const std::string& signature = "") {
    const auto came = receive(body, authorization, signature);
    BOOST_TEST(ledger.confirmed == 0);
    return came ? errc::internal : came.error().code;
  }
  bool completed() const { return ledger.rows.at(id).state == upload_state::completed; }
};

struct envelope {
  std::string type = "Notification", id = "22b80b92", of = topic, message = event();
  std::string at = iso8601_millis(now), version = "2", host = "https://sns.eu-west-1.amazonaws.com";
  std::string url = host + "/?Action=ConfirmSubscription&TopicArn=" + topic + "&Token=t";

  std::string print(const test::made_certificate& by = signing) const {
    sns_message m;
    m.what = type == "Notification"               ? sns_message::kind::notification
             : type == "SubscriptionConfirmation" ? sns_message::kind::subscription_confirmation
                                                  : sns_message::kind::unsubscribe_confirmation;
    m.id = id, m.topic = of, m.message = message, m.timestamp = at, m.token = "t", m.subscribe_url = url;
    json_writer w;
    w.begin_object();
    w.member("Type", type);
    w.member("MessageId", id);
    w.member("TopicArn", of);
    w.member("Message", message);
    w.member("Timestamp", at);
    w.member("SignatureVersion", version);
    w.member("Signature", to_base64(by.sign(version == "1" ? EVP_sha1() : EVP_sha256(), signed_text(m))));
    w.member("SigningCertURL", host + "/SimpleNotificationService-1.pem");
    w.member("Token", "t");
    w.member("SubscribeURL", url);
    w.end_object();
    return w.take();
  }
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  BOOST_TEST_REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::string mac(const std::string& body) { return "sha256=" + to_hex(hmac_sha256(token, body)); }

} // namespace

BOOST_FIXTURE_TEST_CASE(the_token_is_accepted_in_four_forms, fixture) {
  const auto body = event();
  for (const auto& [authorization, signature] : {std::pair{"Bearer " + token, std::string()},
                                                 {"bearer " + token, ""},
                                                 {"Basic " + to_base64("anyone:" + token), ""},
                                                 {"", mac(body)},
                                                 {"", "sha256=" + to_hex(hmac_sha256(token, body))}}) {
    const auto counts = receive(body, authorization, signature).value();
    BOOST_TEST(counts.recorded == 1u, authorization << signature);
    BOOST_TEST(counts.ignored == 0u);
  }
  BOOST_TEST(completed());
  BOOST_TEST(ledger.confirmed == 1);
}

BOOST_FIXTURE_TEST_CASE(without_the_token_every_message_is_rejected, fixture) {
  const auto body = event();
  for (const auto& [authorization, signature] : {std::pair{std::string(), std::string()},
                                                 {"Bearer " + token + "x", ""},
                                                 {"Bearer ", ""},
                                                 {"Bearer", ""},
                                                 {token, ""},
                                                 {"Basic " + to_base64(token), ""},
                                                 {"Basic " + to_base64(token + ":x"), ""},
                                                 {"Basic " + token, ""},
                                                 {"Digest " + token, ""},
                                                 {"", mac(body + " ")},
                                                 {"", mac(body).substr(7)},
                                                 {"", "sha256="},
                                                 {"", "sha1=" + mac(body).substr(7)},
                                                 {"Bearer wrong", mac(body)}})
    BOOST_TEST((refused(body, authorization, signature) == errc::unauthorized), authorization << signature);
  BOOST_TEST((refused("not even JSON") == errc::unauthorized));
  BOOST_TEST(store.heads == 0);
}

BOOST_FIXTURE_TEST_CASE(without_configured_senders_every_message_is_rejected, fixture) {
  options = {};
  BOOST_TEST((refused(event(), "Bearer ") == errc::unauthorized));
  BOOST_TEST((refused(event(), "Basic " + to_base64(":")) == errc::unauthorized));
  BOOST_TEST((refused(event(), "", "sha256=" + to_hex(hmac_sha256("", event()))) == errc::unauthorized));
  BOOST_TEST((refused(envelope{}.print()) == errc::unauthorized));
  BOOST_TEST(!receiver->is_open());
  BOOST_TEST(amazon.fetched.empty());
}

BOOST_FIXTURE_TEST_CASE(an_authenticated_sender_learns_what_is_malformed, fixture) {
  BOOST_TEST((refused("{", "Bearer " + token) == errc::bad_request));
  BOOST_TEST((refused("{}", "Bearer " + token) == errc::bad_request));
  BOOST_TEST(receive(R"({"Event":"s3:TestEvent"})", "Bearer " + token)->recorded == 0u);
  BOOST_TEST(receive(event(key, "ObjectRemoved:Delete"), "Bearer " + token)->ignored == 1u);
}

BOOST_FIXTURE_TEST_CASE(an_sns_message_is_authenticated_by_its_signature, fixture) {
  for (const char* version : {"1", "2"}) {
    envelope e;
    e.version = version, e.id = version;
    const auto counts = receive(e.print(), "").value();
    BOOST_TEST(counts.recorded == 1u, version);
  }
  BOOST_TEST(completed());
  BOOST_TEST(amazon.fetched.front() == "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem");
}

BOOST_FIXTURE_TEST_CASE(an_altered_sns_message_is_rejected, fixture) {
  const auto good = envelope{}.print();
  BOOST_TEST((refused(envelope{}.print(another)) == errc::forbidden));
  BOOST_TEST((refused(replaced(good, "ObjectCreated:Post", "ObjectCreated:Copy")) == errc::forbidden));
  BOOST_TEST((refused(replaced(good, "22b80b92", "22b80b93")) == errc::forbidden));
  BOOST_TEST((refused(replaced(good, "\"SignatureVersion\":\"2\"", "\"SignatureVersion\":\"1\"")) == errc::forbidden));
  amazon.fetched.clear();
  // These are rejected before a certificate is fetched.
  envelope e;
  e.of = topic + "x";
  BOOST_TEST((refused(e.print()) == errc::forbidden));
  e = {}, e.at = iso8601_millis(now - std::chrono::seconds(3602));
  BOOST_TEST((refused(e.print()) == errc::forbidden));
  e = {}, e.at = iso8601_millis(now + std::chrono::seconds(302));
  BOOST_TEST((refused(e.print()) == errc::forbidden));
  e = {}, e.host = "https://sns.eu-west-1.amazonaws.com.evil.com";
  BOOST_TEST((refused(e.print()) == errc::forbidden));
  BOOST_TEST((refused(replaced(good, "\"Timestamp\"", "\"T\"")) == errc::bad_request));
  BOOST_TEST(amazon.fetched.empty());
  // The token does not replace the signature.
  BOOST_TEST((refused(envelope{}.print(another), "Bearer " + token) == errc::forbidden));
}

BOOST_FIXTURE_TEST_CASE(an_envelope_needs_a_topic_even_with_the_token, fixture) {
  options.sns_topics.clear();
  BOOST_TEST((refused(envelope{}.print(), "Bearer " + token) == errc::forbidden));
  BOOST_TEST((refused(envelope{}.print()) == errc::unauthorized));
}

BOOST_FIXTURE_TEST_CASE(a_repeated_message_is_processed_once, fixture) {
  const auto body = envelope{}.print();
  BOOST_TEST(receive(body, "")->recorded == 1u);
  ledger.rows.at(id).state = upload_state::issued; // so that a second completion would be visible
  BOOST_TEST(receive(body, "")->ignored == 1u);
  receiver.emplace(options, completions, amazon, ledger); // another node, or the same one after a restart
  BOOST_TEST(receive(body, "")->ignored == 1u);
  BOOST_TEST(ledger.confirmed == 1);
}

BOOST_FIXTURE_TEST_CASE(a_failed_message_can_be_sent_again, fixture) {
  ledger.broken = failure(errc::ledger_failed, "disk full");
  BOOST_TEST((refused(envelope{}.print()) == errc::ledger_failed));
  ledger.broken.reset();
  amazon.broken = failure(errc::unavailable, "no route");
  BOOST_TEST((refused(envelope{}.print()) == errc::unavailable));
  amazon.broken.reset();
  BOOST_TEST(receive(envelope{}.print(), "")->recorded == 1u);
}

// Of a batch, each record counts by itself: whatever stands beside it.
BOOST_FIXTURE_TEST_CASE(a_bad_record_does_not_keep_the_ones_beside_it_from_being_recorded, fixture) {
  const auto inside = [](const std::string& message) { return message.substr(12, message.size() - 14); };
  const auto good = inside(event());
  const auto batch = [&](const std::string& bad) { return R"({"Records":[)" + bad + "," + good + "]}"; };
  const auto other_bucket = replaced(good, R"("name":"media")", R"("name":"tenant:media")");
  const auto other_version = replaced(good, "2.5", "3.0");
  const auto long_key = replaced(good, "uploads/", std::string(1025, 'k'));
  struct {
    std::string bad;
    std::size_t ignored, rejected;
  } cases[] = {{other_bucket, 1, 0}, {other_version, 0, 1}, {long_key, 0, 1}, {"5", 0, 1}};
  for (const auto& [bad, ignored, rejected] : cases) {
    const auto counts = receive(batch(bad), "Bearer " + token).value();
    BOOST_TEST_CONTEXT(bad) {
      BOOST_TEST(counts.recorded == 1u);
      BOOST_TEST(counts.ignored == ignored);
      BOOST_TEST(counts.rejected == rejected);
    }
  }
  BOOST_TEST(completed());
}

BOOST_FIXTURE_TEST_CASE(the_bucket_of_another_tenant_costs_the_store_and_the_ledger_nothing, fixture) {
  store.broken = failure(errc::unavailable, "no route");
  ledger.broken = failure(errc::ledger_failed, "disk full");
  const auto counts = receive(replaced(event(), R"("name":"media")", R"("name":"other")"), "Bearer " + token).value();
  BOOST_TEST(counts.ignored == 1u);
  options.buckets = {"*"};
  receiver.reset();
  BOOST_TEST(
      (refused(replaced(event(), R"("name":"media")", R"("name":"other")"), "Bearer " + token) == errc::ledger_failed));
}

BOOST_FIXTURE_TEST_CASE(an_event_that_must_be_sent_again_does_not_stop_the_ones_behind_it, fixture) {
  // The first key has no row, so the store is asked, which gives no answer; the second upload is completed already.
  ledger.rows.at(id).state = upload_state::completed;
  ledger.rows.at(id).etag = "abc";
  BOOST_TEST(receive(event(), "Bearer " + token)->recorded == 1u);
  store.broken = failure(errc::unavailable, "no route");
  const auto unknown = event("uploads/01a20a86-41d4-7ac8-8ecb-3931cee2cfd5/x");
  const auto both = unknown.substr(0, unknown.size() - 2) + "," + event().substr(12);
  BOOST_TEST((refused(both, "Bearer " + token) == errc::unavailable));
}

BOOST_FIXTURE_TEST_CASE(a_subscription_is_confirmed_once, fixture) {
  envelope e;
  e.type = "SubscriptionConfirmation";
  BOOST_TEST(receive(e.print(), "").has_value());
  BOOST_TEST(receive(e.print(), "").has_value());
  BOOST_TEST_REQUIRE(amazon.confirmed.size() == 1u);
  BOOST_TEST(amazon.confirmed.front() == e.url);
  e.id = "another", e.url = "https://evil.com/?Action=ConfirmSubscription&TopicArn=" + topic;
  BOOST_TEST((refused(e.print()) == errc::forbidden));
  e = {}, e.type = "UnsubscribeConfirmation", e.id = "end";
  BOOST_TEST(receive(e.print(), "").has_value());
  BOOST_TEST(amazon.confirmed.size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(an_sns_message_must_contain_an_event, fixture) {
  envelope e;
  e.message = "Hello world!";
  BOOST_TEST((refused(e.print()) == errc::bad_request));
  e.message = R"({"Event":"s3:TestEvent"})";
  BOOST_TEST(receive(e.print(), "")->recorded == 0u);
}
