#include <postern/base/text.hpp>
#include <postern/core/http/jwt.hpp>

#include <boost/test/unit_test.hpp>

#include <support/token_maker.hpp>
#include <utility>

using namespace postern;
using test::header_of;
using test::make_token;
using test::signing_key;

namespace {

const seconds_clock now = parse_iso8601("2026-11-29T12:00:00Z").value();
constexpr std::int64_t now_seconds = 1795953600;

// Keys take long to make, so the tests share them.
const std::vector<signing_key>& pairs() {
  static const std::vector<signing_key> all{signing_key::rsa(), signing_key::ec(), signing_key::ed25519(),
                                            signing_key::shared("a secret of at least 32 bytes, for tests")};
  return all;
}
const signing_key& ec() { return pairs()[1]; }

std::string jwk(const signing_key& key, std::string_view more = {}) {
  return "{" + key.jwk_members() + std::string(more) + "}";
}
std::string set_of(std::string_view keys) { return R"({"keys":[)" + std::string(keys) + "]}"; }

key_set read(std::string_view keys, shared_secrets secrets = shared_secrets::allowed) {
  auto out = read_key_set(set_of(keys), secrets);
  BOOST_TEST_REQUIRE((out ? "" : out.error().on) == "");
  return *std::move(out);
}

std::vector<token_key> all_keys() {
  std::string text;
  for (const auto& pair : pairs())
    text += (text.empty() ? "" : ",") + jwk(pair, R"(,"use":"sig","kid":"key of )" + pair.name() + "\"");
  return read(text).keys;
}

std::string payload(std::string_view more = {}, std::int64_t exp = now_seconds + 600) {
  return R"({"sub":"ann","exp":)" + std::to_string(exp) + std::string(more) + "}";
}

result<token_claims> verify(std::string_view token, const std::vector<token_key>& keys, const token_rules& rules = {}) {
  const auto read = read_token(token);
  if (!read) return read.error();
  return verify_token(*read, keys, rules, now);
}

result<token_claims> verify_payload(std::string_view text, const token_rules& rules = {}) {
  static const auto keys = read(jwk(ec())).keys;
  return verify(make_token(ec(), header_of(ec()), text), keys, rules);
}

std::string error_of(const result<token_claims>& r) { return r ? "no error" : r.error().on; }

// The only reason of a set that has one usable key and this one.
std::string left_out(std::string_view bad_key, shared_secrets secrets = shared_secrets::allowed) {
  const auto both = read(std::string(bad_key) + "," + jwk(ec(), R"(,"kid":"good")"), secrets);
  BOOST_TEST_REQUIRE(both.keys.size() == 1u);
  BOOST_TEST(both.keys[0].kid == "good");
  BOOST_TEST_REQUIRE(both.left_out.size() == 1u);
  return both.left_out[0];
}

} // namespace

BOOST_AUTO_TEST_CASE(a_token_of_each_algorithm_is_verified) {
  const auto keys = all_keys();
  for (const auto& pair : pairs())
    for (const auto& kid : {std::string(), R"(,"kid":"key of )" + pair.name() + "\""})
      BOOST_TEST_CONTEXT(pair.name() + kid) {
        const auto token = make_token(pair, header_of(pair, kid), payload(R"(,"uploads":["avatars"])"));
        const auto claims = verify(token, keys, {.algorithms = {pair.name()}});
        BOOST_TEST_REQUIRE(error_of(claims) == "no error");
        BOOST_TEST(claims->subject == "ann");
        BOOST_TEST((claims->expires_at == now + std::chrono::seconds(600)));
        BOOST_TEST(claims->payload.find("uploads")->if_array()->size() == 1u);
      }
}

