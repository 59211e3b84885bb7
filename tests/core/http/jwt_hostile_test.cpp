// Hostile tokens, and the sentence that refuses each of them: signatures, headers and syntax.
#include <support/hostile_tokens.hpp>

using namespace postern;
using namespace postern::test;

namespace {

// The same Ed25519 signature with the order of the group added to its second half.
std::string with_order_added(std::string signature) {
  const auto order = from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").value();
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    const auto sum = static_cast<unsigned char>(signature[32 + i]) + static_cast<unsigned char>(order[i]) + carry;
    signature[32 + i] = static_cast<char>(sum & 0xff);
    carry = sum >> 8;
  }
  return signature;
}

std::string with_trailing_bits(std::string part) { // changes bits that a lenient decoder ignores
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  part.back() = alphabet[alphabet.find(part.back()) + 1];
  return part;
}

std::string flipped(std::string part) {
  part[part.size() / 2] = part[part.size() / 2] == 'A' ? 'B' : 'A';
  return part;
}

std::string nested(std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

} // namespace

// Otherwise a row might be refused for a fault of the table.
BOOST_AUTO_TEST_CASE(the_tokens_are_right_but_for_their_faults) {
  for (const auto* key : {&rsa, &ec, &ed, &shared}) {
    const auto token = read_token(parts(*key).token());
    BOOST_TEST_REQUIRE(token.has_value());
    BOOST_TEST(verify_token(*token, keys(), rules, now).has_value());
  }
  for (const auto& token : {with_member(R"(,"kid":"kid-ES256")"), with_alg("ES256", ec), with_claim("other", "[1]"),
                            with_payload(claims()), with_claim("nbf"), with_claim("iat")})
    BOOST_TEST(verify_token(read_token(token).value(), keys(), rules, now).has_value());
}

BOOST_AUTO_TEST_CASE(unsigned_tokens) {
  const auto bare = [](std::string_view alg) {
    return to_base64url(R"({"alg":")" + std::string(alg) + "\"}") + "." + to_base64url(claims()) + ".";
  };
  const std::string says = "the token is not signed (its alg is none)";
  check({
      {"none", bare("none"), says},
      {"None", bare("None"), says},
      {"NONE", bare("NONE"), says},
      {"nOnE", bare("nOnE"), says},
      {"none in escapes", bare("\\u006eone"), says},
      {"none with a signature", with_alg("none", ec), says},
      {"none with a signature of one byte", bare("none") + "AA", says},
      {"none and a blank", bare("none "), "alg is not one of HS256"},
      {"none and NUL", bare("none\\u0000"), "alg is not one of HS256"},
      {"an empty alg", bare(""), "alg is not one of HS256"},
      {"ES256 without a signature", parts(ec).text() + ".", "the token's signature is empty"},
      {"HS256 without a signature", parts(shared).text() + ".", "the token's signature is empty"},
      {"RS256 without a signature", parts(rsa).text() + ".", "the token's signature is empty"},
  });
}

