#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/io/s3/s3_request.hpp>
#include <postern/io/s3/s3_store.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <numeric>

using namespace postern;

namespace {

constexpr std::uint64_t KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30, TiB = 1ull << 40;

errc code_of(const result<std::vector<sigv4::name_value>>& r) {
  BOOST_TEST_REQUIRE(!r.has_value());
  return r.error().code;
}

} // namespace

BOOST_AUTO_TEST_CASE(metadata_becomes_header_fields) {
  object_meta m;
  m.headers = {{"content-type", "text/plain; charset=\"utf-8\""},
               {"content-disposition", "attachment; filename=\"a b.txt\""},
               {"acl", "public-read"},
               {"x-amz-storage-class", "STANDARD_IA"},
               {"tagging", "<?xml version=\"1.0\"?><Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2=3</Value></Tag>"
                           "<Tag><Value>ü</Value><Key>k</Key></Tag></TagSet></Tagging>"}};
  m.user = {{"postern-id", "1"}, {"Title", "Grüße 🙂"}, {"a.b_c", ""}};
  const std::vector<sigv4::name_value> expected{
      {"content-type", "text/plain; charset=\"utf-8\""},
      {"content-disposition", "attachment; filename=\"a b.txt\""},
      {"x-amz-acl", "public-read"},
      {"x-amz-storage-class", "STANDARD_IA"},
      {"x-amz-tagging", "a%20b=1%262%3D3&k=%C3%BC"},
      {"x-amz-meta-postern-id", "1"},
      {"x-amz-meta-Title", "=?UTF-8?B?R3LDvMOfZSDwn5mC?="},
      {"x-amz-meta-a.b_c", ""},
  };
  const auto made = object_headers(m).value();
  BOOST_TEST_REQUIRE(made.size() == expected.size());
  for (std::size_t n = 0; n < made.size(); ++n) {
    BOOST_TEST(made[n].first == expected[n].first);
    BOOST_TEST(made[n].second == expected[n].second);
  }
  BOOST_TEST(object_headers({}).value().empty());
}

BOOST_AUTO_TEST_CASE(metadata_that_no_header_can_hold_is_rejected) {
  for (const std::string bad : {"a\r\nX-Forged: 1", "a\nb", "a\x01", "\x7f", "tab\there"}) {
    object_meta header, user;
    header.headers = {{"content-type", bad}};
    user.user = {{"title", bad}};
    BOOST_TEST((code_of(object_headers(header)) == errc::invalid_argument), quote(bad));
    BOOST_TEST((code_of(object_headers(user)) == errc::invalid_argument), quote(bad));
  }
  object_meta zero;
  zero.user = {{"title", std::string("a\0b", 3)}};
  BOOST_TEST((code_of(object_headers(zero)) == errc::invalid_argument));
  for (const std::string bad : {"", "a b", "a:b", "a\r\nb", "ü", "a/b", "a\"b"}) {
    object_meta m;
    m.user = {{bad, "x"}};
    BOOST_TEST((code_of(object_headers(m)) == errc::invalid_argument), quote(bad));
  }
  for (const std::string bad : {"", "a=b", "<Tagging/>", "<Tagging><TagSet>", "<TagSet/>", "<X><TagSet/></X>"}) {
    object_meta m;
    m.headers = {{"tagging", bad}};
    BOOST_TEST((code_of(object_headers(m)) == errc::invalid_argument), quote(bad));
  }
  object_meta none;
  none.headers = {{"tagging", "<Tagging><TagSet/></Tagging>"}};
  BOOST_TEST(object_headers(none).value().at(0).second == "");
}

BOOST_AUTO_TEST_CASE(encoded_metadata_round_trips) {
  for (const std::string text : {"", "plain", "Grüße 🙂", "=?UTF-8?B?", "?=", "=?", "100 %"}) {
    object_meta m;
    m.user = {{"t", text}};
    BOOST_TEST(decode_metadata(object_headers(m).value().at(0).second) == text);
  }
  BOOST_TEST(decode_metadata("=?utf-8?b?w7w=?=") == "ü");
  for (const auto* odd : {"=?UTF-8?B??", "=?UTF-8?B?!?=", "=?UTF-8?Q?=C3=BC?=", "=?ISO-8859-1?B?/A==?=", "=?UTF-8?B?="})
    BOOST_TEST(decode_metadata(odd) == odd); // another program may have written the value
}

BOOST_AUTO_TEST_CASE(checksums_and_queries_are_written_and_parsed) {
  BOOST_TEST((parse_crc32c("4waSgw==") == 0xe3069283u)); // of "123456789", RFC 3720 §B.4
  BOOST_TEST((parse_crc32c(crc32c_base64(0xfffffffe)) == 0xfffffffeu));
  for (const auto* none : {"", "AAAA", "AAAAAAA=", "4waSgw==-3", "!"})
    BOOST_TEST(!parse_crc32c(none).has_value(), none);
  BOOST_TEST(to_query_string({}) == "");
  BOOST_TEST(to_query_string({{"uploads", ""}}) == "?uploads=");
  BOOST_TEST(to_query_string({{"a b", "c&d=e"}, {"f", "~/🙂"}}) == "?a%20b=c%26d%3De&f=~%2F%F0%9F%99%82");
}

