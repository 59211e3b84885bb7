// Presigned URLs. s3_store_test uses them with a real S3.
#include "support/s3_world.hpp"

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

namespace {

s3_options at(std::string endpoint, bool path_style = false) {
  s3_options o;
  o.endpoint = std::move(endpoint);
  o.region = "eu-west-1";
  o.path_style = path_style;
  return o;
}

std::string signature_of(const std::string& canonical_request, const std::string& date = "20261123T181500Z") {
  const auto key = sigv4::signing_key(secret(hidden), date.substr(0, 8), "eu-west-1", "s3");
  return sigv4::signature(key, sigv4::string_to_sign({date, "eu-west-1", "s3"}, canonical_request));
}

std::string parameter(const std::string& url, std::string_view name) {
  return query_parameter(std::string_view(url).substr(url.find('?') + 1), name).value();
}

constexpr const char* upload_id = "id/+=";

} // namespace

BOOST_AUTO_TEST_SUITE(presign_)

BOOST_AUTO_TEST_CASE(a_put_of_an_object_is_presigned) {
  s3_fixture w(at("https://s3.example.com"));
  const auto made = w.run(w.presigner.presign_put({"media", "a b/Ü+&.jpg"}, {}, 900s)).value();
  BOOST_TEST((made.expires_at == now + 900s));
  const std::string path = "/a%20b/%C3%9C%2B%26.jpg";
  const std::string query =
      "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261123%2Feu-west-1%2Fs3%2Faws4_request"
      "&X-Amz-Date=20261123T181500Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host";
  const auto canonical = "PUT\n" + path + "\n" + query + "\nhost:media.s3.example.com\n\nhost\nUNSIGNED-PAYLOAD";
  BOOST_TEST(made.url ==
             "https://media.s3.example.com" + path + "?" + query + "&X-Amz-Signature=" + signature_of(canonical));
}

BOOST_AUTO_TEST_CASE(a_put_can_fix_size_metadata_and_conditions) {
  s3_fixture w(at("https://s3.example.com"));
  signed_body body;
  body.size = 5;
  body.meta.headers = {{"content-type", "image/png"}, {"acl", "private"}};
  body.meta.user = {{"postern-id", "7"}};
  body.headers = {{"if-none-match", "*"}};
  const auto made = w.run(w.presigner.presign_put({"media", "k"}, body, 900s)).value();
  const std::vector<std::pair<std::string, std::string>> wanted{
      {"content-type", "image/png"}, {"x-amz-acl", "private"}, {"x-amz-meta-postern-id", "7"}, {"if-none-match", "*"}};
  BOOST_TEST((made.headers == wanted)); // the browser adds Content-Length and Host itself
  const std::string names = "content-length;content-type;host;if-none-match;x-amz-acl;x-amz-meta-postern-id";
  BOOST_TEST(parameter(made.url, "X-Amz-SignedHeaders") == names);
  const auto query = made.url.substr(made.url.find('?') + 1);
  const auto canonical = "PUT\n/k\n" + query.substr(0, query.find("&X-Amz-Signature=")) +
                         "\ncontent-length:5\ncontent-type:image/png\nhost:media.s3.example.com\nif-none-match:*\n"
                         "x-amz-acl:private\nx-amz-meta-postern-id:7\n\n" +
                         names + "\nUNSIGNED-PAYLOAD";
  BOOST_TEST(parameter(made.url, "X-Amz-Signature") == signature_of(canonical));
  body.meta.user = {{"a", "b\nc"}};
  BOOST_TEST((w.run(w.presigner.presign_put({"media", "k"}, body, 900s)).error().code == errc::invalid_argument));
}

