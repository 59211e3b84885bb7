#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/verifying_key.hpp>

#include <boost/test/unit_test.hpp>
#include <openssl/err.h>

#include <array>
#include <support/token_maker.hpp>
#include <thread>
#include <vector>

using namespace postern;
using test::signing_key;

namespace {

const std::string payload =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const std::string modulus =
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-"
    "pCgNMs"
    "D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"
    "UTo7WTBEMa2R2CapHg665xsmtdV"
    "MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

struct vector {
  std::string name, from, jwk, text, signature;
};

// Published signatures and the keys that made them.
const std::array vectors{
    vector{
        "HS256", "RFC 7515 A.1",
        R"({"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})",
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + payload, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
    vector{
        "RS256", "RFC 7515 A.2", R"({"kty":"RSA","n":")" + modulus + R"(","e":"AQAB"})",
        "eyJhbGciOiJSUzI1NiJ9." + payload,
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU"
        "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d"
        "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
        "cN_IoypGlUPQGe77Rw"},
    vector{"ES256", "RFC 7515 A.3",
           R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
           R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})",
           "eyJhbGciOiJFUzI1NiJ9." + payload,
           "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
    vector{"EdDSA", "RFC 8037 A.4",
           R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})",
           "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
           "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
};

result<verifying_key> from_jwk(std::string_view text) { return verifying_key::from_jwk(read_json(text).value()); }
std::string decoded(std::string_view text) { return from_base64url(text).value(); }

// Keys take long to make, so the tests share them.
const std::vector<signing_key>& pairs() {
  static const std::vector<signing_key> all{signing_key::rsa(), signing_key::ec(), signing_key::ed25519()};
  return all;
}

struct refusal {
  std::string name, text, says;
};