// Each position of the text is altered in turn: no altered token is accepted.
BOOST_AUTO_TEST_CASE(every_altered_character_is_detected) {
  const auto keys = all_keys();
  for (const auto& pair : pairs()) {
    const auto token = make_token(pair, header_of(pair), payload());
    for (std::size_t i = 0; i < token.size(); ++i) {
      for (const char c : {'A', '_', '.', '='}) {
        auto altered = token;
        if (std::exchange(altered[i], c) == c) continue;
        BOOST_REQUIRE_MESSAGE(verify(altered, keys).has_error(), pair.name() << " at " << i << ": " << c);
      }
      BOOST_REQUIRE(verify(token.substr(0, i), keys).has_error());
    }
  }
}

BOOST_AUTO_TEST_CASE(types_of_tokens) {
  const auto keys = all_keys();
  for (const std::string typ : {"JWT", "jwt", "at+jwt", "AT+JWT", "application/jwt", "Application/at+JWT"})
    BOOST_TEST(error_of(verify(make_token(ec(), R"({"alg":"ES256","typ":")" + typ + "\"}", payload()), keys)) ==
               "no error");
  BOOST_TEST(error_of(verify(make_token(ec(), R"({"alg":"ES256"})", payload()), keys)) == "no error");
  BOOST_TEST(error_of(verify(make_token(ec(), R"( { "alg" : "ES256" , "x5t" : "a", "other": [1] } )", payload()),
                             keys)) == "no error");
}

BOOST_AUTO_TEST_CASE(expiry_has_exact_edges) {
  const token_rules rules{.leeway = std::chrono::seconds(60)};
  BOOST_TEST(error_of(verify_payload(payload("", now_seconds - 59), rules)) == "no error");
  BOOST_TEST(error_of(verify_payload(payload("", now_seconds - 60), rules)) == "the token has expired");
  const token_rules strict{.leeway = std::chrono::seconds(0)};
  BOOST_TEST(error_of(verify_payload(payload("", now_seconds + 1), strict)) == "no error");
  BOOST_TEST(error_of(verify_payload(payload("", now_seconds), strict)) == "the token has expired");
}

BOOST_AUTO_TEST_CASE(not_before_and_issued_at_have_exact_edges) {
  const token_rules rules{.leeway = std::chrono::seconds(60)}, strict{.leeway = std::chrono::seconds(0)};
  for (const auto& [name, says] : {std::pair<std::string, std::string>{"nbf", "the token is not yet valid (nbf)"},
                                   {"iat", "the token was issued in the future (iat)"}}) {
    const auto at = [&, n = name](std::int64_t seconds) {
      return payload(",\"" + n + "\":" + std::to_string(seconds));
    };
    BOOST_TEST(error_of(verify_payload(at(now_seconds + 60), rules)) == "no error");
    BOOST_TEST(error_of(verify_payload(at(now_seconds + 61), rules)) == says);
    BOOST_TEST(error_of(verify_payload(at(now_seconds), strict)) == "no error");
    BOOST_TEST(error_of(verify_payload(at(now_seconds + 1), strict)) == says);
    BOOST_TEST(error_of(verify_payload(at(0), strict)) == "no error");
  }
}

BOOST_AUTO_TEST_CASE(a_fraction_of_a_second_shortens_the_validity) {
  const token_rules strict{.leeway = std::chrono::seconds(0)};
  const auto exp = [](const std::string& number) { return R"({"sub":"ann","exp":)" + number + "}"; };
  BOOST_TEST(error_of(verify_payload(exp("1795953600.9"), strict)) == "the token has expired");
  BOOST_TEST(error_of(verify_payload(exp("1795953601.0"), strict)) == "no error");
  BOOST_TEST(error_of(verify_payload(exp("1.795953601e9"), strict)) == "no error");
  BOOST_TEST(error_of(verify_payload(payload(R"(,"nbf":1795953600.1)"), strict)) == "the token is not yet valid (nbf)");
  BOOST_TEST(error_of(verify_payload(payload(R"(,"iat":1795953599.5)"), strict)) == "no error");
}