// CVE-2015-9235 and its relatives: what is public serves as a secret, or the token chooses the algorithm.
BOOST_AUTO_TEST_CASE(confused_algorithms) {
  const auto hs256 = [](const std::string& secret, std::string_view kid) {
    return with_alg("HS256", signing_key::shared(secret), R"(,"kid":"kid-)" + std::string(kid) + "\"");
  };
  const std::string not_its_alg = "the token's alg is not that of the key with its kid";
  const std::string wrong = "the token's signature is wrong";
  auto without_line_end = rsa.public_pem();
  without_line_end.pop_back();
  check({
      {"HS256 with the RSA key's PEM as its secret", hs256(rsa.public_pem(), "RS256"), not_its_alg},
      {"HS256 with that PEM, no line end", hs256(without_line_end, "RS256"), not_its_alg},
      {"HS256 with the RSA key's DER", hs256(rsa.public_der(), "RS256"), not_its_alg},
      {"HS256 with the RSA key in PKCS #1", hs256(rsa.old_rsa_pem(), "RS256"), not_its_alg},
      {"HS256 with the certificate", hs256(rsa.certificate_pem(), "RS256"), not_its_alg},
      {"HS256 with the JWK", hs256("{" + rsa.jwk_members() + "}", "RS256"), not_its_alg},
      {"HS256 with the EC key's PEM", hs256(ec.public_pem(), "ES256"), not_its_alg},
      {"HS256 with the EC key's DER", hs256(ec.public_der(), "ES256"), not_its_alg},
      {"HS256 with the Ed25519 key's DER", hs256(ed.public_der(), "EdDSA"), not_its_alg},
      {"HS256 with the PEM and no kid", with_alg("HS256", signing_key::shared(rsa.public_pem())), wrong},
      {"HS256 with the PEM and the secret's kid", hs256(rsa.public_pem(), "HS256"), wrong},
      {"HS256 with an empty secret", with_alg("HS256", signing_key::shared("")), wrong},
      {"HS256 with the kid as the secret", hs256("kid-HS256", "HS256"), wrong},
      {"ES256 with the kid of an RSA key", with_member(R"(,"kid":"kid-RS256")"), not_its_alg},
      {"ES256 with the kid of the secret", with_member(R"(,"kid":"kid-HS256")"), not_its_alg},
      {"RS256 signed by an EC key", with_alg("RS256", ec), wrong},
      {"ES256 signed by an RSA key", with_alg("ES256", rsa), wrong},
      {"EdDSA signed by an EC key", with_alg("EdDSA", ec), wrong},
      {"ES256 by a stranger", with_alg("ES256", stranger), wrong},
      {"ES256 by a stranger with our kid", with_alg("ES256", stranger, R"(,"kid":"kid-ES256")"), wrong},
      {"hs256 in lower case", with_alg("hs256", shared), "alg is not one of HS256"},
      {"HS512", with_alg("HS512", shared), "alg is not one of HS256"},
      {"PS256", with_alg("PS256", rsa), "alg is not one of HS256"},
      {"ES256K", with_alg("ES256K", ec), "alg is not one of HS256"},
      {"alg is a number", with_header(R"({"alg":256})"), "header has no alg"},
      {"alg is a list", with_header(R"({"alg":["ES256"]})"), "header has no alg"},
      {"alg is null", with_header(R"({"alg":null})"), "header has no alg"},
      {"no alg", with_header(R"({"typ":"JWT"})"), "header has no alg"},
      {"ALG", with_header(R"({"ALG":"ES256"})"), "header has no alg"},
  });
}

