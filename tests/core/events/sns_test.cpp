#include <postern/core/events/sns.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>

using namespace postern;

namespace {

const std::string topic = "arn:aws:sns:us-west-2:123456789012:MyTopic";

// As in the SNS developer guide, "HTTP/HTTPS notification JSON format".
const std::string notification = R"({"Type":"Notification","MessageId":"22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
 "TopicArn":"arn:aws:sns:us-west-2:123456789012:MyTopic","Subject":"My First Message","Message":"Hello\nworld!",
 "Timestamp":"2012-05-02T00:54:06.655Z","SignatureVersion":"1","Signature":"RVhBTVBMRQ==",
 "SigningCertURL":"https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem",
 "UnsubscribeURL":"https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=x"})";
const std::string confirmation =
    R"({"Type":"SubscriptionConfirmation","MessageId":"165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
 "Token":"2336412f37","TopicArn":"arn:aws:sns:us-west-2:123456789012:MyTopic","Message":"You have chosen to subscribe",
 "SubscribeURL":"https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-west-2:123456789012:MyTopic&Token=2336412f37",
 "Timestamp":"2012-04-26T20:45:04.751Z","SignatureVersion":"2","Signature":"RVhBTVBMRQ==",
 "SigningCertURL":"https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem"})";

sns_message read(const std::string& text) { return read_sns(read_json(text).value()).value(); }

std::string without(std::string text, const std::string& member) {
  const auto at = text.find('"' + member + '"');
  BOOST_TEST_REQUIRE(at != std::string::npos);
  return text.insert(at + 1, "X");
}

std::string with(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  BOOST_TEST_REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

seconds_clock made() { return parse_iso8601("2012-05-02T00:54:06Z").value(); }

} // namespace

