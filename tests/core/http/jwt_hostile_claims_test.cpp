// Hostile claims in tokens with a right signature, and the sentence that refuses each of them.
#include <support/hostile_tokens.hpp>

using namespace postern;
using namespace postern::test;

namespace {

std::string list(std::string_view a, std::string_view b) { return "[" + std::string(a) + "," + std::string(b) + "]"; }

} // namespace

BOOST_AUTO_TEST_CASE(wrong_times) {
  const auto not_a_number = [](std::string_view claim) {
    return "the token's " + std::string(claim) + " is not a number of seconds since 1970";
  };
  const std::string json = "payload is not JSON: ";
  check({
      {"no exp", with_claim("exp"), "the token has no exp"},
      {"exp is a text", with_claim("exp", "\"1795954200\""), not_a_number("exp")},
      {"exp is a date", with_claim("exp", "\"2026-11-29T12:10:00Z\""), not_a_number("exp")},
      {"exp is null", with_claim("exp", "null"), not_a_number("exp")},
      {"exp is true", with_claim("exp", "true"), not_a_number("exp")},
      {"exp is a list", with_claim("exp", "[1795954200]"), not_a_number("exp")},
      {"exp is an object", with_claim("exp", "{}"), not_a_number("exp")},
      {"exp is negative", with_claim("exp", "-1"), not_a_number("exp")},
      {"exp is a little negative", with_claim("exp", "-0.5"), not_a_number("exp")},
      {"exp is very negative", with_claim("exp", "-9223372036854775808"), not_a_number("exp")},
      {"exp is -1e300", with_claim("exp", "-1e300"), not_a_number("exp")},
      {"exp is 2^63", with_claim("exp", "9223372036854775808"), not_a_number("exp")},
      {"exp is 2^64 - 1", with_claim("exp", "18446744073709551615"), not_a_number("exp")},
      {"exp is 1e19", with_claim("exp", "1e19"), not_a_number("exp")},
      {"exp is 1e308", with_claim("exp", "1e308"), not_a_number("exp")},
      {"exp is 1e400", with_claim("exp", "1e400"), json},
      {"exp is NaN", with_claim("exp", "NaN"), json},
      {"exp is Infinity", with_claim("exp", "Infinity"), json},
      {"exp in hex", with_claim("exp", "0x7fffffff"), json},
      {"exp with a zero in front", with_claim("exp", "01795954200"), json},
      {"exp with a plus", with_claim("exp", "+1795954200"), json},
      {"exp is 0", with_claim("exp", "0"), "the token has expired"},
      {"exp is -0", with_claim("exp", "-0"), "the token has expired"},
      {"exp is 1e-400", with_claim("exp", "1e-400"), "the token has expired"},
      {"exp has passed", with_claim("exp", "1795953540"), "the token has expired"},
      {"exp has passed by a fraction", with_claim("exp", "1795953540.999"), "the token has expired"},
      {"EXP", with_payload(R"({"EXP":1795954200,"sub":"ann"})"), "the token has no exp"},
      {"nbf is in the future", with_claim("nbf", "1795953661"), "the token is not yet valid (nbf)"},
      {"nbf is far in the future", with_claim("nbf", "9223372036854775807"), "the token is not yet valid (nbf)"},
      {"nbf is a text", with_claim("nbf", "\"0\""), not_a_number("nbf")},
      {"nbf is negative", with_claim("nbf", "-1"), not_a_number("nbf")},
      {"nbf is null", with_claim("nbf", "null"), not_a_number("nbf")},
      {"iat is in the future", with_claim("iat", "1795953661"), "the token was issued in the future (iat)"},
      {"iat in milliseconds", with_claim("iat", "1795953600000"), "the token was issued in the future (iat)"},
      {"iat is a text", with_claim("iat", "\"now\""), not_a_number("iat")},
      {"iat is 1e300", with_claim("iat", "1e300"), not_a_number("iat")},
  });
}