BOOST_AUTO_TEST_CASE(forged_signatures) {
  const std::string wrong = "the token's signature is wrong";
  const parts es(ec), rs(rsa), eddsa(ed), hs(shared);
  const auto bytes = es.signature_bytes(), rsa_bytes = rs.signature_bytes();
  const auto order = from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").value(); // of P-256
  check({
      {"ES256, r = s = 0 (CVE-2022-21449)", es.signed_with(std::string(64, '\0')), wrong},
      {"ES256, r = 0", es.signed_with(std::string(32, '\0') + bytes.substr(32)), wrong},
      {"ES256, s = 0", es.signed_with(bytes.substr(0, 32) + std::string(32, '\0')), wrong},
      {"ES256, r = s = n", es.signed_with(order + order), wrong},
      {"ES256, all bits set", es.signed_with(std::string(64, '\xff')), wrong},
      {"ES256 in DER", es.signed_with(ec.sign_raw(es.text())), wrong},
      {"ES256 of 63 bytes", es.signed_with(bytes.substr(0, 63)), wrong},
      {"ES256 of 65 bytes", es.signed_with(bytes + '\0'), wrong},
      {"ES256 with a zero in front", es.signed_with('\0' + bytes), wrong},
      {"ES256 with a zero between r and s", es.signed_with(bytes.substr(0, 32) + '\0' + bytes.substr(32)), wrong},
      {"ES256, r and s swapped", es.signed_with(bytes.substr(32) + bytes.substr(0, 32)), wrong},
      {"ES256 of another token", parts(with_claim("sub", "\"eve\"")).text() + "." + es.signature, wrong},
      {"ES256 over the payload alone", es.signed_with(ec.sign(es.payload)), wrong},
      {"ES256 over the decoded parts", es.signed_with(ec.sign(header_of(ec) + "." + claims())), wrong},
      {"RS256, cut", rs.signed_with(rsa_bytes.substr(0, 255)), wrong},
      {"RS256, half", rs.signed_with(rsa_bytes.substr(0, 128)), wrong},
      {"RS256 with a zero in front", rs.signed_with('\0' + rsa_bytes), wrong},
      {"RS256 with a byte behind", rs.signed_with(rsa_bytes + '\0'), wrong},
      {"RS256 of zeros", rs.signed_with(std::string(256, '\0')), wrong},
      {"RS256 of one", rs.signed_with(std::string(255, '\0') + '\1'), wrong},
      {"EdDSA of zeros", eddsa.signed_with(std::string(64, '\0')), wrong},
      {"EdDSA with the order added to s", eddsa.signed_with(with_order_added(eddsa.signature_bytes())), wrong},
      {"EdDSA, cut", eddsa.signed_with(eddsa.signature_bytes().substr(0, 63)), wrong},
      {"EdDSA with a byte behind", eddsa.signed_with(eddsa.signature_bytes() + '\0'), wrong},
      {"HS256 of one byte", hs.signed_with(hs.signature_bytes().substr(0, 1)), wrong},
      {"HS256, cut", hs.signed_with(hs.signature_bytes().substr(0, 31)), wrong},
      {"HS256 with a byte behind", hs.signed_with(hs.signature_bytes() + '\0'), wrong},
      {"HS256 of zeros", hs.signed_with(std::string(32, '\0')), wrong},
      {"HS256 in hex", hs.signed_with("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"), wrong},
      {"a bit of the signature", es.text() + "." + flipped(es.signature), wrong},
      {"the header of another token", parts(with_alg("ES256", ec)).header + "." + es.payload + "." + es.signature,
       wrong},
  });
  // A bit in the header or the payload may break the JSON first, so only the refusal is certain.
  for (const auto& token : {flipped(es.header) + "." + es.payload + "." + es.signature,
                            es.header + "." + flipped(es.payload) + "." + es.signature})
    check({{"a bit", token, "the token's "}});
}

