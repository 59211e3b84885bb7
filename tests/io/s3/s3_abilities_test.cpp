// What stores answer to the questions about their abilities. The answers of AWS are those of the Amazon S3 API
// Reference, pages "CreateMultipartUpload", "PutObject", "GetBucketCors", "POST Object" and "Error responses".
#include "support/captured_log.hpp"
#include "support/s3_world.hpp"
#include <postern/core/s3/policy.hpp>
#include <postern/io/s3/s3_abilities.hpp>

#include <chrono>
#include <vector>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

namespace {

const std::string created_xml = "<InitiateMultipartUploadResult><Bucket>media</Bucket><Key>k</Key><UploadId>u</"
                                "UploadId></InitiateMultipartUploadResult>";

step created(const std::string& type = "") {
  header_fields fields;
  if (!type.empty()) fields = {{"x-amz-checksum-algorithm", "CRC32C"}, {"x-amz-checksum-type", type}};
  return xml(200, created_xml, fields).wants("POST /media/uploads/postern-abilities-");
}
step aborted() { return answers(204).wants("DELETE /media/uploads/postern-abilities-"); }
step put(step s) { return s.wants("PUT /media/uploads/postern-abilities-"); }
step cors(step s) { return s.wants("GET /media/?cors="); }
step post(step s) { return s.wants("POST /media/ "); }

const step bad_digest = error(400, "BadDigest"), not_implemented = error(501, "NotImplemented"),
           denied = error(403, "AccessDenied"), no_cors = error(404, "NoSuchCORSConfiguration"),
           too_large = error(400, "EntityTooLarge");

aws_result<store_abilities> ask(s3_fixture& w, std::chrono::milliseconds within = 5s) {
  return w.run(ask_abilities(w.s3, w.http, "media", "uploads/", std::chrono::steady_clock::now() + within));
}

step preflight(step s) { return s.wants("OPTIONS /media/uploads/postern-abilities-"); }

store_abilities found_without_preflight(const std::vector<step>& script, std::vector<held_credentials> by = {keys()}) {
  scripted_peer peer(script);
  s3_fixture w(by_path(peer), std::move(by));
  const auto all = value_of(ask(w));
  for (const auto& r : peer.requests())
    if (r.has("authorization")) check_signed(r, "eu-west-1", by.empty() ? keys() : by.front());
  return all;
}

// The bucket has no CORS rule yet, which says nothing about signatures.
store_abilities found(std::vector<step> script, std::vector<held_credentials> by = {keys()}) {
  script.push_back(preflight(error(403, "AccessForbidden")));
  return found_without_preflight(script, std::move(by));
}

} // namespace

BOOST_AUTO_TEST_CASE(a_store_as_aws_documents_it) {
  const auto all = found({created("FULL_OBJECT"), aborted(), put(bad_digest), cors(no_cors), post(too_large)});
  BOOST_TEST((all == store_abilities{true, true, true, true, true, true, true, true}));
}

BOOST_AUTO_TEST_CASE(ceph_rgw_16) {
  const auto all = found({created(), aborted(), put(bad_digest), cors(no_cors), post(too_large)});
  BOOST_TEST((all == store_abilities{true, true, true, false, false, true, true, true}));
}

BOOST_AUTO_TEST_CASE(swift) {
  const auto all =
      found({created(), aborted(), put(not_implemented), cors(not_implemented), post(answers(412, "<html>Bad URL"))});
  BOOST_TEST((all == store_abilities{false, true, false, false, false, false, true, true}));
}

// Cloudflare's documentation, "S3 API compatibility": CRC32C of type COMPOSITE only, no POST Object.
BOOST_AUTO_TEST_CASE(a_store_that_verifies_parts_only) {
  const auto all =
      found({not_implemented, created("COMPOSITE"), aborted(), put(bad_digest), cors(no_cors), post(not_implemented)});
  BOOST_TEST((all == store_abilities{false, true, true, true, false, true, true, true}));
}

BOOST_AUTO_TEST_CASE(a_store_that_refuses_each_checksum) {
  const auto all = found({error(400, "InvalidRequest"), error(400, "InvalidArgument"), created(), aborted(),
                          put(bad_digest), cors(no_cors), post(too_large)});
  BOOST_TEST((all == store_abilities{true, true, true, false, false, true, true, true}));
}

BOOST_AUTO_TEST_CASE(a_missing_permission_leaves_its_ability_out) {
  const auto all = found_without_preflight({denied, put(denied), cors(denied), post(denied)});
  BOOST_TEST((all == store_abilities{true, false, false, false, false, true, false, true}));
}

// Ceph RGW with temporary credentials.
BOOST_AUTO_TEST_CASE(a_store_that_refuses_the_preflight_of_signed_headers) {
  const std::vector<step> script{created(), aborted(), put(bad_digest), cors(no_cors), post(too_large)};
  for (const auto& [answer, may] :
       {std::pair(error(403, "SignatureDoesNotMatch"), false), std::pair(answers(200), true),
        std::pair(answers(403), true), std::pair(answers(500), true)}) {
    auto with = script;
    with.push_back(preflight(answer));
    BOOST_TEST(found_without_preflight(with).preflights_signed_headers == may, answer.bytes);
  }
}

