#include <postern/core/events/event.hpp>
#include <postern/core/upload.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

result<event_message> read(std::string_view json) {
  auto document = read_json(json);
  if (!document) return document.error();
  return read_events(*document);
}

object_event one(std::string_view json) {
  auto all = read(json).value();
  BOOST_TEST_REQUIRE(all.events.size() == 1u);
  BOOST_TEST(all.rejected.empty());
  return all.events.front();
}
// Why the only record is none.
std::string rejection(std::string_view json) {
  auto all = read(json).value();
  BOOST_TEST(all.events.empty());
  BOOST_TEST_REQUIRE(all.rejected.size() == 1u);
  return all.rejected.front();
}

// A record with these values.
std::string record(std::string_view source, std::string_view name, std::string_view key,
                   std::string_view version = "2.5") {
  std::string out = R"({"eventVersion":")";
  out.append(version).append(R"(","eventSource":")").append(source).append(R"(","eventName":")").append(name);
  out.append(R"(","s3":{"bucket":{"name":"media"},"object":{"key":")").append(key);
  return out.append(R"(","size":5,"eTag":"abc","sequencer":"00A1"}}})");
}
std::string records(const std::string& all) { return R"({"Records":[)" + all + "]}"; }

errc refusal(std::string_view json) {
  auto all = read(json);
  return all ? errc::internal : all.error().code;
}

// From the S3 user guide ("Event message structure"), with a key of Postern.
constexpr std::string_view from_aws =
    R"({"Records":[{"eventVersion":"2.5","eventSource":"aws:s3","awsRegion":"us-west-2",
 "eventTime":"1970-01-01T00:00:00.000Z","eventName":"ObjectCreated:Post","userIdentity":{"principalId":"AIDAJDPLRKLG7UEXAMPLE"},
 "requestParameters":{"sourceIPAddress":"127.0.0.1"},
 "responseElements":{"x-amz-request-id":"C3D13FE58DE4C810","x-amz-id-2":"FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7S/JRWeUWerMUE5JgHvANOjpD"},
 "s3":{"s3SchemaVersion":"1.0","configurationId":"testConfigRule",
  "bucket":{"name":"amzn-s3-demo-bucket","ownerIdentity":{"principalId":"A3NL1KOZZKExample"},"arn":"arn:aws:s3:::amzn-s3-demo-bucket"},
  "object":{"key":"uploads/01a20a86-41d4-7ac8-8ecb-3931cee2cfd4/a+b%2Bc+%C3%A4.bin","size":1024,"eTag":"d41d8cd98f00b204e9800998ecf8427e",
   "versionId":"096fKKXTRTtl3on89fVO.nfljtsv6qko","sequencer":"0055AED6DCD90281E5"}}}]})";

// An event of RGW 16.2.15, unchanged.
constexpr std::string_view from_ceph =
    R"({"Records":[{"eventVersion":"2.2","eventSource":"ceph:s3","awsRegion":"","eventTime":"2026-11-24T06:28:13.569674Z",
 "eventName":"ObjectCreated:Post","userIdentity":{"principalId":"test"},"requestParameters":{"sourceIPAddress":""},
 "responseElements":{"x-amz-request-id":"1f6794f9-9965-4495-a124-9b73eb2c6f2a.4120.2674912517620178621","x-amz-id-2":"1018-default-default"},
 "s3":{"s3SchemaVersion":"1.0","configurationId":"to-postern",
  "bucket":{"name":"media","ownerIdentity":{"principalId":"test"},"arn":"arn:aws:s3:::media","id":"1f6794f9-9965-4495-a124-9b73eb2c6f2a.4122.1"},
  "object":{"key":"uploads/a b+c%20.bin","size":5,"eTag":"5d41402abc4b2a76b9719d911017c592","versionId":"","sequencer":"7D2E056B0D122F22",
   "metadata":[{"key":"x-amz-date","val":"20261124T062813Z"}],"tags":[]}},
 "eventId":"1795501693.573510.5d41402abc4b2a76b9719d911017c592","opaqueData":""}]})";

constexpr std::string_view from_minio =
    R"({"EventName":"s3:ObjectCreated:Put","Key":"media/uploads/a b.bin","Records":[{"eventVersion":"2.0",
 "eventSource":"minio:s3","awsRegion":"","eventTime":"2026-11-24T06:00:00.000Z","eventName":"s3:ObjectCreated:Put",
 "userIdentity":{"principalId":"minio"},"requestParameters":{},"responseElements":{},
 "s3":{"s3SchemaVersion":"1.0","configurationId":"Config","bucket":{"name":"media","ownerIdentity":{"principalId":"minio"},"arn":"arn:aws:s3:::media"},
  "object":{"key":"uploads%2Fa+b.bin","size":5,"eTag":"5d41402abc4b2a76b9719d911017c592","contentType":"text/plain",
   "userMetadata":{"content-type":"text/plain"},"sequencer":"17C1"}},
 "source":{"host":"","port":"","userAgent":""}}]})";

