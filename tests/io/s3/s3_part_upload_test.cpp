#include "support/s3_world.hpp"
#include "support/store_contract.hpp"

#include <span>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;
using place = step::place;

namespace {

const s3_multipart_upload plain{{"media", "a b"}, "u", false}, checked{{"media", "a b"}, "u", true};

// Streams `bytes` as one part. Calls finish even after a failed write, because S3's answer has the reason.
task<aws_result<s3_part>> streamed(s3_client& s3, const s3_multipart_upload& to, std::string_view bytes,
                                   std::size_t piece) {
  auto begun = co_await s3.begin_part(to, 1, bytes.size());
  if (!begun) co_return begun.error();
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const auto some = bytes.substr(at, piece);
    const std::span<const char> span(some.data(), some.size());
    auto written = co_await (*begun)->write(span);
    if (!written) break;
  }
  co_return co_await (*begun)->finish();
}

// The body without its framing; empty unless it is aws-chunked with the right checksum in the trailer.
std::string unframed(std::string_view raw) {
  std::string out;
  for (;;) {
    const auto line = raw.substr(0, raw.find("\r\n"));
    raw.remove_prefix(std::min(raw.size(), line.size() + 2));
    const auto size = std::stoull(std::string(line), nullptr, 16);
    if (size == 0) break;
    BOOST_TEST(size <= aws_chunk_size);
    out += raw.substr(0, size);
    raw.remove_prefix(std::min<std::size_t>(raw.size(), size));
    BOOST_TEST(raw.substr(0, 2) == "\r\n");
    raw.remove_prefix(std::min<std::size_t>(raw.size(), 2));
  }
  BOOST_TEST(raw == "x-amz-checksum-crc32c:" + crc32c_base64(crc32c(0, out)) + "\r\n\r\n");
  return out;
}

const header_fields etag{{"ETag", "\"e\""}};

} // namespace

BOOST_AUTO_TEST_SUITE(s3_part_upload_)

