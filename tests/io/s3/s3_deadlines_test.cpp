// One deadline over all tries of an operation, and over all operations that end an upload, with an S3 that does not
// answer.
#include "support/captured_log.hpp"
#include "support/s3_world.hpp"
#include <postern/base/digest.hpp>
#include <postern/io/s3/s3_store.hpp>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

const object_name name{"media", "k"};
const s3_multipart_upload some_upload{name, "u", false};
constexpr auto noise = 8s; // how late an answer may be on a busy machine

s3_options silent_after(const scripted_peer& peer, std::chrono::milliseconds deadline,
                        std::chrono::milliseconds timeout = 30s) {
  auto o = by_path(peer);
  o.deadline = deadline;
  o.timeout = timeout;
  return o;
}

// Answers as the map of the test says, and is silent to everything else.
struct partly_silent {
  explicit partly_silent(std::vector<std::pair<std::string, step>> all) : answers(std::move(all)) {}
  step operator()(const received_request& r) const {
    for (const auto& [line, answer] : answers)
      if (r.line.starts_with(line)) return answer;
    return step("").stays_silent();
  }
  std::vector<std::pair<std::string, step>> answers;
};

step created() {
  return xml(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>");
}

std::size_t count(const scripted_peer& peer, std::string_view line) {
  std::size_t n = 0;
  for (const auto& r : peer.requests()) n += r.line.starts_with(line);
  return n;
}

// The time that `work` takes.
template <class F> steady_clock::duration time_of(F work) {
  const auto begin = steady_clock::now();
  work();
  return steady_clock::now() - begin;
}

} // namespace

BOOST_AUTO_TEST_SUITE(s3_deadlines)

BOOST_AUTO_TEST_CASE(a_running_try_is_cut_at_the_deadline) {
  scripted_peer peer{scripted_peer::script(partly_silent({}))};
  s3_fixture w(silent_after(peer, 500ms));
  const auto took = time_of([&] {
    const auto e = error_of(w.run(w.s3.delete_object(name)));
    BOOST_TEST((e.category == errc::unavailable));
    BOOST_TEST(e.message.find("deadline has passed") != std::string::npos, e.message);
  });
  BOOST_TEST((took >= 500ms));
  BOOST_TEST((took < noise));
  BOOST_TEST(peer.requests().size() == 1u);
}

BOOST_AUTO_TEST_CASE(all_tries_and_pauses_share_the_deadline) {
  scripted_peer peer{scripted_peer::script(partly_silent({}))};
  s3_fixture w(silent_after(peer, 700ms, 250ms)); // tries of 250 to 350 ms each
  const auto took = time_of([&] { error_of(w.run(w.s3.delete_object(name))); });
  BOOST_TEST((took < noise));
  const auto tries = peer.requests().size();
  BOOST_TEST(tries >= 1u);
  BOOST_TEST(tries <= 2u); // four without a deadline
}

