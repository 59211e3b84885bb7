// The table of hostile tokens: keys, a right token to start from, and the check that each row is refused. Where a row
// is about one fault, the rest of the token is right, and it is signed with the right key.
#pragma once

#include <postern/core/http/jwt.hpp>

#include <boost/test/unit_test.hpp>
#include <openssl/err.h>

#include <array>
#include <string>
#include <string_view>
#include <support/token_maker.hpp>
#include <utility>
#include <vector>

namespace postern::test {

inline const seconds_clock now = parse_iso8601("2026-11-29T12:00:00Z").value();
inline const token_rules rules{
    .issuer = "https://id.example.com", .audience = "postern", .leeway = std::chrono::seconds(60)};

inline const signing_key rsa = signing_key::rsa(), ec = signing_key::ec(), ed = signing_key::ed25519(),
                         shared = signing_key::shared("a secret of at least 32 bytes, for tests"),
                         stranger = signing_key::ec();

inline std::vector<token_key> make_keys() {
  std::string text;
  for (const auto* key : {&rsa, &ec, &ed, &shared})
    text += (text.empty() ? "{" : ",{") + key->jwk_members() + R"(,"kid":"kid-)" + key->name() + "\"}";
  return read_key_set(R"({"keys":[)" + text + "]}", shared_secrets::allowed).value().keys;
}

inline const std::vector<token_key>& keys() {
  static const auto all = make_keys();
  return all;
}

// A payload in which nothing is wrong, except that the claim `name` is `value`, or is absent when that is empty.
inline std::string claims(std::string_view name = {}, std::string_view value = {}) {
  std::string out;
  bool is_known = false;
  const auto add = [&](std::string_view n, std::string_view v) {
    if (!v.empty()) out += (out.empty() ? "{\"" : ",\"") + std::string(n) + "\":" + std::string(v);
  };
  for (const auto& [n, v] : std::array<std::pair<std::string_view, std::string_view>, 6>{{
           {"iss", "\"https://id.example.com\""},
           {"aud", "\"postern\""},
           {"sub", "\"ann-1f7c\""},
           {"exp", "1795954200"}, // ten minutes from now
           {"nbf", "1795953600"},
           {"iat", "1795953600"},
       }}) {
    add(n, n == name ? value : v);
    is_known = is_known || n == name;
  }
  if (!is_known) add(name, value);
  return out + "}";
}

inline std::string with_claim(std::string_view name, std::string_view value = {}) {
  return make_token(ec, header_of(ec), claims(name, value));
}
inline std::string with_payload(std::string_view payload) { return make_token(ec, header_of(ec), payload); }
inline std::string with_header(std::string_view header) { return make_token(ec, header, claims()); }
// A right header with further members: ,"jku":"…"
inline std::string with_member(std::string_view more) { return with_header(header_of(ec, more)); }
// A header that names that alg, and a signature of that key.
inline std::string with_alg(std::string_view alg, const signing_key& key, std::string_view more = {}) {
  return make_token(key, R"({"alg":")" + std::string(alg) + "\"" + std::string(more) + "}", claims());
}

// The parts of a right token, for taking it apart.
struct parts {
  std::string header, payload, signature;
  explicit parts(const signing_key& key) : parts(make_token(key, header_of(key), claims())) {}
  explicit parts(const std::string& token) {
    const auto first = token.find('.'), second = token.rfind('.');
    header = token.substr(0, first);
    payload = token.substr(first + 1, second - first - 1);
    signature = token.substr(second + 1);
  }
  std::string text() const { return header + "." + payload; }
  std::string token() const { return text() + "." + signature; }
  std::string signature_bytes() const { return from_base64url(signature).value(); }
  std::string signed_with(std::string_view bytes) const { return text() + "." + to_base64url(bytes); }
};

struct row {
  std::string name, token, says;
};

// No row is accepted, none changes OpenSSL's queue of errors, and no text repeats a part of the token.
inline void check(const std::vector<row>& rows) {
  for (const auto& one : rows) BOOST_TEST_CONTEXT(one.name) {
      const auto token = read_token(one.token);
      const auto verified = token ? verify_token(*token, keys(), rules, now) : token.error();
      BOOST_TEST_REQUIRE(verified.has_error());
      BOOST_TEST((verified.error().code == errc::unauthorized));
      const auto& text = verified.error().on;
      BOOST_TEST(text.find(one.says) != text.npos, text << " lacks: " << one.says);
      BOOST_TEST(text.find("ann-1f7c") == text.npos);
      for (std::size_t at = 0; at + 8 <= one.token.size(); at += 4)
        BOOST_TEST(text.find(one.token.substr(at, 8)) == text.npos);
      BOOST_TEST(ERR_peek_error() == 0ul);
    }
  BOOST_TEST_MESSAGE(rows.size() << " hostile tokens");
}

} // namespace postern::test
