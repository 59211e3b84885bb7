// What s3_client retries or corrects, and what it does not.
#include "support/certificates.hpp"
#include "support/s3_world.hpp"
#include "support/temporary_folder.hpp"

#include <algorithm>
#include <functional>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;
using place = step::place;

namespace {

const s3_multipart_upload some_upload{{"media", "k"}, "u", false};
const object_name name{"media", "k"};

// Sends one request that changes nothing.
aws_result<std::string> ask(s3_fixture& w) { return w.run(w.s3.get_bucket_cors("media")); }

step good() { return answers(200, "good"); }

} // namespace

BOOST_AUTO_TEST_SUITE(s3_client_tries)

BOOST_AUTO_TEST_CASE(transient_errors_are_retried) {
  for (const auto& bad : {error(500, "InternalError"), error(503, "SlowDown"), error(503, "ServiceUnavailable"),
                          answers(502), answers(429), error(400, "RequestTimeout"), error(409, "OperationAborted"),
                          good().cut(place::head), good().cut(place::answer), good().cut(place::middle)}) {
    scripted_peer peer({bad, good()});
    s3_fixture w(by_path(peer));
    BOOST_TEST(value_of(ask(w)) == "good");
    for (const auto& h : peer.requests()) check_signed(h);
  }
}

BOOST_AUTO_TEST_CASE(retries_end_after_max_tries) {
  for (const unsigned tries : {1u, 2u, 4u}) {
    scripted_peer peer(std::vector<step>(tries, error(500, "InternalError")));
    auto o = by_path(peer);
    o.max_tries = tries;
    s3_fixture w(o);
    const auto e = error_of(ask(w));
    BOOST_TEST((e.category == errc::unavailable));
    BOOST_TEST(e.code == "InternalError");
  }
}

BOOST_AUTO_TEST_CASE(a_timeout_is_retried) {
  scripted_peer peer({good().stays_silent(), good()});
  auto o = by_path(peer);
  o.timeout = 100ms;
  s3_fixture w(o);
  BOOST_TEST(value_of(ask(w)) == "good");
}

BOOST_AUTO_TEST_CASE(an_error_in_a_200_response_counts_as_an_error) {
  const auto done = xml(200, "<CompleteMultipartUploadResult><ETag>\"e-1\"</ETag></CompleteMultipartUploadResult>");
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string late = "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>m</Message></Error>";
  char size[8];
  std::snprintf(size, sizeof size, "%zx", late.size());
  scripted_peer peer({step(head + "3\r\n   \r\n3\r\n   \r\n" + size + "\r\n" + late + "\r\n0\r\n\r\n"), done,
                      error(200, "InvalidPart")});
  s3_fixture w(by_path(peer));
  const auto complete = [&] { return w.run(w.s3.complete_multipart(some_upload, {{1, "a", 5, {}}}, 0)); };
  BOOST_TEST(value_of(complete()).etag == "e-1");
  const auto e = error_of(complete());
  BOOST_TEST(e.code == "InvalidPart");
  BOOST_TEST((e.category == errc::store_failed));
}