BOOST_AUTO_TEST_CASE(no_pause_is_made_that_would_pass_the_deadline) {
  const scripted_peer::script busy = [](const received_request&) { return error(503, "SlowDown"); };
  scripted_peer peer(busy);
  s3_fixture w(silent_after(peer, 190ms)); // the first pause is 200 to 600 ms
  error_of(w.run(w.s3.delete_object(name)));
  BOOST_TEST(peer.requests().size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_deadline_that_has_passed_allows_no_second_try) {
  const scripted_peer::script wrong_region = [](const received_request&) {
    return error(400, "AuthorizationHeaderMalformed", "<Region>ap-south-1</Region>").after(300ms);
  };
  scripted_peer peer(wrong_region);
  s3_fixture w(silent_after(peer, 400ms)); // the answer arrives in time; the corrected request has 100 ms left
  BOOST_TEST((time_of([&] { error_of(w.run(w.s3.delete_object(name))); }) < noise));
  BOOST_TEST(peer.requests().size() <= 2u);
}

BOOST_AUTO_TEST_CASE(a_list_of_many_pages_has_one_deadline) {
  int page = 0;
  const scripted_peer::script endless = [&](const received_request&) {
    const auto number = std::to_string(++page);
    return xml(200, "<ListPartsResult><Part><PartNumber>" + number +
                        "</PartNumber><ETag>e</ETag><Size>5</Size></Part>"
                        "<IsTruncated>true</IsTruncated><NextPartNumberMarker>" +
                        number + "</NextPartNumberMarker></ListPartsResult>")
        .after(20ms);
  };
  scripted_peer peer(endless);
  s3_fixture w(silent_after(peer, 400ms));
  BOOST_TEST((time_of([&] { error_of(w.run(w.s3.list_parts(some_upload))); }) < noise));
  BOOST_TEST(peer.requests().size() < 25u);
}

BOOST_AUTO_TEST_CASE(without_credentials_in_time_no_request_is_sent) {
  struct slow_source final : credential_source {
    task<result<held_credentials>> fetch() override {
      timer t(co_await asio::this_coro::executor, 1500ms);
      co_await t.async_wait(use_task);
      co_return keys();
    }
  };
  scripted_peer peer{scripted_peer::script(partly_silent({}))};
  http_client http;
  store_clock clock([] { return now; });
  credential_cache credentials(std::make_unique<slow_source>(), 60s, [] { return now; });
  s3_client s3(silent_after(peer, 200ms), http, credentials, clock);
  asio::io_context loop{1};
  const auto e = error_of(run_on(loop, s3.delete_object(name)));
  BOOST_TEST(e.message.find("credentials") != std::string::npos, e.message);
  BOOST_TEST(peer.accepted() == 0u);
  loop.run(); // until the fetch has ended
}

// --- the store ------------------------------------------------------------------------------------------

namespace {

task<result<stored_object>> store_bytes(store& s, std::size_t size, bool is_abandoned_after_failure = true) {
  const std::string bytes(size, 'b');
  auto into = co_await s.open(name, {}, size, nullptr);
  if (!into) co_return into.error();
  result<stored_object> stored = failure{};
  auto written = co_await (*into)->write({bytes.data(), bytes.size()});
  if (!written)
    stored = written.error();
  else
    stored = co_await (*into)->finish();
  if (!stored && is_abandoned_after_failure) co_await (*into)->abandon();
  co_return stored;
}

constexpr std::size_t small = 1000, large = 6 << 20;

} // namespace

BOOST_AUTO_TEST_CASE(the_end_of_a_small_upload_has_one_deadline) {
  scripted_peer peer{scripted_peer::script(partly_silent({}))};
  s3_fixture w(silent_after(peer, 600ms, 250ms));
  const auto objects = make_s3_store(w.s3);
  const auto took = time_of([&] {
    const auto stored = w.run(store_bytes(*objects, small));
    BOOST_TEST((!stored && stored.error().code == errc::unavailable));
  });
  BOOST_TEST((took < noise));
}

// The tail, CompleteMultipartUpload and the ETag share the deadline; the abort has its own.
BOOST_AUTO_TEST_CASE(the_end_of_a_multipart_upload_has_one_deadline) {
  const auto part = answers(200, "", {{"ETag", "\"e\""}}).sends_continue();
  const std::vector<std::pair<std::string, step>> up_to_the_end{
      {"POST /media/k?uploads", created()}, {"PUT /media/k?partNumber=1", part}, {"DELETE", answers(204)}};
  auto up_to_complete = up_to_the_end;
  up_to_complete.emplace_back("PUT /media/k?partNumber=2", part);
  auto up_to_etag = up_to_complete;
  up_to_etag.emplace_back("POST /media/k?uploadId",
                          xml(200, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"));
  auto without_the_last_part = up_to_the_end;
  without_the_last_part.erase(without_the_last_part.begin() + 1);
  without_the_last_part.emplace_back("PUT /media/k?partNumber=1", step("").sends_continue().stays_silent());
  for (const auto& answered : {up_to_the_end, up_to_complete, up_to_etag, without_the_last_part}) {
    BOOST_TEST_CONTEXT(answered.size() << " kinds of requests are answered") {
      scripted_peer peer{scripted_peer::script(partly_silent(answered))};
      s3_fixture w(silent_after(peer, 900ms, 400ms));
      const auto objects = make_s3_store(w.s3);
      const auto took = time_of([&] {
        const auto stored = w.run(store_bytes(*objects, large));
        BOOST_TEST((!stored && stored.error().code == errc::unavailable));
      });
      BOOST_TEST((took < noise));
      w.loop.run(); // the part that is not answered
    }
  }
}

BOOST_AUTO_TEST_CASE(a_store_that_hangs_while_a_part_is_sent_ends_the_upload) {
  scripted_peer peer{scripted_peer::script(
      partly_silent({{"POST /media/k?uploads", created()},
                     {"PUT /media/k?partNumber=1", step("").sends_continue().reads(1000).after(60s)},
                     {"DELETE", answers(204)}}))};
  s3_fixture w(silent_after(peer, 30s, 400ms));
  const auto objects = make_s3_store(w.s3);
  BOOST_TEST((time_of([&] { BOOST_TEST(!w.run(store_bytes(*objects, 40 << 20))); }) < noise));
  BOOST_TEST(count(peer, "DELETE") == 1u);
}

BOOST_AUTO_TEST_CASE(an_abort_ends_within_ten_seconds) {
  const captured_log log;
  scripted_peer peer{scripted_peer::script(partly_silent({{"POST /media/k?uploads", created()}}))};
  s3_fixture w(silent_after(peer, 1s, 30s));
  const auto objects = make_s3_store(w.s3);
  const auto took = time_of([&] { BOOST_TEST(!w.run(store_bytes(*objects, large))); });
  BOOST_TEST((took < 1s + 10s + noise));
  BOOST_TEST(count(peer, "DELETE") >= 1u);
  BOOST_TEST(log.text().find("a multipart upload is left in the store") != std::string::npos);
  w.loop.run();
}

// A store is silent while it copies bytes.
BOOST_AUTO_TEST_CASE(a_copy_may_be_silent_for_longer_than_the_timeout) {
  scripted_peer peer({step("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"e\"\r\n\r\n"),
                      xml(200, "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>").after(600ms)});
  s3_fixture w(silent_after(peer, 30s, 200ms));
  const auto objects = make_s3_store(w.s3);
  BOOST_TEST(w.run(objects->copy(name, "e", {"media", "copy"})).has_value());
  BOOST_TEST(peer.requests().size() == 2u);
}

BOOST_AUTO_TEST_CASE(what_a_browser_waits_for_is_answered_within_ten_seconds_whatever_the_deadline) {
  scripted_peer peer{scripted_peer::script(partly_silent({}))};
  s3_fixture w(silent_after(peer, 45s));
  const auto objects = make_s3_store(w.s3);
  const auto of_head = time_of([&] {
    const auto found = w.run(objects->head(name));
    BOOST_TEST((!found && found.error().code == errc::unavailable));
  });
  BOOST_TEST((of_head < 10s + noise / 2));
  const auto of_piece = time_of([&] {
    const auto piece = w.run(objects->read_some(name, "e", 0, 1));
    BOOST_TEST((!piece && piece.error().code == errc::unavailable));
  });
  BOOST_TEST((of_piece < 10s + noise / 2));
}

BOOST_AUTO_TEST_SUITE_END()