BOOST_AUTO_TEST_CASE(bytes_arrive_unchanged_with_and_without_a_checksum) {
  constexpr std::size_t MiB = 1 << 20;
  std::size_t asked = 0;
  const scripted_peer::script takes = [](const received_request&) { return answers(200, "", etag).sends_continue(); };
  scripted_peer peer(takes);
  s3_fixture w(by_path(peer));
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{15}, std::size_t{16}, std::size_t{255},
                                 std::size_t{65536}, MiB - 1, MiB, MiB + 1, 2 * MiB, 5 * MiB + 3}) {
    const auto bytes = some_bytes(size);
    for (const std::size_t piece : {std::size_t{100'000}, MiB, 7 * MiB}) {
      for (const auto* to : {&plain, &checked}) {
        BOOST_TEST_CONTEXT("size " << size << " piece " << piece << (to->has_checksums ? " with a checksum" : "")) {
          const auto part = value_of(w.run(streamed(w.s3, *to, bytes, piece)));
          BOOST_TEST((part.number == 1 && part.etag == "e" && part.size == size));
          BOOST_TEST((part.crc32c == (to->has_checksums ? std::optional(crc32c(0, bytes)) : std::nullopt)));
          const auto request = peer.requests().at(asked++);
          BOOST_TEST(request.line == "PUT /media/a%20b?partNumber=1&uploadId=u HTTP/1.1");
          check_signed(request);
          BOOST_TEST(request.field("content-length") ==
                     std::to_string(to->has_checksums ? aws_chunked_length(size) : size));
          BOOST_TEST(request.field("expect") == "100-continue");
          if (to->has_checksums) {
            BOOST_TEST((unframed(request.body) == bytes));
            BOOST_TEST(request.field("x-amz-content-sha256") == "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
            BOOST_TEST(request.field("content-encoding") == "aws-chunked");
            BOOST_TEST(request.field("x-amz-decoded-content-length") == std::to_string(size));
            BOOST_TEST(request.field("x-amz-trailer") == "x-amz-checksum-crc32c");
          } else {
            BOOST_TEST((request.body == bytes));
            BOOST_TEST(request.field("x-amz-content-sha256") == "UNSIGNED-PAYLOAD");
          }
        }
      }
    }
  }
  BOOST_TEST(peer.accepted() == 1u); // no byte was left over or missing, so the connection was reused
}

BOOST_AUTO_TEST_CASE(more_bytes_than_were_announced_are_a_bug) {
  scripted_peer peer({answers(200).sends_continue()});
  s3_fixture w(by_path(peer));
  const auto too_many = [&]() -> task<> {
    auto begun = co_await w.s3.begin_part(plain, 1, 4);
    const std::span<const char> five("12345", 5);
    auto written = co_await (*begun)->write(five);
    BOOST_TEST((!written && written.error().code == errc::internal));
    BOOST_TEST((*begun)->bytes_left() == 4u);
  };
  w.run(too_many());
}

BOOST_AUTO_TEST_CASE(errors_before_the_body_are_retried) {
  scripted_peer peer({error(503, "SlowDown").reads(0), error(400, "ExpiredToken").reads(0),
                      error(400, "AuthorizationHeaderMalformed", "<Region>ap-south-1</Region>").reads(0),
                      answers(200, "", etag).cut(place::head), answers(200, "", etag).sends_continue()});
  s3_fixture w(by_path(peer), {keys("OLD", "t"), keys("NEW", "t")});
  const auto bytes = some_bytes(100'000);
  value_of(w.run(streamed(w.s3, checked, bytes, 30'000)));
  const auto requests = peer.requests();
  for (std::size_t n = 0; n < 4; ++n) BOOST_TEST(requests[n].body == "");
  BOOST_TEST((unframed(requests[4].body) == bytes));
  check_signed(requests[4], "ap-south-1", keys("NEW", "t"));
}

BOOST_AUTO_TEST_CASE(a_permanent_error_comes_before_the_first_byte) {
  for (const auto& [code, category] :
       {std::pair{"NoSuchUpload", errc::object_absent}, {"AccessDenied", errc::store_failed}}) {
    scripted_peer peer({error(403, code).reads(0)});
    s3_fixture w(by_path(peer));
    const auto begun = w.run(w.s3.begin_part(plain, 1, 1000));
    BOOST_TEST((error_of(begun).category == category));
    BOOST_TEST(error_of(begun).code == code);
  }
}

// The reason is S3's response before it closed, not the broken connection.
BOOST_AUTO_TEST_CASE(an_early_error_response_is_the_reported_reason) {
  const auto bytes = some_bytes(20 << 20);
  for (const auto* to : {&plain, &checked}) {
    BOOST_TEST_CONTEXT((to->has_checksums ? "with a checksum" : "without")) {
      scripted_peer peer({error(403, "QuotaExceeded").sends_continue().reads(1000).closes(100ms), answers(204)});
      s3_fixture w(by_path(peer));
      const auto e = error_of(w.run(streamed(w.s3, *to, bytes, 1 << 20)));
      BOOST_TEST(e.status == 403, to_failure(e).on);
      BOOST_TEST(e.code == "QuotaExceeded");
      value_of(w.run(w.s3.delete_object({"media", "k"})));
      BOOST_TEST(peer.accepted() == 2u);
    }
  }
}

// A connection on which half a body was sent must not carry another request: S3 would read it as the other half.
BOOST_AUTO_TEST_CASE(a_connection_with_half_a_body_is_not_reused) {
  for (const auto* to : {&plain, &checked}) {
    scripted_peer peer({error(403, "QuotaExceeded").sends_continue().reads(10), answers(204)});
    s3_fixture w(by_path(peer));
    const auto half = [&]() -> task<> {
      auto begun = co_await w.s3.begin_part(*to, 1, 1000);
      const std::string some(500, 'x');
      const std::span<const char> span(some);
      auto written = co_await (*begun)->write(span);
      BOOST_TEST(written.has_value());
      auto answer = co_await (*begun)->finish(); // the caller has given up
      BOOST_TEST((!answer && answer.error().code == "QuotaExceeded"));
    };
    w.run(half());
    value_of(w.run(w.s3.delete_object({"media", "k"})));
    const auto requests = peer.requests();
    BOOST_TEST_REQUIRE(requests.size() == 2u);
    BOOST_TEST(requests[1].line == "DELETE /media/k HTTP/1.1");
    BOOST_TEST(peer.accepted() == 2u);
  }
}

BOOST_AUTO_TEST_CASE(a_part_that_breaks_off_is_a_transient_error) {
  const auto bytes = some_bytes(3 << 20);
  for (const auto at : {place::body, place::answer, place::middle}) {
    for (const auto* to : {&plain, &checked}) {
      scripted_peer peer({answers(200, "", etag).sends_continue().cut(at)});
      s3_fixture w(by_path(peer));
      const auto e = error_of(w.run(streamed(w.s3, *to, bytes, 1 << 20)));
      BOOST_TEST((e.status == 0 && e.category == errc::unavailable), to_failure(e).on);
      BOOST_TEST(to_failure(e).on.starts_with("UploadPart media/\"a b\": "));
    }
  }
  scripted_peer odd({answers(200).sends_continue()});
  s3_fixture w(by_path(odd));
  BOOST_TEST(error_of(w.run(streamed(w.s3, plain, bytes, 1 << 20))).message == "the answer has no ETag");
}

BOOST_AUTO_TEST_SUITE_END()
