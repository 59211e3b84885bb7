#include <postern/base/encoding.hpp>
#include <postern/core/claim.hpp>

#include <boost/test/unit_test.hpp>

#include <stdexcept>

using namespace postern;

namespace {

const seconds_clock now = parse_iso8601("2026-11-23T12:00:00Z").value();
const signer ours({secret("the first secret of the tests")});

claim example() {
  return {"01a20a86-41d4-7ac8-8ecb-3931cee2cfd4",
          "default",
          "user/\xc3\xa4",
          "bucket",
          "uploads/\xf0\x9f\x98\x80 \"x\"",
          {0, 5ull << 30},
          "https://app.example.com/a?b=c",
          "https://app.example.com",
          now + std::chrono::hours(1),
          "text/plain; charset=\"utf-8\""};
}

} // namespace

BOOST_AUTO_TEST_CASE(a_signed_claim_round_trips) {
  const auto token = ours.sign_claim(example());
  BOOST_TEST(token.starts_with("eyJ"));
  BOOST_TEST(token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") ==
             token.npos);
  BOOST_TEST((ours.read_claim(token, now).value() == example()));
  auto bare = example();
  bare.profile = bare.user = bare.return_to = bare.origin = bare.content_type = "";
  BOOST_TEST((ours.read_claim(ours.sign_claim(bare), now).value() == bare));
}

BOOST_AUTO_TEST_CASE(every_altered_byte_is_detected) {
  const auto token = ours.sign_claim(example());
  for (std::size_t i = 0; i < token.size(); ++i)
    for (const char c : {'A', 'B', '.', '\0', '='}) {
      auto altered = token;
      if (altered[i] == c) continue;
      altered[i] = c;
      const auto read = ours.read_claim(altered, now);
      BOOST_REQUIRE(read.has_error());
      BOOST_REQUIRE(read.error().code == errc::forbidden);
    }
  for (std::size_t n = 0; n < token.size(); ++n) BOOST_REQUIRE(ours.read_claim(token.substr(0, n), now).has_error());
  BOOST_TEST(ours.read_claim(token + "A", now).has_error());
  BOOST_TEST(ours.read_claim(std::string(100'000, 'a') + "." + std::string(43, 'a'), now).has_error());
}

BOOST_AUTO_TEST_CASE(a_claim_is_rejected_after_it_expires) {
  const auto token = ours.sign_claim(example());
  BOOST_TEST(ours.read_claim(token, now + std::chrono::seconds(3599)).has_value());
  const auto late = ours.read_claim(token, now + std::chrono::seconds(3600));
  BOOST_REQUIRE(late.has_error());
  BOOST_TEST(late.error().on == "the claim has expired");
}

BOOST_AUTO_TEST_CASE(secrets_can_be_rotated) {
  const signer newer({secret("the second secret of the tests"), secret("the first secret of the tests")});
  BOOST_TEST(newer.read_claim(ours.sign_claim(example()), now).has_value());
  BOOST_TEST(newer.verify_policy("abc", ours.sign_policy("abc")));
  BOOST_TEST(ours.read_claim(newer.sign_claim(example()), now).has_error());
  BOOST_TEST(!ours.verify_policy("abc", newer.sign_policy("abc")));
}

BOOST_AUTO_TEST_CASE(a_signature_for_one_use_is_invalid_for_another) {
  const auto token = ours.sign_claim(example());
  const auto payload = token.substr(0, token.find('.'));
  BOOST_TEST(
      ours.sign_policy(payload) !=
      to_hex({reinterpret_cast<const unsigned char*>(from_base64url(token.substr(token.find('.') + 1))->data()), 32}));
  BOOST_TEST(!ours.verify_policy("abc", ours.sign_policy("abd")));
  BOOST_TEST(!ours.verify_policy("abc", ""));
  BOOST_TEST(ours.derive("a").reveal() != ours.derive("b").reveal());
  BOOST_TEST(ours.derive("a").reveal() == ours.derive("a").reveal());
}

BOOST_AUTO_TEST_CASE(an_upload_token_names_one_upload_until_it_expires) {
  const auto id = example().id;
  const auto token = ours.sign_upload_token(id, now + std::chrono::hours(1));
  BOOST_TEST(ours.read_upload_token(token, now).value() == id);
  const auto late = ours.read_upload_token(token, now + std::chrono::hours(1));
  BOOST_TEST((late.error().code == errc::unauthorized && late.error().on.find("has expired") != std::string::npos));
  for (std::size_t i = 0; i < token.size(); ++i) {
    auto altered = token;
    altered[i] = altered[i] == 'A' ? 'B' : 'A';
    BOOST_REQUIRE((ours.read_upload_token(altered, now).error().code == errc::unauthorized));
    BOOST_REQUIRE(!ours.read_upload_token(token.substr(0, i), now));
  }
  const signer other({secret("another secret of the tests")});
  BOOST_TEST(!other.read_upload_token(token, now));
  const signer rotated({secret("another secret of the tests"), secret("the first secret of the tests")});
  BOOST_TEST(rotated.read_upload_token(token, now).value() == id);
}

BOOST_AUTO_TEST_CASE(a_claim_is_no_upload_token_and_the_reverse) {
  BOOST_TEST(!ours.read_upload_token(ours.sign_claim(example()), now));
  BOOST_TEST(!ours.read_claim(ours.sign_upload_token(example().id, now + std::chrono::hours(1)), now));
}

BOOST_AUTO_TEST_CASE(a_signer_rejects_short_secrets) {
  BOOST_CHECK_THROW(signer({}), std::invalid_argument);
  BOOST_CHECK_THROW(signer({secret("short")}), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(a_fingerprint_names_a_secret_and_does_not_tell_it) {
  const secret a("sixteen bytes or more"), b("sixteen bytes or morf");
  const auto both = signer({a, b}).fingerprints();
  BOOST_TEST_REQUIRE(both.size() == 2u);
  for (const auto& one : both) {
    BOOST_TEST(one.size() == 8u);
    BOOST_TEST(one.find_first_not_of("0123456789abcdef") == one.npos);
  }
  BOOST_TEST(both[0] != both[1]);
  BOOST_TEST(signer({b}).fingerprints().front() == both[1]);
  BOOST_TEST(to_hex(hmac_sha256(a.reveal(), "postern fingerprint 1")).starts_with(both[0]));
}