void check_refusals(const std::vector<refusal>& all, result<verifying_key> (*make)(std::string_view)) {
  for (const auto& one : all) BOOST_TEST_CONTEXT(one.name) {
      const auto made = make(one.text);
      BOOST_REQUIRE(made.has_error());
      BOOST_TEST((made.error().code == errc::invalid_argument));
      BOOST_TEST(made.error().on.find(one.says) != std::string::npos, made.error().on << " lacks: " << one.says);
      BOOST_TEST(ERR_peek_error() == 0ul);
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(published_signatures_are_verified) {
  for (const auto& v : vectors) BOOST_TEST_CONTEXT(v.from) {
      const auto key = from_jwk(v.jwk).value();
      BOOST_TEST(key.name() == v.name);
      BOOST_TEST(key.verify(v.text, decoded(v.signature)));
    }
}

BOOST_AUTO_TEST_CASE(every_altered_byte_is_detected) {
  for (const auto& v : vectors) BOOST_TEST_CONTEXT(v.from) {
      const auto key = from_jwk(v.jwk).value();
      const auto signature = decoded(v.signature);
      for (std::size_t i = 0; i < signature.size(); ++i) {
        auto altered = signature;
        altered[i] = static_cast<char>(altered[i] ^ 1);
        BOOST_REQUIRE(!key.verify(v.text, altered));
        BOOST_REQUIRE(!key.verify(v.text, signature.substr(0, i)));
      }
      for (std::size_t i = 0; i < v.text.size(); ++i) {
        auto altered = v.text;
        altered[i] = static_cast<char>(altered[i] ^ 1);
        BOOST_REQUIRE(!key.verify(altered, signature));
      }
      BOOST_TEST(!key.verify(v.text, signature + '\0'));
      BOOST_TEST(!key.verify(v.text, '\0' + signature));
      BOOST_TEST(!key.verify("", signature));
      BOOST_TEST(ERR_peek_error() == 0ul);
    }
}

BOOST_AUTO_TEST_CASE(a_key_verifies_no_signature_of_another_key) {
  for (const auto& a : vectors)
    for (const auto& b : vectors)
      if (&a != &b) BOOST_TEST(!from_jwk(a.jwk).value().verify(b.text, decoded(b.signature)));
}

BOOST_AUTO_TEST_CASE(a_pem_a_certificate_and_a_jwk_give_the_same_key) {
  for (const auto& pair : pairs()) BOOST_TEST_CONTEXT(pair.name()) {
      const auto signature = pair.sign("a text");
      for (const auto& made :
           {verifying_key::from_pem(pair.public_pem()), verifying_key::from_pem(pair.certificate_pem()),
            verifying_key::from_pem("Subject: anything\n" + pair.public_pem() + "\n"),
            from_jwk("{" + pair.jwk_members() + "}")}) {
        BOOST_REQUIRE(made.has_value());
        BOOST_TEST(made->name() == pair.name());
        BOOST_TEST(made->verify("a text", signature));
        BOOST_TEST(!made->verify("b text", signature));
      }
    }
}

BOOST_AUTO_TEST_CASE(a_secret_is_32_bytes_or_more) {
  const std::string bytes("\0\xff 32 bytes of any kind, counted", 32);
  const auto key = verifying_key::from_secret(secret(bytes)).value();
  BOOST_TEST(key.name() == "HS256");
  BOOST_TEST(key.verify("a text", signing_key::shared(bytes).sign("a text")));
  const auto other = verifying_key::from_secret(secret(bytes + '\0')).value();
  BOOST_TEST(!from_jwk("{" + signing_key::shared(bytes + "a").jwk_members() + "}")->verify("", key.name()));
  BOOST_TEST(other.name() == "HS256");
  const auto short_one = verifying_key::from_secret(secret(bytes.substr(1)));
  BOOST_REQUIRE(short_one.has_error());
  BOOST_TEST(short_one.error().on.find("31 bytes; HS256 needs at least 32") != std::string::npos);
}

// With a public key as the secret, anybody could sign tokens.
BOOST_AUTO_TEST_CASE(a_pem_text_is_no_secret) {
  for (const auto& pair : pairs()) {
    const auto made = verifying_key::from_secret(secret("\n" + pair.public_pem()));
    BOOST_REQUIRE(made.has_error());
    BOOST_TEST(made.error().on.find("is a PEM text") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(unusable_pem_texts_are_refused_by_name) {
  const auto& rsa = pairs()[0];
  const auto& ec = pairs()[1];
  auto damaged = ec.public_pem();
  damaged[damaged.size() / 2] = '!';
  auto cut = ec.public_pem();
  cut.resize(cut.size() / 2);
  check_refusals(
      {
          {"empty", "", "is not PEM"},
          {"no PEM", "a secret of more than thirty-two bytes", "is not PEM"},
          {"private RSA", rsa.private_pem(), "private key, and Postern must not have it"},
          {"private EC", ec.private_pem(), "private key, and Postern must not have it"},
          {"private Ed25519", pairs()[2].private_pem(), "private key, and Postern must not have it"},
          {"public, then private", ec.public_pem() + ec.private_pem(), "private key, and Postern must not have it"},
          {"two keys", ec.public_pem() + rsa.public_pem(), "more than one key"},
          {"damaged", damaged, "is damaged"},
          {"cut", cut, "is damaged"},
          {"PKCS #1", rsa.old_rsa_pem(), "openssl rsa -RSAPublicKey_in"},
          {"another block", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "has a \"X509 CRL\""},
          {"no key inside", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot be read"},
          {"no certificate inside", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"},
          {"RSA of 1024 bits", signing_key::rsa(1024).public_pem(), "has 1024 bits; use one of 2048 to 8192"},
          {"P-384", signing_key::ec("P-384").public_pem(), "on the curve \"secp384r1\"; use P-256"},
          {"secp256k1", signing_key::ec("secp256k1").public_pem(), "on the curve \"secp256k1\"; use P-256"},
          {"too long", std::string(verifying_key::max_pem + 1, 'a'), "the maximum is 65536"},
      },
      &verifying_key::from_pem);
}

BOOST_AUTO_TEST_CASE(a_key_of_another_kind_is_refused_by_name) {
  for (const std::string kind : {"X25519", "ED448"}) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_PKEY_Q_keygen(nullptr, nullptr, kind.c_str()),
                                                                  EVP_PKEY_free);
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
    PEM_write_bio_PUBKEY(out.get(), key.get());
    char* text = nullptr;
    const auto n = BIO_get_mem_data(out.get(), &text);
    const auto made = verifying_key::from_pem({text, static_cast<std::size_t>(n)});
    BOOST_REQUIRE(made.has_error());
    BOOST_TEST(made.error().on == "the key is of the kind \"" + kind + "\"; use RSA, EC with P-256, or Ed25519");
  }
}

BOOST_AUTO_TEST_CASE(unusable_jwks_are_refused_by_name) {
  const auto rsa = [](const std::string& n, const std::string& e) {
    return R"({"kty":"RSA","n":")" + n + R"(","e":")" + e + "\"}";
  };
  const auto ec = [](const std::string& crv, const std::string& x, const std::string& y) {
    return R"({"kty":"EC","crv":")" + crv + R"(","x":")" + x + R"(","y":")" + y + "\"}";
  };
  const std::string zeros(43, 'A');
  const std::string x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                    y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
  check_refusals(
      {
          {"no object", "[]", "has no member kty"},
          {"kty is no text", R"({"kty":1})", "has no member kty"},
          {"unknown kty", R"({"kty":"DSA"})", "of the kind \"DSA\"; use RSA, EC, OKP or oct"},
          {"kty in lower case", R"({"kty":"rsa"})", "of the kind \"rsa\""},
          {"RSA without n", R"({"kty":"RSA","e":"AQAB"})", "the member n of the JWK must be a text"},
          {"RSA without e", R"({"kty":"RSA","n":")" + modulus + "\"}", "the member e of the JWK must be a text"},
          {"n in base64", rsa(modulus.substr(0, 40) + "+/==", "AQAB"), "the member n of the JWK is not base64url"},
          {"n is short", rsa(modulus.substr(0, 340), "AQAB"), "the RSA key has 2040 bits"},
          {"n is long", rsa(modulus + modulus + modulus + modulus + "oQ", "AQAB"), "the RSA key has 8216 bits"},
          {"n is huge", rsa(std::string(20000, 'o'), "AQAB"), "the RSA key has 120000 bits"},
          {"n is zero", rsa(std::string(344, 'A'), "AQAB"), "the RSA key"},
          {"n is even", rsa(modulus.substr(0, 340) + "oA", "AQAB"), "the modulus of the RSA key is even"},
          {"e is 1", rsa(modulus, "AQ"), "exponent of the RSA key must be odd"},
          {"e is 0", rsa(modulus, "AA"), "the RSA key"},
          {"e is even", rsa(modulus, "AQAA"), "exponent of the RSA key must be odd"},
          {"e has 65 bits", rsa(modulus, "AQAAAAAAAAAB"), "at most 64 bits"},
          {"private RSA", R"({"kty":"RSA","e":"AQAB","d":"AQAB","n":")" + modulus + "\"}", "private key (member d)"},
          {"private EC", R"({"kty":"EC","crv":"P-256","d":"AQ","x":")" + x + R"(","y":")" + y + "\"}",
           "private key (member d)"},
          {"P-384", ec("P-384", x, y), "is \"P-384\"; use P-256"},
          {"no crv", R"({"kty":"EC"})", "is no text; use P-256"},
          {"not on the curve", ec("P-256", y, x), "is not on the curve P-256"},
          {"x and y are zero", ec("P-256", zeros, zeros), "is not on the curve P-256"},
          {"x is short", ec("P-256", "AAAA", y), "the member x of the JWK has 3 bytes; it must have 32"},
          {"y is long", ec("P-256", x, "AAAA" + y + "A"), "the member y of the JWK"},
          {"y is missing", R"({"kty":"EC","crv":"P-256","x":")" + x + "\"}", "the member y of the JWK must be a text"},
          {"X25519", R"({"kty":"OKP","crv":"X25519","x":")" + zeros + "\"}", "is \"X25519\"; use Ed25519"},
          {"Ed25519 without x", R"({"kty":"OKP","crv":"Ed25519"})", "the member x of the JWK must be a text"},
          {"Ed25519 of 31 bytes", R"({"kty":"OKP","crv":"Ed25519","x":")" + zeros.substr(0, 42) + "\"}",
           "has 31 bytes"},
          {"private Ed25519", R"({"kty":"OKP","crv":"Ed25519","d":"AA","x":")" + zeros + "\"}",
           "private key (member d)"},
          {"oct without k", R"({"kty":"oct"})", "the member k of the JWK must be a text"},
          {"oct of 31 bytes", R"({"kty":"oct","k":")" + zeros.substr(0, 42) + "\"}",
           "31 bytes; HS256 needs at least 32"},
      },
      &from_jwk);
}

