#include "support/certificates.hpp"
#include "support/s3_world.hpp"
#include "support/temporary_folder.hpp"

#include <functional>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

namespace {

const object_meta some_meta{{{"content-type", "text/plain"}}, {{"postern-id", "1"}, {"title", "Grüße"}}};
const s3_multipart_upload some_upload{{"media", "a b"}, "id/+=", false},
    checked_upload{{"media", "a b"}, "id/+=", true};

} // namespace

BOOST_AUTO_TEST_SUITE(s3_client_)

// The request that each operation sends.
BOOST_AUTO_TEST_CASE(each_operation_sends_the_documented_request) {
  struct row {
    std::string line;       // path style
    std::string host_style; // the same where the bucket is in the host
    step answer;
    std::function<void(s3_fixture&)> call;
    std::string body;
    header_fields fields; // besides the fields of every request
  };
  const auto ok = answers(200);
  const std::string bytes("hello");
  const std::string parts =
      "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part><PartNumber>1"
      "</PartNumber><ETag>&quot;a&quot;</ETag></Part><Part><PartNumber>2</PartNumber><ETag>&quot;"
      "b&amp;&quot;</ETag></Part></CompleteMultipartUpload>";
  const std::vector<row> rows{
      {"PUT /media/a%20b",
       "PUT /a%20b",
       answers(200, "", {{"ETag", "\"e\""}}),
       [&](s3_fixture& w) {
         const auto done = value_of(w.run(w.s3.put_object({"media", "a b"}, some_meta, bytes, crc32c(0, bytes))));
         BOOST_TEST(done.etag == "e");
         BOOST_TEST(!done.is_verified); // the store did not say
       },
       bytes,
       {{"content-type", "text/plain"},
        {"x-amz-meta-postern-id", "1"},
        {"x-amz-meta-title", "=?UTF-8?B?R3LDvMOfZQ==?="},
        {"x-amz-checksum-crc32c", crc32c_base64(crc32c(0, bytes))},
        {"content-length", "5"}}},
      {"POST /media/a%20b?uploads=",
       "POST /a%20b?uploads=",
       xml(200, "<InitiateMultipartUploadResult><UploadId>id/+=</UploadId></InitiateMultipartUploadResult>"),
       [](s3_fixture& w) {
         const auto made = value_of(w.run(w.s3.create_multipart({"media", "a b"}, some_meta)));
         BOOST_TEST(made.upload_id == "id/+=");
         BOOST_TEST(made.name.key == "a b");
         BOOST_TEST(!made.has_checksums);
       },
       "",
       {{"content-type", "text/plain"},
        {"x-amz-checksum-algorithm", "CRC32C"},
        {"x-amz-checksum-type", "FULL_OBJECT"},
        {"content-length", "0"}}},
      {"PUT /media/a%20b?partNumber=7&uploadId=id%2F%2B%3D",
       "PUT /a%20b?partNumber=7&uploadId=id%2F%2B%3D",
       answers(200, "", {{"ETag", "\"e\""}}),
       [&](s3_fixture& w) {
         const auto part = value_of(w.run(w.s3.upload_part(some_upload, 7, bytes)));
         BOOST_TEST(part.etag == "e");
         BOOST_TEST((part.number == 7 && part.size == 5u && !part.crc32c));
       },
       bytes,
       {{"content-length", "5"}, {"x-amz-checksum-crc32c", ""}}},
      {"PUT /media/a%20b?partNumber=7&uploadId=id%2F%2B%3D",
       "PUT /a%20b?partNumber=7&uploadId=id%2F%2B%3D",
       answers(200, "", {{"ETag", "\"e\""}}),
       [&](s3_fixture& w) {
         const auto part = value_of(w.run(w.s3.upload_part(checked_upload, 7, bytes)));
         BOOST_TEST((part.crc32c == crc32c(0, bytes)));
       },
       bytes,
       {{"x-amz-checksum-crc32c", crc32c_base64(crc32c(0, bytes))}}},
      {"POST /media/a%20b?uploadId=id%2F%2B%3D",
       "POST /a%20b?uploadId=id%2F%2B%3D",
       xml(200, "<CompleteMultipartUploadResult "
                "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><ETag>&quot;e-2&quot;</ETag>"
                "</CompleteMultipartUploadResult>"),
       [](s3_fixture& w) {
         const auto done =
             value_of(w.run(w.s3.complete_multipart(some_upload, {{1, "a", 5, {}}, {2, "b&", 5, {}}}, 1)));
         BOOST_TEST(done.etag == "e-2");
         BOOST_TEST(!done.is_verified);
       },
       parts,
       {{"content-type", "application/xml"}, {"x-amz-checksum-crc32c", ""}}},
      {"POST /media/a%20b?uploadId=id%2F%2B%3D",
       "POST /a%20b?uploadId=id%2F%2B%3D",
       error(412, "PreconditionFailed"),
       [](s3_fixture& w) {
         const std::vector<s3_part> sent{{1, "a", 5, {}}, {2, "b&", 5, {}}};
         const auto refused = error_of(w.run(w.s3.complete_multipart(some_upload, sent, 1, std::nullopt, true)));
         BOOST_TEST((refused.category == errc::conflict));
       },
       parts,
       {{"if-none-match", "*"}}},
      {"POST /media/a%20b?uploads=",
       "POST /a%20b?uploads=",
       xml(200, "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>"),
       [](s3_fixture& w) {
         BOOST_TEST(!value_of(w.run(w.s3.create_multipart({"media", "a b"}, {}, false))).has_checksums);
         BOOST_TEST(!w.s3.takes_trailers().has_value()); // the store was not asked
       },
       "",
       {{"x-amz-checksum-algorithm", ""}, {"x-amz-checksum-type", ""}}},
      {"GET /media/?uploads=&prefix=a%20b&max-uploads=1000",
       "GET /?uploads=&prefix=a%20b&max-uploads=1000",
       xml(200, "<ListMultipartUploadsResult><Upload><Key>a b</Key><UploadId>i</UploadId></Upload>"
                "</ListMultipartUploadsResult>"),
       [](s3_fixture& w) { BOOST_TEST(value_of(w.run(w.s3.list_multiparts("media", "a b"))).at(0).id == "i"); },
       "",
       {}},
      {"DELETE /media/a%20b?uploadId=id%2F%2B%3D",
       "DELETE /a%20b?uploadId=id%2F%2B%3D",
       answers(204),
       [](s3_fixture& w) { value_of(w.run(w.s3.abort_multipart(some_upload))); },
       "",
       {}},
      {"DELETE /media/a%20b?uploadId=id%2F%2B%3D",
       "DELETE /a%20b?uploadId=id%2F%2B%3D",
       error(404, "NoSuchUpload"),
       [](s3_fixture& w) { value_of(w.run(w.s3.abort_multipart(some_upload))); },
       "",
       {}}, // the expected answer
      {"GET /media/a%20b?uploadId=id%2F%2B%3D&part-number-marker=0",
       "GET /a%20b?uploadId=id%2F%2B%3D&part-number-marker=0",
       xml(200, "<ListPartsResult/>"),
       [](s3_fixture& w) { BOOST_TEST(value_of(w.run(w.s3.list_parts(some_upload))).empty()); },
       "",
       {}},
      {"HEAD /media/a%20b",
       "HEAD /a%20b",
       step("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"e\"\r\n\r\n"),
       [](s3_fixture& w) {
         BOOST_TEST(value_of(w.run(w.s3.head_object({"media", "a b"}))).size == 5u);
       },
       "",
       {{"x-amz-checksum-mode", "ENABLED"}, {"content-length", ""}}},
      {"GET /media/a%20b",
       "GET /a%20b",
       answers(206, "hello"),
       [](s3_fixture& w) {
         BOOST_TEST(value_of(w.run(w.s3.get_object({"media", "a b"}, 100))) == "hello");
       },
       "",
       {{"range", "bytes=0-100"}}}, // one byte more than `max`, so that a larger object is noticed
      {"GET /media/a%20b",
       "GET /a%20b",
       answers(206, "lo", {{"Content-Range", "bytes 3-4/5"}}),
       [](s3_fixture& w) {
         BOOST_TEST(value_of(w.run(w.s3.read_object({"media", "a b"}, "e\"1", 3, 10))) == "lo");
       },
       "",
       {{"range", "bytes=3-12"}, {"if-match", "\"e\"1\""}}},
      {"PUT /media/a%20b",
       "PUT /a%20b",
       xml(200, "<CopyObjectResult><LastModified>2026-11-23T18:15:00Z</LastModified><ETag>&quot;c&quot;</ETag>"
                "</CopyObjectResult>"),
       [](s3_fixture& w) {
         BOOST_TEST(value_of(w.run(w.s3.copy_object({"media", "x/y z"}, "e", {"media", "a b"}))) == "c");
       },
       "",
       {{"x-amz-copy-source", "/media/x/y%20z"},
        {"x-amz-copy-source-if-match", "\"e\""},
        {"x-amz-metadata-directive", "COPY"},
        {"content-length", "0"}}},
      {"PUT /media/a%20b?partNumber=7&uploadId=id%2F%2B%3D",
       "PUT /a%20b?partNumber=7&uploadId=id%2F%2B%3D",
       xml(200, "<CopyPartResult><ETag>&quot;c&quot;</ETag></CopyPartResult>"),
       [](s3_fixture& w) {
         const auto part = value_of(w.run(w.s3.copy_part(some_upload, 7, {"media", "x/y z"}, "e", 100, 50)));
         BOOST_TEST((part.number == 7 && part.etag == "c" && part.size == 50u && !part.crc32c));
       },
       "",
       {{"x-amz-copy-source", "/media/x/y%20z"},
        {"x-amz-copy-source-if-match", "\"e\""},
        {"x-amz-copy-source-range", "bytes=100-149"}}},
      {"DELETE /media/a%20b",
       "DELETE /a%20b",
       answers(204),
       [](s3_fixture& w) {
         value_of(w.run(w.s3.delete_object_if_match({"media", "a b"}, "e")));
       },
       "",
       {{"if-match", "\"e\""}}},
      {"DELETE /media/a%20b",
       "DELETE /a%20b",
       answers(204),
       [](s3_fixture& w) {
         value_of(w.run(w.s3.delete_object({"media", "a b"})));
       },
       "",
       {}},
      {"DELETE /media/a%20b",
       "DELETE /a%20b",
       error(404, "NoSuchKey"),
       [](s3_fixture& w) {
         value_of(w.run(w.s3.delete_object({"media", "a b"})));
       },
       "",
       {}},
      {"HEAD /media/",
       "HEAD /",
       ok,
       [](s3_fixture& w) { BOOST_TEST(value_of(w.run(w.s3.head_bucket("media"))).status == 200); },
       "",
       {}},
      {"GET /media/?location=",
       "GET /?location=",
       xml(200, "<LocationConstraint>eu-central-1</LocationConstraint>"),
       [](s3_fixture& w) { BOOST_TEST(value_of(w.run(w.s3.get_bucket_location("media"))) == "eu-central-1"); },
       "",
       {}},
      {"GET /media/?cors=",
       "GET /?cors=",
       answers(200, "<CORSConfiguration/>"),
       [](s3_fixture& w) { BOOST_TEST(value_of(w.run(w.s3.get_bucket_cors("media"))) == "<CORSConfiguration/>"); },
       "",
       {}},
      {"PUT /media/?cors=",
       "PUT /?cors=",
       ok,
       [](s3_fixture& w) { value_of(w.run(w.s3.put_bucket_cors("media", "<CORSConfiguration/>"))); },
       "<CORSConfiguration/>",
       {{"content-type", "application/xml"}, {"content-md5", "X2DwA3ZNuD6gUGkUJg8PDg=="}}},
      {"GET /media/?lifecycle=",
       "GET /?lifecycle=",
       answers(200, "<LifecycleConfiguration/>",
               {{"x-amz-transition-default-minimum-object-size", "varies_by_storage_class"}}),
       [](s3_fixture& w) {
         const auto rules = value_of(w.run(w.s3.get_bucket_lifecycle("media")));
         BOOST_TEST(rules.document == "<LifecycleConfiguration/>");
         BOOST_TEST(rules.min_transition_size == "varies_by_storage_class");
       },
       "",
       {}},
      {"PUT /media/?lifecycle=",
       "PUT /?lifecycle=",
       ok,
       [](s3_fixture& w) {
         const bucket_lifecycle rules{"<LifecycleConfiguration/>", "varies_by_storage_class"};
         value_of(w.run(w.s3.put_bucket_lifecycle("media", rules)));
       },
       "<LifecycleConfiguration/>",
       {{"content-type", "application/xml"},
        {"content-md5", "j9VfG/p/L54O4f1X84gDLQ=="},
        {"x-amz-transition-default-minimum-object-size", "varies_by_storage_class"}}},
  };
  for (const auto& r : rows) {
    for (const bool in_the_host : {false, true}) {
      BOOST_TEST_CONTEXT((in_the_host ? r.host_style : r.line)) {
        scripted_peer peer({r.answer});
        auto o = by_path(peer);
        o.path_style = !in_the_host;
        if (in_the_host) o.endpoint = "http://localhost:" + std::to_string(peer.port());
        s3_fixture w(o);
        r.call(w);
        const auto requests = peer.requests();
        BOOST_TEST_REQUIRE(requests.size() == 1u);
        BOOST_TEST(requests[0].line == (in_the_host ? r.host_style : r.line) + " HTTP/1.1");
        BOOST_TEST(requests[0].field("host") ==
                   (in_the_host ? "media.localhost:" : "127.0.0.1:") + std::to_string(peer.port()));
        BOOST_TEST(requests[0].body == r.body);
        for (const auto& [name, value] : r.fields) {
          BOOST_TEST(requests[0].field(name) == value, name);
          if (value.empty()) BOOST_TEST(!requests[0].has(name), name);
        }
        check_signed(requests[0]);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(keys_with_special_characters_are_encoded_and_signed) {
  for (const auto& [key, path] : std::vector<std::pair<std::string, std::string>>{
           {"plain-._~", "plain-._~"},
           {"a b/c d", "a%20b/c%20d"},
           {"100%/%41%2F", "100%25/%2541%252F"},
           {"1+1=2&x=y?z#w", "1%2B1%3D2%26x%3Dy%3Fz%23w"},
           {"it's \"q\"", "it%27s%20%22q%22"},
           {"🙂/Übung", "%F0%9F%99%82/%C3%9Cbung"},
           {"back\\slash:@!$*(),;[]", "back%5Cslash%3A%40%21%24%2A%28%29%2C%3B%5B%5D"},
           {"../a/./b//c/", "../a/./b//c/"}, // S3 folds nothing
           {"/leading", "/leading"},
           {"\x01\x7f", "%01%7F"},
           {std::string(1024, '~'), std::string(1024, '~')},
       }) {
    BOOST_TEST_CONTEXT(key) {
      scripted_peer peer({answers(204), answers(204)});
      auto o = by_path(peer);
      s3_fixture in_path(o);
      value_of(in_path.run(in_path.s3.delete_object({"media", key})));
      o.endpoint = "http://localhost:" + std::to_string(peer.port());
      o.path_style = false;
      s3_fixture in_host(o);
      value_of(in_host.run(in_host.s3.delete_object({"media", key})));
      const auto requests = peer.requests();
      BOOST_TEST(requests.at(0).target() == "/media/" + path);
      BOOST_TEST(requests.at(1).target() == "/" + path);
      for (const auto& h : requests) check_signed(h);
    }
  }
}

BOOST_AUTO_TEST_CASE(buckets_with_dots_use_path_style_over_tls) {
  const temporary_folder folder;
  const certificate authority("Test authority", "");
  authority.save(folder.path() / "ca.pem");
  const auto tls = certificate("server", "DNS:localhost", &authority).server();
  scripted_peer plain({answers(204)}), covered({answers(204)}, {tls.get()});
  auto o = by_path(plain);
  o.path_style = false;
  o.endpoint = "http://localhost:" + std::to_string(plain.port());
  s3_fixture in_host(o);
  value_of(in_host.run(in_host.s3.delete_object({"my.media", "k"})));
  o.endpoint = "https://localhost:" + std::to_string(covered.port());
  s3_fixture in_path(o, {keys()}, folder.path() / "ca.pem"); // no certificate covers my.media.localhost
  value_of(in_path.run(in_path.s3.delete_object({"my.media", "k"})));
  const auto one = plain.requests().at(0), other = covered.requests().at(0);
  BOOST_TEST(one.field("host") == "my.media.localhost:" + std::to_string(plain.port()));
  BOOST_TEST(one.target() == "/k");
  BOOST_TEST(other.server_name == "localhost");
  BOOST_TEST(other.target() == "/my.media/k");
  check_signed(one);
  check_signed(other);
}

BOOST_AUTO_TEST_CASE(temporary_keys_send_their_session_token) {
  scripted_peer peer({answers(204)});
  s3_fixture w(by_path(peer), {keys("ASIA", "token+/=")});
  value_of(w.run(w.s3.delete_object({"media", "k"})));
  const auto request = peer.requests().at(0);
  BOOST_TEST(request.field("x-amz-security-token") == "token+/=");
  check_signed(request, "eu-west-1", keys("ASIA", "token+/="));
}

BOOST_AUTO_TEST_CASE(without_credentials_no_request_is_sent) {
  scripted_peer peer(std::vector<step>{});
  s3_fixture w(by_path(peer), {});
  const auto e = error_of(w.run(w.s3.head_object({"media", "k"})));
  BOOST_TEST((e.category == errc::unavailable));
  BOOST_TEST(to_failure(e).on == "HeadObject media/\"k\": no more keys");
  BOOST_TEST((w.run(w.presigner.presign_put({"media", "k"}, {}, 60s)).error().code == errc::unavailable));
}

// --- answers ----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(head_returns_size_etag_checksum_and_metadata) {
  scripted_peer peer(
      {step("HTTP/1.1 200 OK\r\nContent-Length: 5497558138880\r\nETag: \"abc-2\"\r\nContent-Type: image/jpeg\r\n"
            "Cache-Control: no-store\r\nx-amz-checksum-crc32c: 4waSgw==\r\nx-amz-checksum-type: FULL_OBJECT\r\n"
            "x-amz-meta-postern-id: 1\r\nX-Amz-Meta-Title: =?UTF-8?B?w7w=?=\r\nx-amz-request-id: R\r\n\r\n"),
       step("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nETag: \"e\"\r\nx-amz-checksum-crc32c: 4waSgw==-2\r\n\r\n"),
       step("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nETag: \"e\"\r\nx-amz-checksum-crc32c: 4waSgw==\r\n"
            "x-amz-checksum-type: COMPOSITE\r\n\r\n"),
       step("HTTP/1.1 200 OK\r\nETag: \"e\"\r\n\r\n").closes()});
  s3_fixture w(by_path(peer));
  const auto head = [&] { return w.run(w.s3.head_object({"media", "k"})); };
  const auto o = value_of(head());
  BOOST_TEST(o.size == 5497558138880u);
  BOOST_TEST(o.etag == "abc-2");
  BOOST_TEST((o.crc32c == 0xe3069283u));
  const header_fields headers{{"content-type", "image/jpeg"}, {"cache-control", "no-store"}};
  const header_fields user{{"postern-id", "1"}, {"title", "ü"}};
  BOOST_TEST((o.meta.headers == headers));
  BOOST_TEST((o.meta.user == user));
  BOOST_TEST(!value_of(head()).crc32c.has_value()); // of the parts, not of the object
  BOOST_TEST(!value_of(head()).crc32c.has_value());
  const auto e = error_of(head());
  BOOST_TEST(e.message.find("Content-Length") != e.message.npos);
}

BOOST_AUTO_TEST_CASE(get_object_returns_the_whole_object_or_an_error) {
  const std::string five("hello");
  scripted_peer peer({answers(206, five), answers(206, five), answers(206, five), error(416, "InvalidRange"),
                      answers(200, std::string(2'000'000, 'x')), error(404, "NoSuchKey")});
  s3_fixture w(by_path(peer));
  const auto get = [&](std::size_t max) { return w.run(w.s3.get_object({"media", "k"}, max)); };
  BOOST_TEST(value_of(get(5)) == five);
  BOOST_TEST((error_of(get(4)).category == errc::payload_too_large));
  BOOST_TEST((error_of(get(0)).category == errc::payload_too_large));
  BOOST_TEST(value_of(get(5)) == "");                                         // an empty object has no byte 0
  BOOST_TEST((error_of(get(1'000'000)).category == errc::payload_too_large)); // a store that ignores Range
  BOOST_TEST((error_of(get(5)).category == errc::object_absent));
  BOOST_TEST(peer.requests()[2].field("range") == "bytes=0-0");
}

namespace {

std::string listed(int from, int to, const std::string& end) {
  std::string out = "<ListPartsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (int n = from; n <= to; ++n)
    out += "<Part><PartNumber>" + std::to_string(n) + "</PartNumber><ETag>&quot;e" + std::to_string(n) +
           "&quot;</ETag><Size>" + std::to_string(n * 5'000'000'000) +
           "</Size><ChecksumCRC32C>4waSgw==</ChecksumCRC32C></Part>";
  return out + end + "</ListPartsResult>";
}
std::string more_from(int n) {
  return "<IsTruncated>true</IsTruncated><NextPartNumberMarker>" + std::to_string(n) + "</NextPartNumberMarker>";
}

} // namespace

BOOST_AUTO_TEST_CASE(parts_are_listed_over_all_pages) {
  scripted_peer peer(
      {xml(200, listed(1, 1000, more_from(1000))).wants("GET /media/a%20b?uploadId=id%2F%2B%3D&part-number-marker=0 "),
       xml(200, listed(1001, 2000, more_from(2000)))
           .wants("GET /media/a%20b?uploadId=id%2F%2B%3D&part-number-marker=1000 "),
       xml(200, listed(2001, 2001, "<IsTruncated>false</IsTruncated><NextPartNumberMarker>2001</NextPartNumberMarker>"))
           .wants("GET /media/a%20b?uploadId=id%2F%2B%3D&part-number-marker=2000 ")});
  s3_fixture w(by_path(peer));
  const auto parts = value_of(w.run(w.s3.list_parts(some_upload)));
  BOOST_TEST_REQUIRE(parts.size() == 2001u);
  for (int n = 1; n <= 2001; ++n) {
    const auto& p = parts[static_cast<std::size_t>(n - 1)];
    BOOST_TEST_REQUIRE(p.number == n);
    BOOST_TEST_REQUIRE(p.etag == "e" + std::to_string(n));
    BOOST_TEST_REQUIRE(p.size == static_cast<std::uint64_t>(n) * 5'000'000'000);
    BOOST_TEST_REQUIRE((p.crc32c == 0xe3069283u));
  }
}

BOOST_AUTO_TEST_CASE(an_incomplete_list_is_an_error) {
  const std::vector<std::vector<step>> scripts{
      {xml(200, listed(1, 2, "<IsTruncated>true</IsTruncated>"))},
      {xml(200, listed(1, 2, more_from(0)))},
      {xml(200, listed(1, 2, more_from(2))), xml(200, listed(3, 4, more_from(2)))}, // for ever
      {answers(200, "<html>")},
      {answers(200)},
      {xml(200, listed(1, 2, more_from(2))), error(404, "NoSuchUpload")},
  };
  for (const auto& script : scripts) {
    scripted_peer peer(script);
    s3_fixture w(by_path(peer));
    const auto e = error_of(w.run(w.s3.list_parts(some_upload)));
    BOOST_TEST(((e.category == errc::store_failed && !e.message.empty()) || e.code == "NoSuchUpload"),
               to_failure(e).on);
  }
}

BOOST_AUTO_TEST_CASE(get_bucket_location_returns_the_region) {
  scripted_peer peer({xml(200, "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>"),
                      xml(200, "<LocationConstraint>EU</LocationConstraint>"),
                      xml(200, "<LocationConstraint>ap-south-1</LocationConstraint>")});
  s3_fixture w(by_path(peer));
  for (const auto* region : {"us-east-1", "eu-west-1", "ap-south-1"})
    BOOST_TEST(value_of(w.run(w.s3.get_bucket_location("media"))) == region);
}

// Swift does not know the documents, and lists the bucket.
BOOST_AUTO_TEST_CASE(another_answer_than_lifecycle_rules_means_that_there_are_none_to_read) {
  scripted_peer peer({xml(200, "<ListBucketResult><Name>media</Name></ListBucketResult>"),
                      error(404, "NoSuchLifecycleConfiguration")});
  s3_fixture w(by_path(peer));
  BOOST_TEST(error_of(w.run(w.s3.get_bucket_lifecycle("media"))).status == 501);
  BOOST_TEST(error_of(w.run(w.s3.get_bucket_lifecycle("media"))).code == "NoSuchLifecycleConfiguration");
}

BOOST_AUTO_TEST_CASE(checksums_are_compared_with_the_stores) {
  const std::string bytes("hello"), right = crc32c_base64(crc32c(0, bytes)), wrong = crc32c_base64(1);
  const auto completed = [](const std::string& sum) {
    return xml(200, "<CompleteMultipartUploadResult><ETag>\"e-1\"</ETag><ChecksumCRC32C>" + sum +
                        "</ChecksumCRC32C></CompleteMultipartUploadResult>");
  };
  scripted_peer peer({answers(200, "", {{"ETag", "\"e\""}, {"x-amz-checksum-crc32c", right}}),
                      answers(200, "", {{"ETag", "\"e\""}, {"x-amz-checksum-crc32c", wrong}}),
                      xml(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
                          {{"x-amz-checksum-type", "FULL_OBJECT"}}),
                      completed(right), completed(wrong), error(400, "BadDigest")});
  s3_fixture w(by_path(peer));
  const auto put = [&] { return w.run(w.s3.put_object({"media", "k"}, {}, bytes, crc32c(0, bytes))); };
  BOOST_TEST(value_of(put()).is_verified);
  BOOST_TEST((error_of(put()).category == errc::bad_digest));
  const auto upload = value_of(w.run(w.s3.create_multipart({"media", "k"}, {})));
  BOOST_TEST(upload.has_checksums);
  const std::vector<s3_part> parts{{1, "a", 5, crc32c(0, bytes)}};
  const auto complete = [&] { return w.run(w.s3.complete_multipart(upload, parts, crc32c(0, bytes))); };
  BOOST_TEST(value_of(complete()).is_verified);
  BOOST_TEST((error_of(complete()).category == errc::bad_digest));
  BOOST_TEST((error_of(put()).category == errc::bad_digest));
  const auto requests = peer.requests();
  BOOST_TEST(requests[3].field("x-amz-checksum-crc32c") == right);
  BOOST_TEST(requests[3].field("x-amz-checksum-type") == "FULL_OBJECT");
  BOOST_TEST(requests[3].body.find("</ETag><ChecksumCRC32C>" + right + "</ChecksumCRC32C></Part>") !=
             std::string::npos);
}

// As Cloudflare R2 does ("S3 API compatibility"): of CRC32C it has the type COMPOSITE only.
BOOST_AUTO_TEST_CASE(a_store_that_refuses_a_kind_of_checksum_is_asked_for_less) {
  const std::string bytes("hello"), sum = crc32c_base64(crc32c(0, bytes));
  const std::string id = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
  scripted_peer peer({error(501, "NotImplemented"), xml(200, id, {{"x-amz-checksum-type", "COMPOSITE"}}),
                      answers(200, "", {{"ETag", "\"a\""}}),
                      xml(200, "<CompleteMultipartUploadResult><ETag>\"e-1\"</ETag><ChecksumCRC32C>AAAAAA==-1"
                               "</ChecksumCRC32C></CompleteMultipartUploadResult>"),
                      xml(200, id, {{"x-amz-checksum-type", "COMPOSITE"}}), error(400, "InvalidRequest"), xml(200, id),
                      xml(200, id), error(403, "AccessDenied")});
  s3_fixture w(by_path(peer));
  const auto create = [&] { return w.run(w.s3.create_multipart({"media", "k"}, {})); };
  const auto upload = value_of(create());
  BOOST_TEST((!upload.has_checksums && upload.has_part_checksums));
  BOOST_TEST((w.s3.takes_trailers() == true));
  const auto part = value_of(w.run(w.s3.upload_part(upload, 1, bytes)));
  BOOST_TEST((part.crc32c == crc32c(0, bytes)));
  BOOST_TEST(!value_of(w.run(w.s3.complete_multipart(upload, {part}, crc32c(0, bytes)))).is_verified);
  BOOST_TEST(value_of(create()).has_part_checksums); // at once: it is remembered
  BOOST_TEST(!value_of(create()).sends_part_checksums());
  BOOST_TEST(!value_of(create()).sends_part_checksums());
  BOOST_TEST((w.s3.takes_trailers() == false));
  BOOST_TEST((error_of(create()).code == "AccessDenied")); // not about checksums, so it is not asked again
  const auto requests = peer.requests();
  BOOST_TEST(requests[0].field("x-amz-checksum-type") == "FULL_OBJECT");
  BOOST_TEST(requests[1].field("x-amz-checksum-type") == "COMPOSITE");
  BOOST_TEST(requests[2].field("x-amz-checksum-crc32c") == sum);
  BOOST_TEST(!requests[3].has("x-amz-checksum-crc32c"));
  BOOST_TEST(requests[3].body.find("<ChecksumCRC32C>" + sum + "</ChecksumCRC32C>") != std::string::npos);
  BOOST_TEST(requests[5].field("x-amz-checksum-type") == "COMPOSITE");
  for (const auto plain : {6, 7, 8}) BOOST_TEST(!requests[static_cast<std::size_t>(plain)].has("x-amz-checksum-type"));
}

BOOST_AUTO_TEST_CASE(without_checksums_none_is_sent) {
  const std::string bytes("hello");
  scripted_peer peer({answers(200, "", {{"ETag", "\"e\""}}),
                      xml(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
                          {{"x-amz-checksum-type", "FULL_OBJECT"}}),
                      answers(200, "", {{"ETag", "\"a\""}}),
                      xml(200, "<CompleteMultipartUploadResult><ETag>\"e-1\"</ETag></CompleteMultipartUploadResult>"),
                      answers(200, "", {{"Content-Length", "5"}}).closes(), answers(200).sends_continue()});
  auto o = by_path(peer);
  o.sends_checksums = false;
  s3_fixture w(o);
  BOOST_TEST((w.s3.takes_trailers() == false)); // without asking
  value_of(w.run(w.s3.put_object({"media", "k"}, {}, bytes, crc32c(0, bytes))));
  const auto upload = value_of(w.run(w.s3.create_multipart({"media", "k"}, {})));
  const auto part = value_of(w.run(w.s3.upload_part(upload, 1, bytes)));
  value_of(w.run(w.s3.complete_multipart(upload, {part}, crc32c(0, bytes))));
  (void)w.run(w.s3.head_object({"media", "k"}));
  auto begun = value_of(w.run(w.s3.begin_object({"media", "k"}, {}, bytes.size())));
  BOOST_TEST(w.run(begun->write(bytes)).has_value());
  (void)w.run(begun->finish());
  for (const auto& r : peer.requests()) {
    BOOST_TEST(r.body.find("Checksum") == std::string::npos, r.line);
    for (const auto& [name, value] : r.fields) BOOST_TEST(name.find("checksum") == std::string::npos, r.line + name);
    BOOST_TEST(!r.has("x-amz-trailer"), r.line);
  }
}

BOOST_AUTO_TEST_CASE(answers_that_break_the_api_are_errors) {
  const std::string bytes("hello");
  const auto fails = [&](step s, const std::function<aws_error(s3_fixture&)>& call, const char* words) {
    scripted_peer peer({std::move(s)});
    s3_fixture w(by_path(peer));
    const auto e = call(w);
    BOOST_TEST((e.category == errc::store_failed), to_failure(e).on);
    BOOST_TEST(to_failure(e).on.find(words) != std::string::npos, to_failure(e).on);
  };
  const auto create = [](s3_fixture& w) { return error_of(w.run(w.s3.create_multipart({"media", "k"}, {}))); };
  const auto complete = [](s3_fixture& w) { return error_of(w.run(w.s3.complete_multipart(some_upload, {}, 0))); };
  const auto part = [&](s3_fixture& w) { return error_of(w.run(w.s3.upload_part(some_upload, 1, bytes))); };
  fails(answers(200), create, "UploadId");
  fails(answers(200, "<html>"), create, "UploadId");
  fails(answers(200), complete, "no CompleteMultipartUploadResult");
  fails(answers(200, "<html>"), complete, "no CompleteMultipartUploadResult");
  fails(answers(200), part, "ETag");
  fails(step("SSH-2.0-OpenSSH\r\n\r\n"), part, "not HTTP");
}

BOOST_AUTO_TEST_CASE(unusable_metadata_sends_no_request) {
  scripted_peer peer(std::vector<step>{});
  s3_fixture w(by_path(peer));
  const object_meta bad{{{"content-type", "a\r\nb"}}, {}};
  BOOST_TEST((error_of(w.run(w.s3.put_object({"media", "k"}, bad, "x", 0))).category == errc::invalid_argument));
  BOOST_TEST((error_of(w.run(w.s3.create_multipart({"media", "k"}, bad))).category == errc::invalid_argument));
  BOOST_TEST(peer.accepted() == 0u);
}

BOOST_AUTO_TEST_CASE(error_codes_are_mapped) {
  struct row {
    int status;
    std::string code;
    errc category;
  };
  for (const auto& r : std::vector<row>{
           {404, "NoSuchKey", errc::object_absent},
           {404, "", errc::object_absent}, // of a HEAD
           {404, "NoSuchBucket", errc::no_such_bucket},
           {404, "NoSuchUpload", errc::object_absent},
           {400, "KeyTooLongError", errc::key_too_long},
           {400, "EntityTooLarge", errc::entity_too_large},
           {400, "BadDigest", errc::bad_digest},
           {400, "XAmzContentChecksumMismatch", errc::bad_digest},
           {400, "MetadataTooLarge", errc::invalid_argument},
           {403, "AccessDenied", errc::store_failed},
           {403, "", errc::store_failed},
           {403, "SignatureDoesNotMatch", errc::store_failed},
           {409, "BucketAlreadyExists", errc::store_failed},
           {405, "MethodNotAllowed", errc::store_failed},
       }) {
    scripted_peer peer({r.code.empty() ? answers(r.status) : error(r.status, r.code)}); // once: the error is permanent
    s3_fixture w(by_path(peer));
    const auto e = error_of(w.run(w.s3.get_bucket_cors("media")));
    BOOST_TEST(text_of(e.category).name == text_of(r.category).name, r.code);
    BOOST_TEST(e.status == r.status);
    BOOST_TEST(to_failure(e).on == "GetBucketCors media: " + std::to_string(r.status) +
                                       (r.code.empty() ? "" : " \"" + r.code + "\" \"about " + r.code + "\""));
  }
}

BOOST_AUTO_TEST_SUITE_END()