// The fields of the answer are named in the query (Amazon S3 API Reference, GetObject).
BOOST_AUTO_TEST_CASE(a_get_is_presigned_with_the_fields_of_its_answer) {
  s3_fixture w(at("https://s3.example.com"));
  const response_headers as{"attachment; filename*=UTF-8''a%20%C3%9C", "image/png"};
  const auto made = w.run(w.presigner.presign_get({"media", "a b"}, 300s, as)).value();
  BOOST_TEST((made.expires_at == now + 300s));
  const std::string query =
      "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261123%2Feu-west-1%2Fs3%2Faws4_request"
      "&X-Amz-Date=20261123T181500Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host"
      "&response-content-disposition=attachment%3B%20filename%2A%3DUTF-8%27%27a%2520%25C3%259C"
      "&response-content-type=image%2Fpng";
  const auto canonical = "GET\n/a%20b\n" + query + "\nhost:media.s3.example.com\n\nhost\nUNSIGNED-PAYLOAD";
  BOOST_TEST(made.url == "https://media.s3.example.com/a%20b?" + query + "&X-Amz-Signature=" + signature_of(canonical));
  const auto plain = w.run(w.presigner.presign_get({"media", "k"}, 60s, {})).value();
  BOOST_TEST(plain.url.find("response-") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_part_is_presigned_in_path_style_with_temporary_keys) {
  s3_fixture w(at("http://127.0.0.1:9000", true), {keys("ASIA", "tok/+=")});
  const auto made = w.run(w.presigner.presign_part({"media", "a b"}, upload_id, 7, {}, 60s)).value();
  const std::string path = "/media/a%20b";
  const std::string query =
      "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIA%2F20261123%2Feu-west-1%2Fs3%2Faws4_request"
      "&X-Amz-Date=20261123T181500Z&X-Amz-Expires=60&X-Amz-Security-Token=tok%2F%2B%3D&X-Amz-SignedHeaders=host"
      "&partNumber=7&uploadId=id%2F%2B%3D";
  const auto canonical = "PUT\n" + path + "\n" + query + "\nhost:127.0.0.1:9000\n\nhost\nUNSIGNED-PAYLOAD";
  BOOST_TEST(made.url == "http://127.0.0.1:9000" + path + "?" + query + "&X-Amz-Signature=" + signature_of(canonical));
}

BOOST_AUTO_TEST_CASE(a_url_names_the_public_endpoint) {
  auto o = at("http://10.1.2.3:9000", true);
  o.public_endpoint = "https://files.example.com";
  s3_fixture w(o);
  BOOST_TEST(w.run(w.presigner.presign_put({"media", "k"}, {}, 60s))
                 .value()
                 .url.starts_with("https://files.example.com/media/k?"));
  o.path_style = false;
  s3_fixture in_host(o);
  BOOST_TEST(in_host.run(in_host.presigner.presign_put({"media", "k"}, {}, 60s))
                 .value()
                 .url.starts_with("https://media.files.example.com/k?"));
  BOOST_TEST(in_host.run(in_host.presigner.presign_put({"my.media", "k"}, {}, 60s))
                 .value()
                 .url.starts_with("https://files.example.com/my.media/k?"));
  s3_fixture aws(at(""));
  BOOST_TEST(aws.run(aws.presigner.presign_put({"media", "k"}, {}, 60s))
                 .value()
                 .url.starts_with("https://media.s3.eu-west-1.amazonaws.com/k?"));
  s3_fixture bad(at("no URL"));
  BOOST_TEST(bad.run(bad.presigner.presign_put({"media", "k"}, {}, 60s)).error().on.find("store.endpoint") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_url_expires_with_the_credentials_or_after_a_week) {
  using std::chrono::seconds;
  struct row {
    std::optional<seconds> keys_live;
    seconds asked, granted;
  };
  for (const auto& r : std::vector<row>{
           {{}, 1s, 1s},
           {{}, 604800s, 604800s},
           {{}, 604801s, 604800s}, // S3 accepts no longer lifetime
           {3600s, 900s, 900s},
           {3600s, 3600s, 3600s},
           {3600s, 3601s, 3600s},
           {3600s, 604800s, 3600s},
           {1s, 900s, 1s},
       }) {
    s3_fixture w(at("https://s3.example.com"),
                 {keys("ASIA", "t", r.keys_live ? std::optional(now + *r.keys_live) : std::nullopt)});
    for (const bool part : {false, true}) {
      const auto made = w.run(part ? w.presigner.presign_part({"media", "k"}, upload_id, 1, {}, r.asked)
                                   : w.presigner.presign_put({"media", "k"}, {}, r.asked))
                            .value();
      BOOST_TEST((made.expires_at == now + r.granted), r.asked.count());
      BOOST_TEST(parameter(made.url, "X-Amz-Expires") == std::to_string(r.granted.count()));
    }
  }
  s3_fixture w(at("https://s3.example.com"), {keys("ASIA", "t", now + 100s)});
  w.passed = 40; // less of their life is left
  const auto made = w.run(w.presigner.presign_put({"media", "k"}, {}, 900s)).value();
  BOOST_TEST(parameter(made.url, "X-Amz-Expires") == "60");
  BOOST_TEST(parameter(made.url, "X-Amz-Date") == "20261123T181540Z");
  BOOST_TEST((made.expires_at == now + 100s));
  for (const auto none : {0s, -5s})
    BOOST_TEST((w.run(w.presigner.presign_put({"media", "k"}, {}, none)).error().code == errc::unavailable));
  w.passed = 100;
  BOOST_TEST(
      (w.run(w.presigner.presign_put({"media", "k"}, {}, 900s)).error().code == errc::unavailable)); // no more keys
}

BOOST_AUTO_TEST_CASE(presigning_uses_the_stores_clock_and_region) {
  scripted_peer peer({error(403, "RequestTimeTooSkewed", "", {{"Date", http_date(now - 1h)}}), answers(204),
                      error(400, "AuthorizationHeaderMalformed", "<Region>ap-south-1</Region>"), answers(204)});
  s3_fixture w(by_path(peer), {keys("ASIA", "t", now + 600s)});
  value_of(w.run(w.s3.delete_object({"media", "k"})));
  const auto made = w.run(w.presigner.presign_put({"media", "k"}, {}, 900s)).value();
  BOOST_TEST(parameter(made.url, "X-Amz-Date") == "20261123T171500Z");
  value_of(w.run(w.s3.delete_object({"media", "k"})));
  BOOST_TEST(parameter(w.run(w.presigner.presign_put({"media", "k"}, {}, 60s)).value().url, "X-Amz-Credential") ==
             "ASIA/20261123/ap-south-1/s3/aws4_request");
}

BOOST_AUTO_TEST_SUITE_END()