BOOST_AUTO_TEST_CASE(a_far_expiry_is_cut) {
  const auto end = parse_iso8601("9999-12-31T23:59:59Z").value();
  for (const std::string exp : {"253402300799", "253402300800", "9223372036854775807", "9.2e18"}) {
    const auto claims = verify_payload(R"({"sub":"ann","exp":)" + exp + "}");
    BOOST_TEST_REQUIRE(error_of(claims) == "no error");
    BOOST_TEST((claims->expires_at == end));
  }
}

BOOST_AUTO_TEST_CASE(issuer_and_audience_are_checked_when_they_are_set) {
  const token_rules rules{.issuer = "https://id.example.com", .audience = "postern"};
  const std::string iss = R"(,"iss":"https://id.example.com")";
  BOOST_TEST(error_of(verify_payload(payload(iss + R"(,"aud":"postern")"), rules)) == "no error");
  BOOST_TEST(error_of(verify_payload(payload(iss + R"(,"aud":["other","postern"])"), rules)) == "no error");
  BOOST_TEST(error_of(verify_payload(payload(iss + R"(,"aud":"other")"), rules)) ==
             "the token is for another audience (aud)");
  BOOST_TEST(error_of(verify_payload(payload(iss), rules)) == "the token has no aud, and an audience is required");
  BOOST_TEST(error_of(verify_payload(payload(R"(,"iss":"a","aud":"b")"))) == "no error");
}

BOOST_AUTO_TEST_CASE(subjects_that_a_key_may_contain) {
  for (const std::string sub : {"ann", "auth0|5f7c8ec7c33c6c004bbafe82", "ann@example.com", "\xc3\xa4\xf0\x9f\x98\x80",
                                "...", "a..b", ".a", "$", "a{b}", " ", "CN=Ann, O=Example"}) {
    const auto claims = verify_payload(R"({"exp":1795953700,"sub":")" + sub + "\"}");
    BOOST_TEST_REQUIRE(error_of(claims) == "no error");
    BOOST_TEST(claims->subject == sub);
  }
  BOOST_TEST(verify_payload(R"({"exp":1795953700,"sub":")" + std::string(max_key_part, 'a') + "\"}").has_value());
}

BOOST_AUTO_TEST_CASE(an_unknown_kid_differs_from_a_wrong_signature) {
  const auto keys = all_keys();
  const auto token = [](std::string_view more) {
    return read_token(make_token(ec(), header_of(ec(), more), payload())).value();
  };
  BOOST_TEST(has_key_for(token(""), keys));
  BOOST_TEST(has_key_for(token(R"(,"kid":"key of ES256")"), keys));
  BOOST_TEST(!has_key_for(token(R"(,"kid":"new")"), keys));
  BOOST_TEST(!has_key_for(token(R"(,"kid":"KEY OF ES256")"), keys));
  BOOST_TEST(error_of(verify_token(token(R"(,"kid":"new")"), keys, {}, now)) == "no key has the token's kid");
  BOOST_TEST(!has_key_for(token(""), {}));
  BOOST_TEST(error_of(verify_token(token(""), {}, {}, now)) == "no key is for the token's alg ES256");
}

BOOST_AUTO_TEST_CASE(a_key_without_kid_serves_any_kid) {
  const auto other = signing_key::ec();
  const auto keys = read(jwk(other) + "," + jwk(ec()) + "," + jwk(pairs()[0], R"(,"kid":"rsa")")).keys;
  const auto token = make_token(ec(), header_of(ec(), R"(,"kid":"any")"), payload());
  BOOST_TEST(error_of(verify(token, keys)) == "no error");
  BOOST_TEST(error_of(verify(token, {keys[2]})) == "no key has the token's kid");
}