BOOST_AUTO_TEST_CASE(a_notification_is_read_and_signed_in_byte_order) {
  BOOST_TEST(is_sns(read_json(notification).value()));
  const auto m = read(notification);
  BOOST_TEST(m.id == "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324");
  BOOST_TEST(m.topic == topic);
  BOOST_TEST(m.signature == "EXAMPLE");
  BOOST_TEST(!m.sha256);
  BOOST_TEST((m.at == made()));
  BOOST_TEST(signed_text(m) ==
             "Message\nHello\nworld!\nMessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\nSubject\nMy First Message\n"
             "Timestamp\n2012-05-02T00:54:06.655Z\nTopicArn\narn:aws:sns:us-west-2:123456789012:MyTopic\n"
             "Type\nNotification\n");
  const auto no_subject = read(without(notification, "Subject"));
  BOOST_TEST(signed_text(no_subject).find("Subject") == std::string::npos);
  // An empty subject is present, and signed.
  BOOST_TEST(signed_text(read(with(notification, "My First Message", ""))).find("Subject\n\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(confirmations_are_signed_with_their_url_and_token) {
  const auto m = read(confirmation);
  BOOST_TEST(m.sha256);
  BOOST_TEST((m.what == sns_message::kind::subscription_confirmation));
  BOOST_TEST(signed_text(m) ==
             "Message\nYou have chosen to subscribe\nMessageId\n165545c9-2a5c-472c-8df2-7ff2be2b3b1b\n"
             "SubscribeURL\nhttps://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" +
                 topic + "&Token=2336412f37\nTimestamp\n2012-04-26T20:45:04.751Z\nToken\n2336412f37\nTopicArn\n" +
                 topic + "\nType\nSubscriptionConfirmation\n");
  const auto un = read(with(confirmation, "\"SubscriptionConfirmation\"", "\"UnsubscribeConfirmation\""));
  BOOST_TEST((un.what == sns_message::kind::unsubscribe_confirmation));
  BOOST_TEST(signed_text(un).ends_with("Type\nUnsubscribeConfirmation\n"));
}

BOOST_AUTO_TEST_CASE(a_message_with_a_missing_or_broken_member_is_rejected) {
  const auto refused = [](const std::string& text) {
    const auto m = read_sns(read_json(text).value());
    return !m && m.error().code == errc::bad_request;
  };
  for (const char* member :
       {"Type", "MessageId", "TopicArn", "Message", "Timestamp", "SignatureVersion", "Signature", "SigningCertURL"}) {
    BOOST_TEST(refused(without(notification, member)), member);
    BOOST_TEST(refused(without(confirmation, member)), member);
  }
  BOOST_TEST(refused(without(confirmation, "Token")));
  BOOST_TEST(refused(without(confirmation, "SubscribeURL")));
  BOOST_TEST(refused(with(notification, "\"1\"", "\"3\"")));
  BOOST_TEST(refused(with(notification, "\"1\"", "1")));
  BOOST_TEST(refused(with(notification, "RVhBTVBMRQ==", "no base64!")));
  BOOST_TEST(refused(with(notification, "RVhBTVBMRQ==", "")));
  BOOST_TEST(refused(with(notification, "2012-05-02T00:54:06.655Z", "yesterday")));
  BOOST_TEST(refused(with(notification, "\"Notification\"", "\"Other\"")));
  BOOST_TEST(!is_sns(read_json(R"({"Records":[]})").value()));
  BOOST_TEST(!is_sns(read_json("[]").value()));
}

BOOST_AUTO_TEST_CASE(other_topics_and_other_times_are_refused) {
  const auto m = read(notification);
  const auto refused = [&](const std::vector<std::string>& topics, seconds_clock now) {
    const auto right = check(m, topics, now);
    return !right && right.error().code == errc::forbidden;
  };
  const std::vector<std::string> ours{"arn:aws:sns:eu-west-1:1:other", topic};
  BOOST_TEST(!refused(ours, made()));
  BOOST_TEST(!refused(ours, made() + std::chrono::seconds(3600)));
  BOOST_TEST(refused(ours, made() + std::chrono::seconds(3601)));
  BOOST_TEST(!refused(ours, made() - std::chrono::seconds(300)));
  BOOST_TEST(refused(ours, made() - std::chrono::seconds(301)));
  BOOST_TEST(refused({}, made()));
  BOOST_TEST(refused({topic + "2"}, made()));
  BOOST_TEST(refused({"*"}, made()));
}

BOOST_AUTO_TEST_CASE(certificates_come_from_sns_only) {
  for (const char* url :
       {"https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ec.pem",
        "https://sns.us-west-2.amazonaws.com:443/a.pem", "https://sns.cn-north-1.amazonaws.com.cn/a.pem",
        "https://sns.us-gov-west-1.amazonaws.com/a.pem"})
    BOOST_TEST(certificate_url(url).has_value(), url);
  const auto at = certificate_url("https://sns.cn-north-1.amazonaws.com.cn/a.pem").value();
  BOOST_TEST(at.host == "sns.cn-north-1.amazonaws.com.cn");
  BOOST_TEST(at.region == "cn-north-1");
  for (const char* url : {"http://sns.us-west-2.amazonaws.com/a.pem",
                          "HTTPS://sns.us-west-2.amazonaws.com/a.pem",
                          "sns.us-west-2.amazonaws.com/a.pem",
                          "https://sns.us-west-2.amazonaws.com:8443/a.pem",
                          "https://sns.us-west-2.amazonaws.com:4433/a.pem",
                          "https://sns.us-west-2.amazonaws.com:/a.pem",
                          "https://sns.us-west-2.amazonaws.com.evil.com/a.pem",
                          "https://evil.com/sns.us-west-2.amazonaws.com/a.pem",
                          "https://evilsns.us-west-2.amazonaws.com/a.pem",
                          "https://x.sns.us-west-2.amazonaws.com/a.pem",
                          "https://sns.evil.com/a.pem",
                          "https://sns.amazonaws.com/a.pem",
                          "https://sns..amazonaws.com/a.pem",
                          "https://sns.a.b.amazonaws.com/a.pem",
                          "https://sns.us_west.amazonaws.com/a.pem",
                          "https://SNS.us-west-2.amazonaws.com/a.pem",
                          "https://sns.us-west-2.amazonaws.com./a.pem",
                          "https://user@sns.us-west-2.amazonaws.com/a.pem",
                          "https://sns.us-west-2.amazonaws.com@evil.com/a.pem",
                          "https://evil.com\\@sns.us-west-2.amazonaws.com/a.pem",
                          "https://evil.com#sns.us-west-2.amazonaws.com/a.pem",
                          "https://evil.com?sns.us-west-2.amazonaws.com/a.pem",
                          "https://bucket.s3.amazonaws.com/a.pem",
                          "https://sns.us-west-2.amazonaws.com/a.pem ",
                          "https://sns.us-west-2.amazonaws.com/a.pem#",
                          "https://sns.us-west-2.amazonaws.com/a.pem?x",
                          "https://sns.us-west-2.amazonaws.com/?a.pem",
                          "https://sns.us-west-2.amazonaws.com/a.der",
                          "https://sns.us-west-2.amazonaws.com",
                          "https://127.0.0.1/a.pem",
                          "https://[::1]/a.pem",
                          "https://sns.us-west-2.amazonaws.com\n/a.pem",
                          "https://sns.us-west-2.amazonaws\xc3\xa4.com/a.pem",
                          "",
                          "https://",
                          "file:///a.pem"})
    BOOST_TEST(!certificate_url(url).has_value(), url);
  BOOST_TEST(!certificate_url("https://sns.us-west-2.amazonaws.com/" + std::string(3000, 'a') + ".pem").has_value());
}

BOOST_AUTO_TEST_CASE(only_our_own_subscription_is_confirmed) {
  const std::string good =
      "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + topic + "&Token=1";
  BOOST_TEST(confirmation_url(good, topic).has_value());
  BOOST_TEST(!confirmation_url(good, topic + "x").has_value());
  BOOST_TEST(!confirmation_url(with(good, "ConfirmSubscription", "Unsubscribe"), topic).has_value());
  BOOST_TEST(!confirmation_url(with(good, "https", "http"), topic).has_value());
  BOOST_TEST(!confirmation_url(with(good, "sns.", "sqs."), topic).has_value());
  BOOST_TEST(!confirmation_url("https://sns.us-west-2.amazonaws.com/", topic).has_value());
  BOOST_TEST(!confirmation_url("https://10.0.0.1/?Action=ConfirmSubscription&TopicArn=" + topic, topic).has_value());
}

BOOST_AUTO_TEST_CASE(a_signing_certificate_must_have_the_name_of_sns) {
  const auto has = [](const char* url, const char* name) {
    const auto names = certificate_names(certificate_url(url).value());
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  BOOST_TEST(has("https://sns.us-east-1.amazonaws.com/a.pem", "sns.amazonaws.com"));
  BOOST_TEST(has("https://sns.us-east-1.amazonaws.com/a.pem", "sns.us-east-1.amazonaws.com"));
  BOOST_TEST(has("https://sns.af-south-1.amazonaws.com/a.pem", "sns-signing.af-south-1.amazonaws.com"));
  BOOST_TEST(has("https://sns.cn-north-1.amazonaws.com.cn/a.pem", "sns-cn-north-1.amazonaws.com.cn"));
  BOOST_TEST(!has("https://sns.cn-north-1.amazonaws.com.cn/a.pem", "sns.amazonaws.com"));
  BOOST_TEST(has("https://sns.us-gov-east-1.amazonaws.com/a.pem", "sns-us-gov-west-1.amazonaws.com"));
  BOOST_TEST(!has("https://sns.us-east-1.amazonaws.com/a.pem", "sns.eu-west-1.amazonaws.com"));
}

BOOST_AUTO_TEST_CASE(issuers_come_from_amazon_only) {
  BOOST_TEST(is_amazon_issuer_url("http://crt.r2m01.amazontrust.com/r2m01.cer"));
  BOOST_TEST(is_amazon_issuer_url("https://crt.r2m01.amazontrust.com/r2m01.cer"));
  for (const char* url :
       {"http://evil.com/r2m01.cer", "http://amazontrust.com.evil.com/r2m01.cer", "http://evilamazontrust.com/a.cer",
        "http://crt.amazontrust.com:81/a.cer", "http://crt.amazontrust.com/a.pem", "ftp://crt.amazontrust.com/a.cer",
        "http://u@crt.amazontrust.com/a.cer", "http://crt.amazontrust.com/a.cer?x", ""})
    BOOST_TEST(!is_amazon_issuer_url(url), url);
}