BOOST_AUTO_TEST_CASE(wrong_issuers_and_audiences) {
  const std::string right = "\"postern\"";
  check({
      {"no iss", with_claim("iss"), "the token has no iss"},
      {"another iss", with_claim("iss", "\"https://evil.example\""), "from another issuer (iss)"},
      {"iss with a slash", with_claim("iss", "\"https://id.example.com/\""), "from another issuer (iss)"},
      {"iss in capitals", with_claim("iss", "\"HTTPS://ID.EXAMPLE.COM\""), "from another issuer (iss)"},
      {"iss begins right", with_claim("iss", "\"https://id.example.com.evil.example\""), "from another issuer (iss)"},
      {"iss and NUL", with_claim("iss", R"("https://id.example.com\u0000")"), "from another issuer (iss)"},
      {"iss is a list", with_claim("iss", R"(["https://id.example.com"])"), "iss is not a text"},
      {"iss is null", with_claim("iss", "null"), "iss is not a text"},
      {"iss is empty", with_claim("iss", "\"\""), "from another issuer (iss)"},
      {"no aud", with_claim("aud"), "the token has no aud"},
      {"another aud", with_claim("aud", "\"other\""), "for another audience (aud)"},
      {"aud in capitals", with_claim("aud", "\"Postern\""), "for another audience (aud)"},
      {"aud is a part", with_claim("aud", "\"post\""), "for another audience (aud)"},
      {"aud has several in one text", with_claim("aud", "\"postern other\""), "for another audience (aud)"},
      {"aud is an empty list", with_claim("aud", "[]"), "for another audience (aud)"},
      {"aud is a list without it", with_claim("aud", list("\"a\"", "\"b\"")), "for another audience (aud)"},
      {"aud is a list with a number", with_claim("aud", list(right, "1")), "aud is neither a text nor a list"},
      {"aud is a list of lists", with_claim("aud", "[[\"postern\"]]"), "aud is neither a text nor a list"},
      {"aud is an object", with_claim("aud", R"({"postern":true})"), "aud is neither a text nor a list"},
      {"aud is null", with_claim("aud", "null"), "aud is neither a text nor a list"},
      {"aud is a number", with_claim("aud", "1"), "aud is neither a text nor a list"},
  });
}

BOOST_AUTO_TEST_CASE(wrong_subjects) {
  const std::string unsafe = "sub cannot be a part of an object key", none = "the token has no sub";
  check({
      {"no sub", with_claim("sub"), none},
      {"sub is empty", with_claim("sub", "\"\""), none},
      {"sub is a number", with_claim("sub", "42"), none},
      {"sub is null", with_claim("sub", "null"), none},
      {"sub is a list", with_claim("sub", R"(["ann"])"), none},
      {"sub is an object", with_claim("sub", "{}"), none},
      {"SUB", with_payload(R"({"SUB":"ann","exp":1795954200,"iss":"https://id.example.com","aud":"postern"})"), none},
      {"sub with a slash", with_claim("sub", "\"ann/bob\""), unsafe},
      {"sub with a slash in escapes", with_claim("sub", R"("ann\u002fbob")"), unsafe},
      {"sub with an escaped slash", with_claim("sub", R"("ann\/bob")"), unsafe},
      {"sub with a slash in front", with_claim("sub", "\"/ann\""), unsafe},
      {"sub with a backslash", with_claim("sub", R"("ann\\bob")"), unsafe},
      {"sub is ..", with_claim("sub", "\"..\""), unsafe},
      {"sub is .", with_claim("sub", "\".\""), unsafe},
      {"sub is .. in escapes", with_claim("sub", R"("\u002e\u002e")"), unsafe},
      {"sub is a path", with_claim("sub", "\"../admin\""), unsafe},
      {"sub with NUL", with_claim("sub", R"("ann\u0000")"), unsafe},
      {"sub with a line end", with_claim("sub", R"("ann\r\nX-Admin: 1")"), unsafe},
      {"sub with a tab", with_claim("sub", R"("ann\t")"), unsafe},
      {"sub with escape", with_claim("sub", R"("\u001b[2J")"), unsafe},
      {"sub with DEL", with_claim("sub", R"("ann\u007f")"), unsafe},
      {"sub with a C1 control", with_claim("sub", R"("ann\u0085")"), unsafe},
      {"sub with S3's variable", with_claim("sub", R"("${filename}")"), unsafe},
      {"sub of 201 bytes", with_claim("sub", "\"" + std::string(201, 'a') + "\""), "201 bytes; the maximum is 200"},
      {"sub of 4000 bytes", with_claim("sub", "\"" + std::string(4000, 'a') + "\""), "4000 bytes; the maximum is 200"},
  });
}