constexpr std::string_view from_event_bridge =
    R"({"version":"0","id":"17793124-05d4-b198-2fde-7ededc63b103","detail-type":"Object Created","source":"aws.s3",
 "account":"111122223333","time":"2021-11-12T00:00:00Z","region":"ca-central-1","resources":["arn:aws:s3:::amzn-s3-demo-bucket1"],
 "detail":{"version":"0","bucket":{"name":"amzn-s3-demo-bucket1"},
  "object":{"key":"uploads/a+b%20.bin","size":5,"etag":"b1946ac92492d2347c6235b4d2611184","version-id":"x","sequencer":"00617F08299329D189"},
  "request-id":"N4N7GDK58NMKJ12R","requester":"123456789012","source-ip-address":"1.2.3.4","reason":"PutObject"}})";

} // namespace

BOOST_AUTO_TEST_CASE(keys_from_aws_are_decoded) {
  const auto e = one(from_aws);
  BOOST_TEST(e.bucket == "amzn-s3-demo-bucket");
  BOOST_TEST(e.key == "uploads/01a20a86-41d4-7ac8-8ecb-3931cee2cfd4/a b+c \xc3\xa4.bin");
  BOOST_TEST(e.etag == "d41d8cd98f00b204e9800998ecf8427e");
  BOOST_TEST(e.sequencer == "0055AED6DCD90281E5");
  BOOST_TEST(e.kind == "ObjectCreated:Post");
  BOOST_TEST(*e.size == 1024u);
  BOOST_TEST(e.created);
}

BOOST_AUTO_TEST_CASE(keys_from_ceph_are_taken_as_they_are) {
  const auto e = one(from_ceph);
  BOOST_TEST(e.key == "uploads/a b+c%20.bin");
  BOOST_TEST(e.kind == "ObjectCreated:Post");
  BOOST_TEST(e.bucket == "media");
  BOOST_TEST(e.created);
}

BOOST_AUTO_TEST_CASE(keys_from_minio_are_decoded) {
  const auto e = one(from_minio);
  BOOST_TEST(e.key == "uploads/a b.bin");
  BOOST_TEST(e.bucket == "media");
  BOOST_TEST(e.kind == "ObjectCreated:Put");
  BOOST_TEST(e.created);
}

BOOST_AUTO_TEST_CASE(keys_from_event_bridge_are_taken_as_they_are) {
  const auto e = one(from_event_bridge);
  BOOST_TEST(e.key == "uploads/a+b%20.bin");
  BOOST_TEST(e.bucket == "amzn-s3-demo-bucket1");
  BOOST_TEST(e.etag == "b1946ac92492d2347c6235b4d2611184");
  BOOST_TEST(e.kind == "Object Created");
  BOOST_TEST(*e.size == 5u);
  BOOST_TEST(e.created);
}

BOOST_AUTO_TEST_CASE(a_test_event_is_no_event) {
  BOOST_TEST(
      read(
          R"({"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"b","RequestId":"5582815E1AEA5ADF"})")
          ->events.empty());
  BOOST_TEST(read(R"({"Records":[]})")->events.empty());
}

BOOST_AUTO_TEST_CASE(only_creation_events_are_marked_as_created) {
  for (const char* name : {"ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:Copy",
                           "ObjectCreated:CompleteMultipartUpload", "s3:ObjectCreated:Put"})
    BOOST_TEST(one(records(record("aws:s3", name, "k"))).created, name);
  for (const char* name : {"ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated", "ObjectRestore:Completed",
                           "s3:ObjectRemoved:Delete", "ObjectCreated", "ObjectTagging:Put", ""})
    BOOST_TEST(!one(records(record("aws:s3", name, "k"))).created, name);
  BOOST_TEST(!one(R"({"detail-type":"Object Deleted","source":"aws.s3","detail":{}})").created);
  BOOST_TEST(!one(R"({"detail-type":"Object Created","source":"aws.ec2","detail":{}})").created);
  BOOST_TEST(!one(records(R"({"eventSource":"aws:dynamodb","eventName":"INSERT"})")).created);
}

BOOST_AUTO_TEST_CASE(the_event_source_decides_whether_a_key_is_decoded) {
  BOOST_TEST(one(records(record("aws:s3", "ObjectCreated:Put", "a+b"))).key == "a b");
  BOOST_TEST(one(records(record("sgws:s3", "ObjectCreated:Put", "a+b"))).key == "a b");
  BOOST_TEST(one(records(record("ceph:s3", "ObjectCreated:Put", "a+b"))).key == "a+b");
  // A key with a broken escape is not decoded.
  BOOST_TEST(one(records(record("aws:s3", "ObjectCreated:Put", "100% +"))).key == "100% +");
}

