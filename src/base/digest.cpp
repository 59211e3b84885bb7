// The low-level SHA-256 is deprecated in OpenSSL 3, but it is the only one that lets a half-hashed key be kept by value
// and that does not allocate for each short text. Signing one form hashes dozens of short texts.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>

#include <isa-l/crc.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

namespace postern {
namespace {

constexpr std::size_t block = 64;

// The state after one block, which is the key padded with `pad`.
std::array<std::uint32_t, 8> after_key(std::string_view key, unsigned char pad) {
  std::array<unsigned char, block> padded{};
  if (key.size() > block) {
    const auto digest = sha256(key);
    std::copy(digest.begin(), digest.end(), padded.begin());
  } else {
    std::copy(key.begin(), key.end(), padded.begin());
  }
  for (auto& byte : padded) byte ^= pad;
  SHA256_CTX c;
  SHA256_Init(&c);
  SHA256_Update(&c, padded.data(), padded.size());
  std::array<std::uint32_t, 8> state;
  std::copy(std::begin(c.h), std::end(c.h), state.begin());
  OPENSSL_cleanse(padded.data(), padded.size());
  return state;
}

SHA256_CTX from(const std::array<std::uint32_t, 8>& state) {
  SHA256_CTX c;
  SHA256_Init(&c);
  std::copy(state.begin(), state.end(), std::begin(c.h));
  c.Nl = block * 8; // one block has been hashed, in bits
  return c;
}

std::string_view as_text(std::span<const unsigned char> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace

sha256_bytes sha256(std::string_view data) {
  sha256_bytes out;
  SHA256_CTX c;
  SHA256_Init(&c);
  SHA256_Update(&c, data.data(), data.size());
  SHA256_Final(out.data(), &c);
  return out;
}

std::string sha256_hex(std::string_view data) { return to_hex(sha256(data)); }

md5_bytes md5(std::string_view data) {
  md5_bytes out;
  EVP_Digest(data.data(), data.size(), out.data(), nullptr, EVP_md5(), nullptr);
  return out;
}

hmac_key::hmac_key(std::string_view key) : inner_(after_key(key, 0x36)), outer_(after_key(key, 0x5c)) {}

sha256_bytes hmac_key::sign(std::string_view data) const {
  sha256_bytes out;
  auto c = from(inner_);
  SHA256_Update(&c, data.data(), data.size());
  SHA256_Final(out.data(), &c);
  c = from(outer_);
  SHA256_Update(&c, out.data(), out.size());
  SHA256_Final(out.data(), &c);
  return out;
}

std::string hmac_key::sign_hex(std::string_view data) const { return to_hex(sign(data)); }

sha256_bytes hmac_sha256(std::string_view key, std::string_view data) { return hmac_key(key).sign(data); }
sha256_bytes hmac_sha256(std::span<const unsigned char> key, std::string_view data) {
  return hmac_sha256(as_text(key), data);
}

std::uint32_t crc32c(std::uint32_t so_far, std::span<const char> data) {
  // ISA-L neither inverts before nor after; RFC 3720 does both. It takes the length as an int.
  std::uint32_t state = ~so_far;
  while (!data.empty()) {
    const auto piece = data.first(std::min<std::size_t>(data.size(), 1 << 30));
    // The C function takes a pointer to non-const but only reads.
    auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(piece.data()));
    state = crc32_iscsi(bytes, static_cast<int>(piece.size()), state);
    data = data.subspan(piece.size());
  }
  return ~state;
}

namespace {

// Polynomials modulo Castagnoli's, the coefficient of x^0 in the highest bit.
constexpr std::uint32_t product(std::uint32_t a, std::uint32_t b) {
  std::uint32_t out = 0;
  for (; a != 0; a <<= 1) {
    if (a >> 31) out ^= b;
    b = b & 1 ? b >> 1 ^ 0x82f63b78u : b >> 1;
  }
  return out;
}

} // namespace

// The first piece's CRC is multiplied by x^8 for each byte of the second piece.
std::uint32_t crc32c_of_both(std::uint32_t first, std::uint32_t second, std::uint64_t size_of_second) {
  std::uint32_t power = 1u << 31, square = 1u << 23; // 1, and x^8 to the 1, 2, 4, …
  for (auto n = size_of_second; n != 0; n >>= 1, square = product(square, square))
    if (n & 1) power = product(power, square);
  return product(power, first) ^ second;
}

std::string crc32c_base64(std::uint32_t value) {
  const char bytes[] = {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
                        static_cast<char>(value)};
  return to_base64({bytes, 4});
}

std::optional<std::uint32_t> parse_crc32c(std::string_view base64) {
  const auto raw = from_base64(base64);
  if (!raw || raw->size() != 4) return std::nullopt;
  std::uint32_t n = 0;
  for (const char c : *raw) n = n << 8 | static_cast<unsigned char>(c);
  return n;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

} // namespace postern
