// Makes tokens (JWT) for the measurement of signing: make_tokens FOLDER COUNT writes the public key to FOLDER/key.pem and
// the tokens, one a line, to FOLDER/tokens. All are signed with ES256, are valid for a day, and differ in their jti.
#include "support/token_maker.hpp"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::fputs("usage: make_tokens FOLDER COUNT\n", stderr);
    return 2;
  }
  using namespace std::chrono;
  const std::string folder = argv[1];
  const auto count = std::stoul(argv[2]);
  const auto key = postern::test::signing_key::ec();
  const auto expires = duration_cast<seconds>(system_clock::now().time_since_epoch() + hours(24)).count();
  std::ofstream(folder + "/key.pem") << key.public_pem();
  std::ofstream tokens(folder + "/tokens");
  for (unsigned long n = 0; n < count; ++n)
    tokens << make_token(key, header_of(key),
                         R"({"iss":"https://app.example.com","aud":"uploads","sub":"user-4711","exp":)" +
                             std::to_string(expires) + ",\"jti\":\"" + std::to_string(n) + "\"}")
           << '\n';
  return tokens.flush() ? 0 : 1;
} catch (const std::exception& e) {
  std::cerr << "make_tokens: " << e.what() << '\n';
  return 1;
}