BOOST_AUTO_TEST_CASE(headers_that_choose_the_key) {
  const std::string stranger_jwk = "{" + stranger.jwk_members() + "}";
  check({
      {"jku", with_member(R"(,"jku":"https://evil.example/keys")"), "the member jku, which names a key"},
      {"jku inside the network", with_member(R"(,"jku":"http://169.254.169.254/")"), "the member jku"},
      {"jku in escapes", with_member(R"(,"\u006aku":"https://evil.example/keys")"), "the member jku"},
      {"x5u", with_member(R"(,"x5u":"https://evil.example/cert")"), "the member x5u, which names a key"},
      {"jwk of the signer (CVE-2018-0114)",
       make_token(stranger, header_of(stranger, ",\"jwk\":" + stranger_jwk), claims()),
       "the member jwk, which brings a key"},
      {"x5c", with_member(R"(,"x5c":["MIIB"])"), "the member x5c, which brings a key"},
      {"jwk is null", with_member(R"(,"jwk":null)"), "the member jwk"},
      {"crit", with_member(R"(,"crit":["exp"],"exp":1)"), "the member crit, which requires an extension"},
      {"an empty crit", with_member(R"(,"crit":[])"), "the member crit"},
      {"b64", with_member(R"(,"b64":false)"), "the member b64, which changes how the payload is encoded"},
      {"b64 with crit", with_member(R"(,"b64":false,"crit":["b64"])"), "the member crit"},
      {"zip", with_member(R"(,"zip":"DEF")"), "the member zip, which says that the payload is compressed"},
      {"enc", with_member(R"(,"enc":"A128GCM")"), "the member enc, which says that the token is encrypted"},
      {"kid as a path", with_member(R"(,"kid":"../../../../dev/null")"), "no key has the token's kid"},
      {"kid as SQL", with_member(R"(,"kid":"x' UNION SELECT 'secret' -- ")"), "no key has the token's kid"},
      {"kid as a command", with_member(R"(,"kid":"|/bin/sh -c id")"), "no key has the token's kid"},
      {"kid as a URL", with_member(R"(,"kid":"https://evil.example/keys")"), "no key has the token's kid"},
      {"kid in capitals", with_member(R"(,"kid":"KID-ES256")"), "no key has the token's kid"},
      {"kid and a blank", with_member(R"(,"kid":"kid-ES256 ")"), "no key has the token's kid"},
      {"kid is empty", with_member(R"(,"kid":"")"), "kid is not a text of 1 to 256"},
      {"kid is long", with_member(",\"kid\":\"" + std::string(257, 'k') + "\""), "kid is not a text of 1 to 256"},
      {"kid with NUL", with_member(R"(,"kid":"kid-ES256\u0000")"), "kid is not a text of 1 to 256"},
      {"kid with a line end", with_member(R"(,"kid":"kid-ES256\r\nX: y")"), "kid is not a text of 1 to 256"},
      {"kid is a number", with_member(R"(,"kid":1)"), "kid is not a text of 1 to 256"},
      {"kid is null", with_member(R"(,"kid":null)"), "kid is not a text of 1 to 256"},
      {"kid is a list", with_member(R"(,"kid":["kid-ES256"])"), "kid is not a text of 1 to 256"},
      {"typ of a logout token", with_header(R"({"alg":"ES256","typ":"logout+jwt"})"), "typ is neither JWT nor at+jwt"},
      {"typ of a DPoP proof", with_header(R"({"alg":"ES256","typ":"dpop+jwt"})"), "typ is neither JWT nor at+jwt"},
      {"typ JWE", with_header(R"({"alg":"ES256","typ":"JWE"})"), "typ is neither JWT nor at+jwt"},
      {"typ is a number", with_header(R"({"alg":"ES256","typ":1})"), "typ is neither JWT nor at+jwt"},
      {"typ is empty", with_header(R"({"alg":"ES256","typ":""})"), "typ is neither JWT nor at+jwt"},
      {"typ with the prefix twice", with_header(R"({"alg":"ES256","typ":"application/application/jwt"})"), "typ is"},
  });
}

BOOST_AUTO_TEST_CASE(malformed_framing) {
  const parts p(ec);
  const auto token = p.token();
  const std::string three = "the token does not have three parts", character = "a character that is not base64";
  const auto padded = [](std::string part) { return part + (part.size() % 4 == 2 ? "==" : "="); };
  auto with_break = p.payload;
  with_break.insert(20, "\n");
  check({
      {"empty", "", three},
      {"no dot", "abc", three},
      {"only dots", "..", "the token's header is empty"},
      {"one part", p.header, three},
      {"two parts", p.text(), three},
      {"four parts", token + "." + p.signature, three},
      {"four parts, the last is empty", token + ".", three},
      {"five parts (JWE)", token + ".AAAA.AAAA", "the token is encrypted (it has five parts)"},
      {"six parts", token + ".A.A.A", three},
      {"an empty header", "." + p.payload + "." + p.signature, "the token's header is empty"},
      {"an empty payload", p.header + ".." + p.signature, "the token's payload is empty"},
      {"over 8 KiB", with_claim("pad", "\"" + std::string(6000, 'a') + "\""), "bytes; the maximum is 8192"},
      {"over 8 KiB of dots", std::string(9000, '.'), "the token has 9000 bytes; the maximum is 8192"},
      {"a blank in front", " " + token, "header is not base64url without padding: "},
      {"a blank behind", token + " ", "signature is not base64url without padding: " + character},
      {"a line end behind", token + "\n", character},
      {"a line end in the payload", p.header + "." + with_break + "." + p.signature, character},
      {"NUL behind", token + '\0', character},
      {"quotes", "\"" + token + "\"", "header is not base64url without padding: "},
      {"Bearer", "Bearer " + token, character},
      {"padding of the header", to_base64url(R"({"alg":"ES256" })") + "=." + p.payload + "." + p.signature, character},
      {"padding of the signature", p.text() + "." + padded(p.signature), character},
      {"the alphabet with +", p.text() + ".+" + p.signature.substr(1), character},
      {"the alphabet with /", p.text() + "./" + p.signature.substr(1), character},
      {"percent-encoding", p.text() + ".%41" + p.signature.substr(3), character},
      {"a letter beyond ASCII", p.text() + ".\xc3\xa4" + p.signature.substr(2), character},
      {"bits left over in the signature", p.text() + "." + with_trailing_bits(p.signature), "bits left over"},
      {"one character too many", p.text() + "." + p.signature + "AAA", "base64 of a wrong length"},
      {"JSON serialization", R"({"payload":")" + p.payload + R"(","signatures":[]})", three},
      {"a commercial at for a dot", p.header + "@" + p.payload + "@" + p.signature, three},
  });
}

BOOST_AUTO_TEST_CASE(malformed_json) {
  const std::string json = "payload is not JSON: ", twice = "has a member twice",
                    object = "payload is not a JSON object";
  const auto nested_token = parts(ec).token();
  auto utf16 = std::string();
  for (const char c : claims()) utf16.append(1, c).append(1, '\0');
  check({
      {"the header has alg twice", with_header(R"({"alg":"ES256","alg":"none"})"), "header " + twice},
      {"alg twice, in escapes", with_header(R"({"alg":"ES256","\u0061lg":"none"})"), "header " + twice},
      {"none first, then ES256", with_header(R"({"alg":"none","alg":"ES256"})"), "header " + twice},
      {"kid twice", with_member(R"(,"kid":"kid-ES256","kid":"other")"), "header " + twice},
      {"an unknown header twice", with_member(R"(,"a":1,"a":1)"), "header " + twice},
      {"sub twice", with_payload(R"({"sub":"eve",)" + claims().substr(1)), "payload " + twice},
      {"sub twice, in escapes", with_payload(R"({"\u0073ub":"eve",)" + claims().substr(1)), "payload " + twice},
      {"exp twice", with_payload(R"({"exp":9999999999,)" + claims().substr(1)), "payload " + twice},
      {"a deeper member twice", with_claim("o", R"({"a":[{"b":1,"b":2}]})"), "payload " + twice},
      {"an empty name twice", with_claim("o", R"({"":1,"":2})"), "payload " + twice},
      {"the header is a list", with_header(R"(["alg","ES256"])"), "header is not a JSON object"},
      {"the header is a text", with_header(R"("ES256")"), "header is not a JSON object"},
      {"the header is null", with_header("null"), "header is not a JSON object"},
      {"the header is not JSON", with_header("alg=ES256"), "header is not JSON: "},
      {"the header is a blank", with_header(" "), "header is not JSON: "},
      {"two headers", with_header(R"({"alg":"ES256"}{"alg":"none"})"), "header is not JSON: "},
      {"NUL behind the header", with_header(std::string(R"({"alg":"ES256"})") + '\0'), "header is not JSON: "},
      {"bytes in the header", with_member(",\"kid\":\"\xff\""), "header is not JSON: "},
      {"a deep header", with_member(",\"a\":" + nested(40)), "header is not JSON: "},
      {"the payload is a list", with_payload("[" + claims() + "]"), object},
      {"the payload is a text", with_payload("\"ann\""), object},
      {"the payload is null", with_payload("null"), object},
      {"the payload is a number", with_payload("1795954200"), object},
      {"the payload is a token", make_token(ec, header_of(ec, R"(,"cty":"JWT")"), nested_token), json},
      {"the payload is not closed", with_payload(claims().substr(0, 60)), json},
      {"a comma too many", with_payload("{\"sub\":\"ann\",}"), json},
      {"single quotes", with_payload("{'sub':'ann'}"), json},
      {"a comment", with_payload("/* */" + claims()), json},
      {"two payloads", with_payload(claims() + claims()), json},
      {"a byte order mark", with_payload("\xef\xbb\xbf" + claims()), json},
      {"UTF-16", with_payload(utf16), json},
      {"a byte that is not UTF-8", with_claim("sub", "\"ann\xff\""), json},
      {"an overlong slash", with_claim("sub", "\"..\xc0\xaf\""), json},
      {"a surrogate in UTF-8", with_claim("sub", "\"\xed\xa0\x80\""), json},
      {"half a surrogate pair", with_claim("sub", R"("\ud800")"), json},
      {"a control character in a text", with_claim("sub", "\"a\nb\""), json},
      {"a deep payload", with_claim("a", nested(40)), json},
      {"a very deep payload", with_claim("a", nested(2500)), json},
      {"a very deep payload, not closed", with_payload("{\"a\":" + std::string(5000, '[')), json},
  });
}