BOOST_AUTO_TEST_CASE(aws_chunked_framing_has_the_announced_length) {
  BOOST_TEST(aws_chunk_head(0) == "0\r\n");
  BOOST_TEST(aws_chunk_head(MiB) == "100000\r\n");
  BOOST_TEST(aws_chunked_end(0xe3069283) == "0\r\nx-amz-checksum-crc32c:4waSgw==\r\n\r\n");
  // s3_part_upload_test compares the length with real bytes. This test goes up to S3's largest part.
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, MiB - 1, MiB, MiB + 1, 64 * MiB, 5 * GiB}) {
    std::uint64_t length = 0;
    for (auto left = size; left > 0;) {
      const auto chunk = std::min(left, MiB);
      length += aws_chunk_head(chunk).size() + chunk + 2;
      left -= chunk;
    }
    BOOST_TEST(aws_chunked_length(size) == length + aws_chunked_end(0).size(), size);
  }
}

// --- parts ------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(parts_are_planned_within_the_limits_of_s3) {
  std::vector<std::uint64_t> sizes{0, 1, 5 * MiB, 5 * MiB + 64 * KiB - 1, 5 * MiB + 64 * KiB, 5 * MiB + 64 * KiB + 1};
  for (std::uint64_t n = 6 * MiB; n < 5 * TiB; n = n * 17 / 13)
    for (const auto odd : {n - 1, n, n + 1}) sizes.push_back(odd);
  for (const std::uint64_t part : {64 * MiB, 128 * MiB, 9999 * (64 * MiB), 10'000 * (64 * MiB)})
    for (const auto near : {part, part + 64 * KiB - 1, part + 64 * KiB, part + 64 * KiB + 1}) sizes.push_back(near);
  sizes.push_back(5 * TiB);
  std::uint64_t streamed = 0;
  for (const auto size : sizes) {
    BOOST_TEST_CONTEXT("size " << size) {
      const auto parts = plan_parts(size);
      if (size < 5 * MiB + 64 * KiB) {
        BOOST_TEST(parts.empty()); // one PutObject
        continue;
      }
      ++streamed;
      BOOST_TEST_REQUIRE(!parts.empty());
      BOOST_TEST(parts.size() + 1 <= 10'000u); // the tail is a part too
      BOOST_TEST(std::accumulate(parts.begin(), parts.end(), std::uint64_t{0}) == size - 64 * KiB);
      const auto [least, max] = std::minmax_element(parts.begin(), parts.end());
      BOOST_TEST(*least >= 5 * MiB);
      BOOST_TEST(*max <= 5 * GiB);
      BOOST_TEST(*max - *least < 10'000u); // the lengths are nearly equal
    }
  }
  BOOST_TEST(streamed > 100u);
}

BOOST_AUTO_TEST_CASE(the_parts_of_an_exact_size_have_no_tail) {
  std::vector<std::uint64_t> sizes{0, 1, 5 * MiB + 64 * KiB, 64 * MiB - 1, 64 * MiB, 64 * MiB + 1, 10'000 * (64 * MiB)};
  for (std::uint64_t n = 65 * MiB; n < 5 * TiB; n = n * 17 / 13)
    for (const auto odd : {n - 1, n, n + 1}) sizes.push_back(odd);
  sizes.push_back(5 * TiB);
  for (const auto size : sizes) {
    BOOST_TEST_CONTEXT("size " << size) {
      const auto parts = plan_parts({size, true});
      BOOST_TEST(parts.empty() == (size <= 64 * MiB)); // one PutObject
      if (parts.empty()) continue;
      BOOST_TEST(parts.size() <= 10'000u);
      BOOST_TEST(std::accumulate(parts.begin(), parts.end(), std::uint64_t{0}) == size);
      const auto [least, max] = std::minmax_element(parts.begin(), parts.end());
      BOOST_TEST(*least >= 5 * MiB);
      BOOST_TEST(*max <= 5 * GiB);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_etag_of_a_multipart_object_is_computed) {
  const auto part = [](std::string_view bytes) {
    s3_part p;
    const auto sum = md5(bytes);
    p.etag = to_hex(sum);
    return p;
  };
  // md5 of the two raw MD5s of "a" and "b", and their number.
  BOOST_TEST(multipart_etag({part("a"), part("b")}) == "96e024ba2074fe77e8e965ba43a704be-2");
  BOOST_TEST(multipart_etag({part("a")}).ends_with("-1"));
  BOOST_TEST(multipart_etag({part("b"), part("a")}) != multipart_etag({part("a"), part("b")}));
  BOOST_TEST(multipart_etag(std::vector<s3_part>(10'000, part("x"))).ends_with("-10000"));
  auto other = part("a");
  for (const auto* no_md5 : {"", "abc", "0cc175b9c0f1b6a831c399e26977266", "0cc175b9c0f1b6a831c399e2697726610",
                             "zcc175b9c0f1b6a831c399e269772661"}) {
    other.etag = no_md5;
    BOOST_TEST(multipart_etag({part("a"), other}) == "", no_md5);
  }
}
