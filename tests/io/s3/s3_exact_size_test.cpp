// Objects of exact size against a scripted S3: what is sent, when, and what is left when it fails.
#include "support/s3_world.hpp"
#include "support/store_contract.hpp"
#include "support/test_share.hpp"
#include <postern/io/s3/s3_store.hpp>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;
using place = step::place;

namespace {

constexpr std::size_t MiB = 1 << 20, KiB = 1 << 10;
const object_name name{"media", "k"};
const header_fields etag{{"ETag", "\"e\""}};

step created(bool has_checksums) {
  header_fields fields;
  if (has_checksums) fields.emplace_back("x-amz-checksum-type", "FULL_OBJECT");
  return xml(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>", fields);
}
step stored() { return answers(200, "", etag).sends_continue(); }
step completed() {
  return xml(200, "<CompleteMultipartUploadResult><ETag>\"e-1\"</ETag></CompleteMultipartUploadResult>");
}

struct fixture : s3_fixture {
  explicit fixture(const scripted_peer& peer, s3_options o) : s3_fixture(std::move(o)), at(peer) {}
  explicit fixture(const scripted_peer& peer) : fixture(peer, by_path(peer)) {}
  const scripted_peer& at;
  std::unique_ptr<store> objects = make_s3_store(s3);
  resources shared{{}};
  allowance share{shared, loop.get_executor(), {}};

  // Lets the store tell whether it takes checksums behind the bytes.
  void ask() { value_of(run(s3.create_multipart(name, {}))); }
  std::unique_ptr<sink> open(std::size_t size, object_meta meta = some_meta()) {
    return run(objects->open(name, std::move(meta), expected_size(size, true), &share)).value();
  }
  result<void> write(sink& to, std::string_view bytes, std::size_t piece = 100 * KiB) {
    for (std::size_t n = 0; n < bytes.size(); n += piece) {
      const auto part = bytes.substr(n, piece);
      auto written = run(to.write({part.data(), part.size()}));
      if (!written) return written;
    }
    return {};
  }
  std::size_t count(std::string_view line) const {
    const auto all = at.requests();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const auto& r) { return r.line.starts_with(line); }));
  }
  received_request last() const { return at.requests().back(); }
  // Until the peer has seen the end of the client's last request.
  void settle() {
    for (int n = 0; n < 500 && at.open() > 0; ++n) run(pause(10ms));
  }
  task<> pause(std::chrono::milliseconds d) {
    timer t(co_await asio::this_coro::executor, d);
    co_await t.async_wait(use_task);
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(s3_exact_size)

BOOST_AUTO_TEST_CASE(an_object_is_one_streamed_put_of_its_exact_length) {
  for (const bool has_checksums : {false, true}) {
    for (const std::size_t size : {500 * KiB, 4 * MiB, 5 * MiB + 64 * KiB, 50 * MiB, 64 * MiB}) {
      BOOST_TEST_CONTEXT(size << (has_checksums ? " with" : " without") << " a checksum") {
        scripted_peer peer({created(has_checksums), stored()});
        fixture f(peer);
        f.ask();
        const auto bytes = some_bytes(size);
        auto to = f.open(size);
        BOOST_TEST(f.write(*to, bytes).has_value());
        BOOST_TEST(f.shared.memory_taken() == 0u); // nothing is held but the last byte
        BOOST_TEST(f.shared.store_requests() == 1u);
        const auto object = f.run(to->finish()).value();
        BOOST_TEST(object.size == size);
        BOOST_TEST((object.crc32c == crc32c(0, bytes)));
        BOOST_TEST(object.etag == "e");
        BOOST_TEST(f.shared.store_requests() == 0u);
        const auto put = f.last();
        check_signed(put);
        BOOST_TEST(put.line == "PUT /media/k HTTP/1.1");
        BOOST_TEST(put.field("expect") == "100-continue");
        BOOST_TEST(put.field("content-type") == "image/jpeg");
        BOOST_TEST(put.field("x-amz-meta-title") == "a title");
        BOOST_TEST(put.field("content-length") == std::to_string(has_checksums ? aws_chunked_length(size) : size));
        BOOST_TEST(put.field("x-amz-trailer") == (has_checksums ? "x-amz-checksum-crc32c" : ""));
        if (has_checksums)
          BOOST_TEST(put.body.ends_with("x-amz-checksum-crc32c:" + crc32c_base64(crc32c(0, bytes)) + "\r\n\r\n"));
        else
          BOOST_TEST((put.body == bytes));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(an_object_of_256_kib_is_collected_and_can_be_sent_again) {
  scripted_peer peer({created(true), error(500, "InternalError"), answers(200, "", etag)});
  fixture f(peer);
  f.ask();
  auto to = f.open(256 * KiB);
  BOOST_TEST(f.write(*to, some_bytes(256 * KiB)).has_value());
  BOOST_TEST(f.shared.memory_taken() == 256 * KiB);
  BOOST_TEST(f.shared.store_requests() == 0u);
  BOOST_TEST(f.run(to->finish()).has_value());
  BOOST_TEST(f.last().has("x-amz-checksum-crc32c"));
}

// Streaming would gain nothing.
BOOST_AUTO_TEST_CASE(an_object_that_has_arrived_is_not_streamed) {
  scripted_peer peer({created(false), answers(200, "", etag)});
  fixture f(peer);
  f.ask();
  auto to = f.open(MiB);
  BOOST_TEST(f.write(*to, some_bytes(MiB), MiB).has_value());
  BOOST_TEST(f.count("PUT") == 0u);
  BOOST_TEST(f.run(to->finish()).has_value());
}

// The bytes of a slow client would occupy a request to the store for long.
BOOST_AUTO_TEST_CASE(a_small_object_of_a_slow_client_is_collected) {
  scripted_peer peer({created(false), answers(200, "", etag)});
  fixture f(peer);
  f.ask();
  const auto bytes = some_bytes(5 * MiB);
  auto to = f.open(bytes.size());
  BOOST_TEST(f.write(*to, std::string_view(bytes).substr(0, 200 * KiB)).has_value());
  f.run(f.pause(1200ms)); // 300 KiB in this time: 20 s for all of it
  BOOST_TEST(f.write(*to, std::string_view(bytes).substr(200 * KiB, 100 * KiB)).has_value());
  BOOST_TEST(f.shared.store_requests() == 0u);
  BOOST_TEST(f.count("PUT") == 0u);
  // It has become faster, and is streamed from now on.
  BOOST_TEST(f.write(*to, std::string_view(bytes).substr(300 * KiB)).has_value());
  BOOST_TEST(f.shared.store_requests() == 1u);
  BOOST_TEST(f.run(to->finish()).has_value());
  BOOST_TEST((f.last().body == bytes));
  BOOST_TEST(f.last().has("expect"));
}

BOOST_AUTO_TEST_CASE(a_larger_object_of_a_slow_client_is_streamed) {
  scripted_peer peer({created(false), stored()});
  fixture f(peer);
  f.ask();
  const auto bytes = some_bytes(6 * MiB);
  auto to = f.open(bytes.size());
  BOOST_TEST(f.write(*to, std::string_view(bytes).substr(0, 200 * KiB)).has_value());
  f.run(f.pause(1200ms));
  BOOST_TEST(f.write(*to, std::string_view(bytes).substr(200 * KiB, 100 * KiB)).has_value());
  BOOST_TEST(f.shared.store_requests() == 1u);
  BOOST_TEST(f.write(*to, std::string_view(bytes).substr(300 * KiB)).has_value());
  BOOST_TEST(f.run(to->finish()).has_value());
  BOOST_TEST((f.last().body == bytes));
}

// Until the store has said whether it takes checksums behind the bytes.
BOOST_AUTO_TEST_CASE(the_first_object_is_a_multipart_upload_of_one_part) {
  for (const bool has_checksums : {false, true}) {
    scripted_peer peer({created(has_checksums).wants("POST /media/k?uploads"),
                        stored().wants("PUT /media/k?partNumber=1&uploadId=u"),
                        completed().wants("POST /media/k?uploadId=u"), stored().wants("PUT /media/k HTTP")});
    fixture f(peer);
    const auto bytes = some_bytes(MiB);
    for (int n = 0; n < 2; ++n) {
      auto to = f.open(bytes.size());
      BOOST_TEST(f.write(*to, bytes).has_value());
      const auto object = f.run(to->finish()).value();
      BOOST_TEST(object.etag == (n == 0 ? "e-1" : "e"));
      BOOST_TEST((object.crc32c == crc32c(0, bytes)));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_parts_of_a_larger_object_are_all_streamed) {
  const auto bytes = some_bytes(130 * MiB);
  scripted_peer peer({created(false), stored(), stored(), completed()});
  fixture f(peer);
  auto to = f.open(bytes.size());
  std::uint64_t most = 0;
  for (std::size_t n = 0; n < bytes.size(); n += MiB) {
    BOOST_TEST(f.write(*to, std::string_view(bytes).substr(n, MiB), MiB).has_value());
    most = std::max(most, f.shared.memory_taken());
  }
  BOOST_TEST(most == 0u);
  BOOST_TEST(f.run(to->finish()).value().size == bytes.size());
  const auto requests = peer.requests();
  BOOST_TEST((requests[1].body + requests[2].body == bytes));
}

// The store never has the whole of an object that is abandoned, whatever number of its bytes was written.
BOOST_AUTO_TEST_CASE(an_abandoned_object_lacks_its_last_byte) {
  const auto bytes = some_bytes(MiB);
  for (const bool has_checksums : {false, true})
    for (const std::size_t written : {300 * KiB, MiB - 1, MiB}) {
      scripted_peer peer({created(has_checksums), stored()});
      {
        fixture f(peer);
        f.ask();
        auto to = f.open(bytes.size());
        BOOST_TEST(f.write(*to, std::string_view(bytes).substr(0, written)).has_value());
        if (written == MiB) BOOST_TEST((f.write(*to, "x").error().code == errc::internal)); // one too many
        f.run(to->abandon());
        BOOST_TEST(f.shared.memory_taken() == 0u);
        BOOST_TEST(f.shared.store_requests() == 0u);
        http_client::stop(f.loop);
        f.settle();
      }
      const auto put = peer.requests().back();
      BOOST_TEST(put.line == "PUT /media/k HTTP/1.1");
      BOOST_TEST(put.body.size() >= 256 * KiB);
      BOOST_TEST(put.body.size() < std::stoull(std::string(put.field("content-length"))));
    }
}

BOOST_AUTO_TEST_CASE(an_object_that_is_too_short_is_not_finished) {
  scripted_peer peer({created(false), stored()});
  fixture f(peer);
  f.ask();
  auto to = f.open(MiB);
  BOOST_TEST(f.write(*to, some_bytes(MiB - 1)).has_value());
  BOOST_TEST(!f.run(to->finish()).has_value());
  f.run(to->abandon());
}

BOOST_AUTO_TEST_CASE(errors_before_the_first_byte_are_retried) {
  scripted_peer peer({created(false), error(503, "SlowDown").reads(0), error(500, "InternalError").reads(0), stored()});
  fixture f(peer);
  f.ask();
  const auto bytes = some_bytes(MiB);
  auto to = f.open(bytes.size());
  BOOST_TEST(f.write(*to, bytes).has_value());
  BOOST_TEST(f.run(to->finish()).has_value());
  BOOST_TEST((f.last().body == bytes));
}

// The bytes are gone, so the client has to send them again.
BOOST_AUTO_TEST_CASE(errors_after_the_first_byte_are_told_to_the_client) {
  const auto bytes = some_bytes(3 * MiB);
  for (auto answer : {error(503, "SlowDown").sends_continue(), error(500, "InternalError").sends_continue(),
                      stored().cut(place::body), stored().cut(place::answer), stored().cut(place::middle)}) {
    scripted_peer peer({created(false), std::move(answer)});
    fixture f(peer);
    f.ask();
    auto to = f.open(bytes.size());
    auto done = f.write(*to, bytes);
    if (done) {
      const auto finished = f.run(to->finish());
      done = finished ? result<void>{} : finished.error();
    }
    BOOST_TEST_REQUIRE(!done.has_value());
    BOOST_TEST((done.error().code == errc::unavailable), describe(done.error()));
    f.run(to->abandon());
    BOOST_TEST(f.shared.store_requests() == 0u);
  }
}

BOOST_AUTO_TEST_CASE(a_refusal_within_the_bytes_is_the_reported_reason) {
  scripted_peer peer({created(false), error(403, "QuotaExceeded").sends_continue().reads(1000).closes(100ms)});
  fixture f(peer);
  f.ask();
  auto to = f.open(60 * MiB);
  const auto written = f.write(*to, some_bytes(60 * MiB));
  BOOST_TEST_REQUIRE(!written.has_value());
  BOOST_TEST(written.error().on.find("QuotaExceeded") != std::string::npos, written.error().on);
  f.run(to->abandon());
}

BOOST_AUTO_TEST_CASE(a_damaged_object_is_removed) {
  const auto damaged = answers(200, "", {{"ETag", "\"e\""}, {"x-amz-checksum-crc32c", "AAAAAA=="}}).sends_continue();
  scripted_peer peer({created(true), damaged, answers(204).wants("DELETE /media/k HTTP")});
  fixture f(peer);
  f.ask();
  auto to = f.open(MiB);
  BOOST_TEST(f.write(*to, some_bytes(MiB)).has_value());
  const auto finished = f.run(to->finish());
  BOOST_TEST((!finished && finished.error().code == errc::bad_digest));
}

BOOST_AUTO_TEST_CASE(the_objects_own_content_encoding_is_kept) {
  for (const bool has_checksums : {false, true}) {
    scripted_peer peer({created(has_checksums), stored()});
    fixture f(peer);
    f.ask();
    object_meta meta;
    meta.headers = {{"content-encoding", "gzip"}};
    auto to = f.open(MiB, meta);
    BOOST_TEST(f.write(*to, some_bytes(MiB)).has_value());
    BOOST_TEST(f.run(to->finish()).has_value());
    check_signed(f.last());
    BOOST_TEST(f.last().field("content-encoding") == (has_checksums ? "aws-chunked,gzip" : "gzip"));
  }
}

BOOST_AUTO_TEST_CASE(without_a_free_request_the_client_is_told_so) {
  scripted_peer peer({created(false)});
  fixture f(peer);
  f.ask();
  resources one({.store_requests = 1, .max_wait = 300ms});
  allowance other(one, f.loop.get_executor(), {}), own(one, f.loop.get_executor(), {});
  BOOST_TEST(f.run(other.take_store_request()).has_value());
  auto to = f.run(f.objects->open(name, {}, expected_size(MiB, true), &own)).value();
  const auto written = f.write(*to, some_bytes(MiB));
  BOOST_TEST((!written && written.error().code == errc::unavailable));
  f.run(to->abandon());
  BOOST_TEST(one.memory_taken() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