BOOST_AUTO_TEST_CASE(an_ecdsa_signature_has_64_bytes) {
  const auto& pair = pairs()[1];
  const auto key = verifying_key::from_pem(pair.public_pem()).value();
  const auto signature = pair.sign("a text");
  BOOST_TEST(key.verify("a text", signature));
  BOOST_TEST(!key.verify("a text", pair.sign_raw("a text"))); // DER
  BOOST_TEST(!key.verify("a text", std::string(64, '\0')));   // r = s = 0, CVE-2022-21449
  BOOST_TEST(!key.verify("a text", signature.substr(0, 32) + std::string(32, '\0')));
  BOOST_TEST(!key.verify("a text", std::string(32, '\0') + signature.substr(32)));
  BOOST_TEST(!key.verify("a text", std::string(64, '\xff')));
  BOOST_TEST(!key.verify("a text", signature.substr(0, 63)));
  BOOST_TEST(!key.verify("a text", signature + '\0'));
  BOOST_TEST(!key.verify("a text", signature.substr(0, 32) + '\0' + signature.substr(32))); // the same two numbers
}

BOOST_AUTO_TEST_CASE(threads_share_one_key) {
  const auto& pair = pairs()[0];
  const auto key = verifying_key::from_pem(pair.public_pem()).value();
  const auto signature = pair.sign("a text");
  std::array<int, 4> verified{};
  {
    std::vector<std::jthread> threads;
    for (auto& count : verified)
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          const auto copy = key; // NOLINT(performance-unnecessary-copy-initialization): the copy is what is tested
          count += copy.verify("a text", signature) && !copy.verify("b text", signature);
        }
      });
  }
  for (const int count : verified) BOOST_TEST(count == 50);
}