BOOST_AUTO_TEST_CASE(only_clear_answers_mean_that_there_are_no_forms) {
  struct row {
    step answer;
    bool takes_forms;
  };
  for (const auto& [answer, takes_forms] : std::vector<row>{{error(403, "AccessDenied"), true},
                                                            {error(403, "SignatureDoesNotMatch"), true},
                                                            {error(400, "InvalidArgument"), true},
                                                            {answers(403), true},
                                                            {answers(404), true},
                                                            {answers(307, "", {{"Location", "http://a/"}}), true},
                                                            {answers(405), false},
                                                            {error(405, "MethodNotAllowed"), false},
                                                            {answers(412), false},
                                                            {answers(501), false}})
    BOOST_TEST(found({created(), aborted(), put(bad_digest), cors(no_cors), post(answer)}).takes_forms == takes_forms,
               answer.bytes);
}

BOOST_AUTO_TEST_CASE(what_a_store_keeps_is_removed) {
  captured_log log;
  const auto all =
      found({created(), aborted(), put(answers(200)), aborted(), cors(no_cors), post(answers(204)), aborted()});
  BOOST_TEST(all.takes_forms);
  BOOST_TEST(all.takes_presigned_put);
  BOOST_TEST(!all.takes_if_none_match); // it did not compare the digest, so nothing is known
  BOOST_TEST(log.text().find("does not enforce the policy") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_store_that_gives_no_answer_tells_nothing) {
  const auto lost = post(step("").cut(step::place::answer)); // twice: also on a new connection
  for (const auto& script : std::vector<std::vector<step>>{
           {error(403, "InvalidAccessKeyId")},
           {error(403, "SignatureDoesNotMatch")},
           {error(404, "NoSuchBucket")},
           {created(), aborted(), put(error(404, "NoSuchBucket"))},
           {created(), aborted(), put(bad_digest), cors(no_cors), post(answers(500))},
           {created(), aborted(), put(bad_digest), cors(no_cors), post(answers(503))},
           {created(), aborted(), put(bad_digest), cors(no_cors), lost, lost},
       }) {
    scripted_peer peer(script);
    s3_fixture w(by_path(peer));
    BOOST_TEST(!ask(w).has_value());
  }
  // Broken connections and errors of the server are retried within the deadline.
  scripted_peer broken([](const received_request&) { return error(503, "SlowDown"); });
  s3_fixture w(by_path(broken));
  BOOST_TEST(!ask(w, 700ms).has_value());
}

BOOST_AUTO_TEST_CASE(all_questions_have_one_deadline) {
  for (const std::size_t silent_from : {0, 2, 3, 4}) {
    std::vector<step> script{created(), aborted(), put(bad_digest), cors(no_cors), post(too_large)};
    script.resize(silent_from + 1, answers(200));
    script.back().stays_silent();
    scripted_peer peer(script);
    s3_fixture w(by_path(peer));
    const auto begin = std::chrono::steady_clock::now();
    BOOST_TEST(!ask(w, 500ms).has_value());
    BOOST_TEST((std::chrono::steady_clock::now() - begin < 3s), silent_from);
  }
}

BOOST_AUTO_TEST_CASE(the_form_is_right_but_for_its_file) {
  const auto by = keys("ASIA", "token");
  scripted_peer peer({created(), aborted(), put(bad_digest), cors(no_cors), post(too_large), preflight(answers(200))});
  s3_fixture w(by_path(peer), {by});
  value_of(ask(w));
  const auto request = peer.requests().at(4);
  BOOST_TEST(!request.has("authorization"));
  // The fields as S3 reads them: NAME, an empty line, the value.
  std::vector<form_field> fields;
  const std::string name_begin = "name=\"";
  for (auto at = request.body.find(name_begin); at != std::string::npos; at = request.body.find(name_begin, at)) {
    at += name_begin.size();
    const auto value = request.body.find("\r\n\r\n", at) + 4;
    const auto end = request.body.find("\r\n--", value);
    fields.push_back(
        {request.body.substr(at, request.body.find('"', at) - at), request.body.substr(value, end - value)});
    at = end;
  }
  BOOST_TEST_REQUIRE(fields.size() == 8u);
  BOOST_TEST(fields.back().name == "file");
  BOOST_TEST(fields.back().value == ".");
  fields.pop_back();
  BOOST_TEST(find_field(fields, "x-amz-security-token") != nullptr);
  BOOST_TEST(find_field(fields, "key")->starts_with("uploads/postern-abilities-"));
  const auto text = *find_field(fields, "policy");
  const auto allowed = judge(read_policy(text).value(), fields, "media", now).value();
  BOOST_TEST((allowed == length_range{0, 0}));
  const auto key = sigv4::signing_key(by.keys.secret_key, "20261123", "eu-west-1", "s3");
  BOOST_TEST(*find_field(fields, "x-amz-signature") == sigv4::policy_signature(key, text));
}

BOOST_AUTO_TEST_CASE(the_put_has_a_condition_and_a_wrong_digest) {
  scripted_peer peer({created(), aborted(), put(bad_digest), cors(no_cors), post(too_large), preflight(answers(200))});
  s3_fixture w(by_path(peer));
  value_of(ask(w));
  const auto request = peer.requests().at(2);
  BOOST_TEST(request.field("if-none-match") == "*");
  BOOST_TEST(request.field("content-md5") == "1B2M2Y8AsgTpgAmY7PhCfg=="); // of no bytes
  BOOST_TEST(request.body.size() == 1u);
}