BOOST_AUTO_TEST_CASE(a_token_without_kid_is_tried_with_each_key_of_its_algorithm) {
  const auto other = signing_key::ec(), third = signing_key::ec();
  const auto keys = read(jwk(other, R"(,"kid":"a")") + "," + jwk(ec(), R"(,"kid":"b")")).keys;
  BOOST_TEST(error_of(verify(make_token(ec(), header_of(ec()), payload()), keys)) == "no error");
  BOOST_TEST(error_of(verify(make_token(third, header_of(third), payload()), keys)) ==
             "the token's signature is wrong");
  const auto token = make_token(ec(), header_of(ec(), R"(,"kid":"a")"), payload()); // b's signature, a's name
  BOOST_TEST(error_of(verify(token, keys)) == "the token's signature is wrong");
}

BOOST_AUTO_TEST_CASE(only_the_listed_algorithms_are_allowed) {
  const auto keys = all_keys();
  for (const auto& pair : pairs()) {
    const auto token = make_token(pair, header_of(pair), payload());
    BOOST_TEST(error_of(verify(token, keys, {.algorithms = {"RS256", "ES256", "HS256", "EdDSA"}})) == "no error");
    BOOST_TEST(error_of(verify(token, keys, {.algorithms = {pair.name() == "ES256" ? "RS256" : "ES256"}})) ==
               "the token's alg " + pair.name() + " is not allowed here");
  }
}

// --- key sets ---------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(keys_that_cannot_verify_tokens_are_left_out) {
  const auto& rsa = pairs()[0];
  for (const std::string alg : {"\"ES256\"", "\"HS256\"", "\"RS512\"", "\"PS256\"", "\"none\"", "\"\"", "1", "null"})
    BOOST_TEST(left_out(jwk(rsa, ",\"alg\":" + alg)) ==
               "key 1 is left out: its alg must be RS256 for a key of this kind");
  BOOST_TEST(left_out(jwk(rsa, R"(,"alg":"RS256","\u0061lg":"RS256")")) == "key 1 is left out: it has a member twice");
  BOOST_TEST(left_out(jwk(rsa, R"(,"d":"AQAB")")).find("private key") != std::string::npos);
  BOOST_TEST(left_out(R"({"kty":"EC","crv":"P-521","x":"AA","y":"AA"})").find("\"P-521\"; use P-256") !=
             std::string::npos);
  BOOST_TEST(left_out(R"({"kty":"AKP","alg":"ML-DSA-44"})").find("of the kind \"AKP\"") != std::string::npos);
  for (const std::string kid : {"1", "\"\"", "null", "\"a\\n\"", "\"\\u0000\"", "\"\xc3\xa4\""})
    BOOST_TEST(left_out(jwk(rsa, ",\"kid\":" + kid)).find("its kid is not a text") != std::string::npos);
  BOOST_TEST(left_out(jwk(rsa, R"(,"kid":")" + std::string(257, 'a') + "\"")).find("its kid is not a text") !=
             std::string::npos);
  for (const std::string other : {"null", "1", "\"a\"", "[]", "{}"})
    BOOST_TEST(left_out(other).starts_with("key 1 is left out: "));
}

BOOST_AUTO_TEST_CASE(keys_for_something_else_are_skipped) {
  for (const auto* other : {R"(,"use":"enc")", R"(,"use":["sig"])", R"(,"key_ops":["sign"])", R"(,"key_ops":"verify")",
                            R"(,"key_ops":[1,null])"}) {
    const auto set = read(jwk(pairs()[0], other) + "," + jwk(ec()));
    BOOST_TEST(set.keys.size() == 1u);
    BOOST_TEST(set.left_out.empty());
  }
}

BOOST_AUTO_TEST_CASE(keys_that_say_what_they_are_for_are_used) {
  for (const auto& pair : pairs()) {
    const auto set =
        read(jwk(pair, R"(,"use":"sig","key_ops":["sign","verify"],"kid":"a/../b' OR 1=1","x5t":"AA","alg":")" +
                           pair.name() + "\""));
    BOOST_TEST_REQUIRE(set.keys.size() == 1u);
    BOOST_TEST(set.left_out.empty());
    BOOST_TEST(set.keys[0].kid == "a/../b' OR 1=1");
    BOOST_TEST(set.keys[0].key.name() == pair.name());
  }
}