BOOST_AUTO_TEST_CASE(only_major_version_2_is_accepted) {
  BOOST_TEST(one(records(record("aws:s3", "ObjectCreated:Put", "k", "2.0"))).created);
  BOOST_TEST(one(records(record("aws:s3", "ObjectCreated:Put", "k", "2.99"))).created);
  for (const char* version : {"3.0", "20"})
    BOOST_TEST(rejection(records(record("aws:s3", "ObjectCreated:Put", "k", version))).find("only 2.x") !=
               std::string::npos);
}

BOOST_AUTO_TEST_CASE(etags_and_sizes_may_be_missing) {
  const auto e = one(
      R"({"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"k","eTag":"\"q\""}}}]})");
  BOOST_TEST(e.etag == "q");
  BOOST_TEST(!e.size);
  const auto n = one(
      R"({"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"k","eTag":null,"size":-1}}}]})");
  BOOST_TEST(n.etag.empty());
  BOOST_TEST(!n.size);
}

BOOST_AUTO_TEST_CASE(a_malformed_message_is_rejected_with_the_reason) {
  const std::pair<const char*, const char*> cases[] = {{"[]", "JSON object"},
                                                       {"5", "JSON object"},
                                                       {"{}", "neither"},
                                                       {R"({"Event":"s3:Other"})", "neither"},
                                                       {R"({"Records":5})", "must be a list"},
                                                       {R"({"Records":[)", "JSON"}};
  for (const auto& [json, reason] : cases) {
    const auto all = read(json);
    BOOST_TEST_CONTEXT(json) {
      BOOST_TEST_REQUIRE(!all);
      BOOST_TEST((all.error().code == errc::bad_request));
      BOOST_TEST(all.error().on.find(reason) != std::string::npos, all.error().on);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_malformed_record_is_rejected_alone_with_the_reason) {
  const std::pair<std::string, const char*> cases[] = {
      {"5", "record 2 is not an object"},
      {R"({"eventSource":"aws:s3","eventName":"ObjectCreated:Put"})", "record 2 names no bucket"},
      {R"({"eventSource":"aws:s3","s3":{"bucket":{"name":"b"}}})", "record 2 names no key"},
      {R"({"eventSource":"aws:s3","s3":{"bucket":{"name":5},"object":{"key":"k"}}})", "record 2 names no bucket"},
      {record("aws:s3", "ObjectCreated:Put", std::string(1025, 'k')), "record 2 has a key of more than 1024 bytes"},
      {record("aws:s3", "ObjectCreated:Put", "k%00"), "record 2 has a zero byte in a name"},
      {record("aws:s3", "ObjectCreated:Put", "k%C3"), "record 2 has a name that is not UTF-8"},
      {record("aws:s3", "ObjectCreated:Put", "k", "3.0"), "record 2: event version"}};
  for (const auto& [json, reason] : cases) {
    const auto all = read(records(record("aws:s3", "ObjectCreated:Put", "a") + "," + json + "," +
                                  record("aws:s3", "ObjectCreated:Put", "b")))
                         .value();
    BOOST_TEST_CONTEXT(json) {
      BOOST_TEST_REQUIRE(all.events.size() == 2u);
      BOOST_TEST(all.events[0].key == "a");
      BOOST_TEST(all.events[1].key == "b");
      BOOST_TEST_REQUIRE(all.rejected.size() == 1u);
      BOOST_TEST(all.rejected[0].starts_with(reason), all.rejected[0]);
    }
  }
  BOOST_TEST(rejection(R"({"source":"aws.s3","detail-type":"Object Created"})") == "detail names no bucket");
}

BOOST_AUTO_TEST_CASE(more_than_max_events_are_rejected) {
  std::string some = record("aws:s3", "ObjectCreated:Put", "k");
  for (std::size_t i = 1; i < max_events; ++i) some += "," + record("aws:s3", "ObjectCreated:Put", "k");
  BOOST_TEST(read(records(some))->events.size() == max_events);
  BOOST_TEST((refusal(records(some + "," + record("aws:s3", "ObjectCreated:Put", "k"))) == errc::payload_too_large));
}

BOOST_AUTO_TEST_CASE(a_truncated_event_is_rejected) {
  for (const auto message : {from_aws, from_ceph, from_minio, from_event_bridge})
    for (std::size_t n = 0; n < message.size(); ++n)
      BOOST_TEST((refusal(message.substr(0, n)) == errc::bad_request), n);
}

BOOST_AUTO_TEST_CASE(all_ids_in_a_key_are_found) {
  const std::string a = "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4", b = "0193e7a1-0000-7000-8000-000000000001";
  using ids = std::vector<std::string>;
  BOOST_TEST((ids_in_key("users/" + b + "/" + a + "/x") == ids{b, a}));
  BOOST_TEST((ids_in_key(a) == ids{a}));
  BOOST_TEST((ids_in_key("x" + a + b + "y") == ids{a, b}));
  BOOST_TEST(ids_in_key("uploads/" + a.substr(1)).empty());
  BOOST_TEST(ids_in_key("").empty());
}
