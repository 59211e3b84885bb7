// AWS's published examples, stage by stage: "Signature calculations for the Authorization header", "Authenticating
// requests: using query parameters", and "Example: browser-based upload using HTTP POST". The keys are those of AWS's
// documentation.
#include <postern/base/encoding.hpp>
#include <postern/core/s3/sigv4.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

const sigv4::credentials keys{"AKIAIOSFODNN7EXAMPLE", secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), ""};
const sigv4::scope scope_2013{"20130524T000000Z", "us-east-1", "s3"};
const std::string empty_hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct example {
  const char* name;
  sigv4::request request;
  std::string canonical;
  std::string canonical_hash;
  std::string signature;
};

std::vector<example> examples() {
  const auto with = [](std::vector<sigv4::name_value> headers, const std::string& hash) {
    headers.emplace_back("Host", "examplebucket.s3.amazonaws.com");
    headers.emplace_back("x-amz-content-sha256", hash);
    headers.emplace_back("x-amz-date", "20130524T000000Z");
    return headers;
  };
  const std::string put_hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
  return {
      {"GET object",
       {"GET", "/test.txt", {}, with({{"Range", "bytes=0-9"}}, empty_hash), empty_hash},
       "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\nx-amz-content-sha256:" + empty_hash +
           "\nx-amz-date:20130524T000000Z\n\nhost;range;x-amz-content-sha256;x-amz-date\n" + empty_hash,
       "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
       "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
      {"PUT object",
       {"PUT",
        "/test$file.text",
        {},
        with({{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}}, put_hash),
        put_hash},
       "PUT\n/test%24file.text\n\ndate:Fri, 24 May 2013 00:00:00 "
       "GMT\nhost:examplebucket.s3.amazonaws.com\nx-amz-content-sha256:" +
           put_hash +
           "\nx-amz-date:20130524T000000Z\nx-amz-storage-class:REDUCED_REDUNDANCY\n\ndate;host;x-amz-content-sha256;x-"
           "amz-date;x-amz-storage-class\n" +
           put_hash,
       "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
       "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
      {"GET bucket lifecycle",
       {"GET", "/", {{"lifecycle", ""}}, with({}, empty_hash), empty_hash},
       "GET\n/\nlifecycle=\nhost:examplebucket.s3.amazonaws.com\nx-amz-content-sha256:" + empty_hash +
           "\nx-amz-date:20130524T000000Z\n\nhost;x-amz-content-sha256;x-amz-date\n" + empty_hash,
       "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
       "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
      {"GET bucket list",
       {"GET", "/", {{"prefix", "J"}, {"max-keys", "2"}}, with({}, empty_hash), empty_hash},
       "GET\n/\nmax-keys=2&prefix=J\nhost:examplebucket.s3.amazonaws.com\nx-amz-content-sha256:" + empty_hash +
           "\nx-amz-date:20130524T000000Z\n\nhost;x-amz-content-sha256;x-amz-date\n" + empty_hash,
       "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
       "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
  };
}

} // namespace

BOOST_AUTO_TEST_CASE(the_published_header_examples_stage_by_stage) {
  for (const auto& e : examples()) BOOST_TEST_CONTEXT(e.name) {
      const auto canonical = sigv4::canonical_request(e.request);
      BOOST_TEST(canonical == e.canonical);
      BOOST_TEST(sha256_hex(canonical) == e.canonical_hash);
      const auto text = sigv4::string_to_sign(scope_2013, canonical);
      BOOST_TEST(text == "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n" + e.canonical_hash);
      const auto key = sigv4::signing_key(keys.secret_key, "20130524", "us-east-1", "s3");
      BOOST_TEST(sigv4::signature(key, text) == e.signature);
      BOOST_TEST(sigv4::authorization(e.request, keys, scope_2013) ==
                 "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=" +
                     sigv4::signed_headers(e.request) + ", Signature=" + e.signature);
    }
}

BOOST_AUTO_TEST_CASE(the_published_signing_key) {
  // AWS, "Deriving a signing key": 20120215, us-east-1, iam.
  const auto key =
      sigv4::signing_key(secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), "20120215", "us-east-1", "iam");
  BOOST_TEST(to_hex(key) == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
}

BOOST_AUTO_TEST_CASE(the_published_presigned_url) {
  sigv4::request r{"GET", "/test.txt", {}, {{"host", "examplebucket.s3.amazonaws.com"}}, "UNSIGNED-PAYLOAD"};
  BOOST_TEST(
      sigv4::presigned_query(r, keys, scope_2013, 86400) ==
      "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_"
      "request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
      "&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

BOOST_AUTO_TEST_CASE(the_published_post_policy) {
  const std::string policy =
      "{ \"expiration\": \"2015-12-30T12:00:00.000Z\",\r\n"
      "  \"conditions\": [\r\n"
      "    {\"bucket\": \"sigv4examplebucket\"},\r\n"
      "    [\"starts-with\", \"$key\", \"user/user1/\"],\r\n"
      "    {\"acl\": \"public-read\"},\r\n"
      "    {\"success_action_redirect\": \"http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html\"},\r\n"
      "    [\"starts-with\", \"$Content-Type\", \"image/\"],\r\n"
      "    {\"x-amz-meta-uuid\": \"14365123651274\"},\r\n"
      "    {\"x-amz-server-side-encryption\": \"AES256\"},\r\n"
      "    [\"starts-with\", \"$x-amz-meta-tag\", \"\"],\r\n"
      "\r\n"
      "    {\"x-amz-credential\": \"AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request\"},\r\n"
      "    {\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"},\r\n"
      "    {\"x-amz-date\": \"20151229T000000Z\" }\r\n"
      "  ]\r\n"
      "}";
  const auto text = to_base64(policy);
  BOOST_TEST(text.starts_with("eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAg"
                              "ICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBb"));
  const auto key = sigv4::signing_key(keys.secret_key, "20151229", "us-east-1", "s3");
  BOOST_TEST(sigv4::policy_signature(key, text) == "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e");
}

BOOST_AUTO_TEST_CASE(a_session_token_is_signed_in_a_presigned_url) {
  const sigv4::credentials temporary{"ASIA", secret("secret"), "token/with+signs="};
  sigv4::request r{"PUT", "/a b", {{"partNumber", "1"}}, {{"host", "h"}}, "UNSIGNED-PAYLOAD"};
  const auto query = sigv4::presigned_query(r, temporary, scope_2013, 60);
  BOOST_TEST(query.find("&X-Amz-Security-Token=token%2Fwith%2Bsigns%3D&") != query.npos);
  BOOST_TEST(query.ends_with(query.substr(query.rfind("&X-Amz-Signature="))));
  BOOST_TEST(query.find("partNumber=1") != query.npos);
}

BOOST_AUTO_TEST_CASE(a_credential_is_parsed_from_its_end) {
  const auto plain = sigv4::parse_credential("AKIA/20130524/us-east-1/s3/aws4_request").value();
  BOOST_TEST(plain.access_key == "AKIA");
  BOOST_TEST(plain.day == "20130524");
  BOOST_TEST(plain.region == "us-east-1");
  BOOST_TEST(plain.service == "s3");
  BOOST_TEST(sigv4::parse_credential("a/b/20130524/r/s3/aws4_request")->access_key == "a/b");
  for (const char* bad :
       {"", "AKIA", "/20130524/us-east-1/s3/aws4_request", "AKIA/2013052/us-east-1/s3/aws4_request",
        "AKIA/20130532/us-east-1/s3/aws4_request", "AKIA/20130524/us-east-1/s3/aws4", "AKIA/20130524//s3/aws4_request",
        "20130524/us-east-1/s3/aws4_request", "AKIA/20130524/us-east-1//aws4_request"})
    BOOST_TEST_CONTEXT(bad) BOOST_TEST(sigv4::parse_credential(bad).has_error());
}