BOOST_AUTO_TEST_CASE(shared_secrets_are_read_only_where_they_are_allowed) {
  const auto& shared = pairs()[3];
  BOOST_TEST(read(jwk(shared), shared_secrets::allowed).keys.size() == 1u);
  BOOST_TEST(left_out(jwk(shared), shared_secrets::refused) ==
             "key 1 is left out: it is a shared secret (kty oct), which only a key set in a file may have");
}

BOOST_AUTO_TEST_CASE(a_kid_may_name_keys_of_different_algorithms) {
  const auto& rsa = pairs()[0];
  const auto other = signing_key::ec();
  const std::string kid = R"(,"kid":"a")";
  const auto set = read(jwk(ec(), kid) + "," + jwk(rsa, kid) + "," + jwk(other, kid));
  BOOST_TEST(set.keys.size() == 2u);
  BOOST_TEST_REQUIRE(set.left_out.size() == 1u);
  BOOST_TEST(set.left_out[0] == "key 3 is left out: an earlier key has the same kid and alg");
  for (const auto* pair : {&ec(), &rsa})
    BOOST_TEST(error_of(verify(make_token(*pair, header_of(*pair, kid), payload()), set.keys)) == "no error");
  BOOST_TEST(error_of(verify(make_token(other, header_of(other, kid), payload()), set.keys)) ==
             "the token's signature is wrong");
  BOOST_TEST(read(jwk(ec()) + "," + jwk(other)).keys.size() == 2u); // without kid, each may be meant
}

BOOST_AUTO_TEST_CASE(unusable_key_sets_are_refused) {
  const auto error = [](std::string_view text) {
    const auto set = read_key_set(text, shared_secrets::allowed);
    BOOST_REQUIRE(set.has_error());
    BOOST_TEST((set.error().code == errc::invalid_argument));
    return set.error().on;
  };
  const std::string shape = "the key set must be a JSON object with one member \"keys\" that is a list (RFC 7517)";
  for (const std::string text : {"{}", "[]", "null", "1", R"({"keys":{}})", R"({"keys":null})", R"({"KEYS":[]})",
                                 R"({"keys":[],"keys":[]})", R"({"keys":[],"k\u0065ys":[]})"})
    BOOST_TEST(error(text) == shape);
  for (const std::string text :
       {"", "{", "<html>", R"({"keys":[)", "{\"keys\":[\"\xff\"]}", "-----BEGIN PUBLIC KEY-----"})
    BOOST_TEST(error(text).starts_with("the key set cannot be read: JSON: "));
  BOOST_TEST(error(set_of(jwk(ec(), R"(,"use":"enc")"))) == "the key set has no usable key");
  BOOST_TEST(error(set_of("1,2")) == "the key set has no usable key: key 1 is left out: it is no object; "
                                     "key 2 is left out: it is no object");
  BOOST_TEST(error(set_of("1,2,3,4,5,6,7")).ends_with("; and 2 more"));
  BOOST_TEST(error(std::string(max_key_set + 1, ' ')) == "the key set has 262145 bytes; the maximum is 262144");
}

BOOST_AUTO_TEST_CASE(an_empty_key_set_withdraws_all_keys) {
  const auto set = read("");
  BOOST_TEST(set.keys.empty());
  BOOST_TEST(set.left_out.empty());
}

BOOST_AUTO_TEST_CASE(a_key_set_has_at_most_100_keys) {
  std::string keys = jwk(ec());
  for (std::size_t i = 1; i < max_token_keys; ++i) keys += ",{}";
  BOOST_TEST(read(keys).left_out.size() == 99u);
  const auto many = read_key_set(set_of(keys + ",{}"), shared_secrets::allowed);
  BOOST_REQUIRE(many.has_error());
  BOOST_TEST(many.error().on == "the key set has 101 keys; the maximum is 100");
}