// A region becomes part of a host name and of signatures.
BOOST_AUTO_TEST_CASE(a_region_that_is_no_region_name_is_not_used) {
  for (const auto& bad : {error(400, "AuthorizationHeaderMalformed", "<Region>a.example/</Region>"),
                          error(301, "PermanentRedirect", "", header_fields{{"x-amz-bucket-region", "a.example/"}})}) {
    scripted_peer peer({bad});
    s3_fixture w(by_path(peer));
    BOOST_TEST(error_of(ask(w)).region == "");
    BOOST_TEST(w.s3.region_of("media") == "eu-west-1");
    BOOST_TEST(peer.requests().size() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(a_region_that_s3_names_is_used_and_remembered) {
  const auto moved = [](int status, const std::string& code, bool in_the_header) {
    return error(status, code, in_the_header ? "" : "<Region>ap-south-1</Region>",
                 in_the_header ? header_fields{{"x-amz-bucket-region", "ap-south-1"}} : header_fields{});
  };
  for (const auto& bad : {moved(400, "AuthorizationHeaderMalformed", false), moved(301, "PermanentRedirect", true),
                          moved(403, "AccessDenied", true)}) {
    scripted_peer peer({bad, good(), good(), good()});
    s3_fixture w(by_path(peer));
    BOOST_TEST(value_of(ask(w)) == "good");
    BOOST_TEST(w.s3.region_of("media") == "ap-south-1");
    BOOST_TEST(w.s3.region_of("other") == "eu-west-1");
    BOOST_TEST(value_of(ask(w)) == "good"); // the region is remembered for this bucket
    BOOST_TEST(value_of(w.run(w.s3.get_bucket_cors("other"))) == "good");
    const auto requests = peer.requests();
    check_signed(requests[0], "eu-west-1");
    check_signed(requests[1], "ap-south-1");
    check_signed(requests[2], "ap-south-1");
    check_signed(requests[3], "eu-west-1");
  }
  // The answer to a HEAD has no body, so a header names the region.
  scripted_peer peer({step("HTTP/1.1 301 Moved Permanently\r\nx-amz-bucket-region: ap-south-1\r\n\r\n"),
                      step("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")});
  s3_fixture w(by_path(peer));
  BOOST_TEST(value_of(w.run(w.s3.head_object(name))).size == 3u);
  // Two servers that redirect to each other are followed once.
  scripted_peer wavers({moved(400, "AuthorizationHeaderMalformed", false),
                        error(400, "AuthorizationHeaderMalformed", "<Region>sa-east-1</Region>")});
  s3_fixture lost(by_path(wavers));
  BOOST_TEST(error_of(ask(lost)).code == "AuthorizationHeaderMalformed");
}

BOOST_AUTO_TEST_CASE(a_redirect_holds_for_one_call) {
  scripted_peer there({good()});
  scripted_peer here({error(307, "TemporaryRedirect", "", {{"Location", there.url() + "/media/?cors="}}), good()});
  s3_fixture w(by_path(here));
  BOOST_TEST(value_of(ask(w)) == "good");
  BOOST_TEST(value_of(ask(w)) == "good"); // the next call asks the first server again
  const auto followed = there.requests().at(0);
  BOOST_TEST(followed.field("host") == "127.0.0.1:" + std::to_string(there.port()));
  check_signed(followed);
}

BOOST_AUTO_TEST_CASE(redirects_are_followed_three_times) {
  const scripted_peer::script round = [](const received_request& r) {
    return error(307, "TemporaryRedirect", "", {{"Location", "http://" + std::string(r.field("host")) + "/"}});
  };
  scripted_peer peer(round);
  s3_fixture w(by_path(peer));
  BOOST_TEST(error_of(ask(w)).code == "TemporaryRedirect");
  BOOST_TEST(peer.requests().size() == 4u);
  scripted_peer nowhere({error(307, "TemporaryRedirect", "", {{"Location", "/elsewhere"}})});
  s3_fixture lost(by_path(nowhere));
  BOOST_TEST(error_of(ask(lost)).status == 307);
}

// A signature and a token that were sent over TLS must not be sent in clear text.
BOOST_AUTO_TEST_CASE(a_redirect_from_https_to_http_is_not_followed) {
  const temporary_folder folder;
  const certificate authority("Test authority", "");
  authority.save(folder.path() / "ca.pem");
  const auto tls = certificate("server", "IP:127.0.0.1", &authority).server();
  scripted_peer open(std::vector<step>{}), covered({good()}, {tls.get()});
  const auto to = [](const scripted_peer& there) {
    return error(307, "TemporaryRedirect", "", {{"Location", there.url() + "/"}});
  };
  scripted_peer peer({to(open), to(covered)}, {tls.get()});
  s3_fixture w(by_path(peer), {keys()}, folder.path() / "ca.pem");
  BOOST_TEST(error_of(ask(w)).status == 307);
  BOOST_TEST(open.accepted() == 0u);
  BOOST_TEST(value_of(ask(w)) == "good");
}

BOOST_AUTO_TEST_CASE(a_wrong_clock_is_corrected_and_remembered) {
  const header_fields theirs{{"Date", http_date(now + 1h)}};
  scripted_peer peer(
      {error(403, "RequestTimeTooSkewed", "", theirs), answers(200, "good", theirs), answers(200, "good", theirs)});
  s3_fixture w(by_path(peer));
  BOOST_TEST(value_of(ask(w)) == "good");
  BOOST_TEST(value_of(ask(w)) == "good");
  const auto requests = peer.requests();
  check_signed(requests[0]);
  check_signed(requests[1], "eu-west-1", keys(), "20261123T191500Z");
  check_signed(requests[2], "eu-west-1", keys(), "20261123T191500Z"); // the clock is remembered
  scripted_peer always(
      {error(403, "RequestTimeTooSkewed", "", theirs), error(403, "RequestTimeTooSkewed", "", theirs)});
  s3_fixture twice(by_path(always));
  BOOST_TEST(error_of(ask(twice)).code == "RequestTimeTooSkewed");
}

// The answer to a HEAD has no body, so no code: the Date field shows the difference.
BOOST_AUTO_TEST_CASE(a_wrong_clock_is_corrected_at_a_head) {
  const auto refusal = [](seconds_clock date) {
    return step("HTTP/1.1 403 Forbidden\r\nDate: " + http_date(date) + "\r\n\r\n");
  };
  const auto found = step("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
  for (const auto off : {-1h, 1h}) {
    scripted_peer peer({refusal(now + off), found});
    s3_fixture w(by_path(peer));
    BOOST_TEST(value_of(w.run(w.s3.head_object(name))).size == 3u);
    check_signed(peer.requests()[1], "eu-west-1", keys(), amz_date(now + off));
  }
  scripted_peer peer({refusal(now + 5min)}); // S3 allows 15 minutes, so this request was rejected for another reason
  s3_fixture w(by_path(peer));
  BOOST_TEST(error_of(w.run(w.s3.head_object(name))).status == 403);
}

BOOST_AUTO_TEST_CASE(expired_credentials_are_renewed_once) {
  for (const auto* code : {"ExpiredToken", "InvalidToken", "TokenRefreshRequired"}) {
    scripted_peer peer({error(400, code), good()});
    s3_fixture w(by_path(peer), {keys("OLD", "t"), keys("NEW", "u")});
    BOOST_TEST(value_of(ask(w)) == "good");
    check_signed(peer.requests()[0], "eu-west-1", keys("OLD", "t"));
    check_signed(peer.requests()[1], "eu-west-1", keys("NEW", "u"));
  }
  scripted_peer again({error(400, "ExpiredToken"), error(400, "ExpiredToken")});
  s3_fixture twice(by_path(again), {keys("OLD", "t"), keys("NEW", "u"), keys("THIRD", "v")});
  BOOST_TEST(error_of(ask(twice)).code == "ExpiredToken");
  scripted_peer once({error(400, "ExpiredToken")});
  s3_fixture none(by_path(once), {keys("OLD", "t")});
  BOOST_TEST((error_of(ask(none)).category == errc::unavailable));
  scripted_peer other({error(403, "InvalidAccessKeyId")}); // new keys would not help
  s3_fixture wrong(by_path(other), {keys("OLD"), keys("NEW")});
  BOOST_TEST(error_of(ask(wrong)).code == "InvalidAccessKeyId");
}

BOOST_AUTO_TEST_CASE(expired_credentials_are_renewed_at_a_head) {
  const step refusal("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  const step found("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
  scripted_peer peer({refusal, found});
  s3_fixture w(by_path(peer), {keys("OLD", "t"), keys("NEW", "u")});
  BOOST_TEST(value_of(w.run(w.s3.head_object(name))).size == 3u);
  scripted_peer once({refusal}); // keys without a token do not expire
  s3_fixture lasting(by_path(once), {keys("OLD"), keys("NEW")});
  BOOST_TEST(error_of(lasting.run(lasting.s3.head_object(name))).status == 400);
}

// --- each script once more for each of its steps, with the connection failing there ---------------------

namespace {

struct scripted_call {
  const char* name;
  std::vector<step> steps;
  std::function<task<bool>(s3_client&)> call; // returns whether the call succeeded
};

template <class T> task<bool> succeeds(task<aws_result<T>> call) {
  auto answer = co_await std::move(call);
  co_return answer.has_value();
}

task<bool> lists_three(s3_client& s3) {
  const auto parts = co_await s3.list_parts(some_upload);
  co_return parts && parts->size() == 3 && (*parts)[2].number == 3;
}

const std::vector<s3_part> some_parts{{1, "e", 5, {}}};

std::vector<scripted_call> all_calls() {
  const header_fields etag{{"ETag", "\"e\""}};
  const auto page = [](int n, bool more) {
    const auto number = std::to_string(n);
    return xml(200,
               "<ListPartsResult><Part><PartNumber>" + number + "</PartNumber><ETag>e</ETag><Size>5</Size></Part>" +
                   (more ? "<IsTruncated>true</IsTruncated><NextPartNumberMarker>" + number + "</NextPartNumberMarker>"
                         : "<IsTruncated>false</IsTruncated>") +
                   "</ListPartsResult>");
  };
  return {
      {"PutObject",
       {answers(200, "", etag)},
       [](s3_client& s) { return succeeds(s.put_object(name, {}, "bytes", 1)); }},
      {"CreateMultipartUpload",
       {xml(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")},
       [](s3_client& s) { return succeeds(s.create_multipart(name, {})); }},
      {"UploadPart",
       {answers(200, "", etag)},
       [](s3_client& s) { return succeeds(s.upload_part(some_upload, 1, "bytes")); }},
      {"CompleteMultipartUpload",
       {xml(200, "<CompleteMultipartUploadResult><ETag>\"e-1\"</ETag></CompleteMultipartUploadResult>")},
       [](s3_client& s) { return succeeds(s.complete_multipart(some_upload, some_parts, 1)); }},
      {"AbortMultipartUpload", {answers(204)}, [](s3_client& s) { return succeeds(s.abort_multipart(some_upload)); }},
      {"ListParts", {page(1, true), page(2, true), page(3, false)}, lists_three},
      {"HeadObject",
       {step("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")},
       [](s3_client& s) { return succeeds(s.head_object(name)); }},
      {"GetObject", {answers(206, "bytes")}, [](s3_client& s) { return succeeds(s.get_object(name, 100)); }},
      {"DeleteObject", {answers(204)}, [](s3_client& s) { return succeeds(s.delete_object(name)); }},
      {"HeadBucket", {answers(200)}, [](s3_client& s) { return succeeds(s.head_bucket("media")); }},
      {"GetBucketLocation",
       {xml(200, "<LocationConstraint/>")},
       [](s3_client& s) { return succeeds(s.get_bucket_location("media")); }},
      {"GetBucketCors",
       {answers(200, "<CORSConfiguration/>")},
       [](s3_client& s) { return succeeds(s.get_bucket_cors("media")); }},
      {"PutBucketCors",
       {answers(200)},
       [](s3_client& s) { return succeeds(s.put_bucket_cors("media", "<CORSConfiguration/>")); }},
      {"every correction",
       {error(503, "SlowDown"), error(400, "AuthorizationHeaderMalformed", "<Region>ap-south-1</Region>"),
        error(403, "RequestTimeTooSkewed", "", {{"Date", http_date(now + 1h)}}), error(400, "ExpiredToken"),
        answers(204)},
       [](s3_client& s) { return succeeds(s.delete_object(name)); }},
  };
}

} // namespace

BOOST_AUTO_TEST_CASE(each_call_survives_a_connection_that_breaks_at_any_step) {
  struct playing {
    playing(std::vector<step> steps, std::string what)
        : peer(std::move(steps)), w(by_path(peer), {keys("OLD", "t"), keys("NEW", "u")}), name(std::move(what)) {}
    scripted_peer peer;
    s3_fixture w;
    std::string name;
    bool good = false;
  };
  const auto calls = all_calls();
  std::vector<std::unique_ptr<playing>> all;
  asio::io_context loop{1}; // all at once: most of the time is spent in pauses
  group running(loop.get_executor());
  const auto play = [](playing& p, const scripted_call& c) -> task<> {
    auto call = c.call(p.w.s3);
    p.good = co_await std::move(call);
  };
  for (const auto& c : calls) {
    for (std::size_t n = 0; n <= c.steps.size(); ++n) {
      for (const auto at : {place::head, place::body, place::answer, place::middle}) {
        auto steps = c.steps;
        auto what = std::string(c.name);
        if (n < steps.size()) {
          steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(n), step(steps[n]).cut(at));
          what += ", step " + std::to_string(n) + " at " + std::to_string(static_cast<int>(at));
        } else if (at != place::head) {
          continue; // one run without a break
        }
        // A reused connection without a response byte is retried on a new one, so that one must break too.
        if (n > 0 && n < c.steps.size() && at != place::middle)
          steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(n), steps[n]);
        all.push_back(std::make_unique<playing>(std::move(steps), std::move(what)));
        running.start(play(*all.back(), c));
      }
    }
  }
  loop.run();
  BOOST_TEST(all.size() > 80u);
  for (const auto& p : all) BOOST_TEST(p->good, p->name);
}

BOOST_AUTO_TEST_SUITE_END()
