// Digests and checksums of data, whole or in pieces. SHA-256, MD5 and HMAC are OpenSSL's; CRC32 and CRC32C are ISA-L's.
// CRC64NVME is our own, because ISA-L has it only since version 2.31.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace postern {

using sha256_bytes = std::array<unsigned char, 32>;
using md5_bytes = std::array<unsigned char, 16>;

sha256_bytes sha256(std::string_view data);
std::string sha256_hex(std::string_view data);
md5_bytes md5(std::string_view data);

// RFC 2104 over SHA-256. The key may have any length.
sha256_bytes hmac_sha256(std::span<const unsigned char> key, std::string_view data);
sha256_bytes hmac_sha256(std::string_view key, std::string_view data);

// An HMAC key whose two key blocks are hashed once, for signing many short texts with one key. Immutable
// after construction and free to share between threads.
class hmac_key {
public:
  explicit hmac_key(std::string_view key);
  sha256_bytes sign(std::string_view data) const;
  std::string sign_hex(std::string_view data) const;

private:
  std::array<std::uint32_t, 8> inner_, outer_;
};

// A digest of data that arrives in pieces. One thread at a time may use it.
class running_digest {
public:
  enum class kind { md5, sha1, sha256, crc32, crc32c, crc64nvme };
  explicit running_digest(kind which);
  void add(std::span<const char> piece);
  std::string finish(); // the raw bytes, of a CRC the most significant first; call it once

private:
  struct state;
  struct free_state {
    void operator()(state* s) const;
  };
  std::unique_ptr<state, free_state> state_;
};

// CRC-32C (Castagnoli, RFC 3720 §B.4). Continue by passing the value so far; begin with 0.
std::uint32_t crc32c(std::uint32_t so_far, std::span<const char> data);
// The CRC-32C of two pieces of data joined together, from the CRC-32C of each.
std::uint32_t crc32c_of_both(std::uint32_t first, std::uint32_t second, std::uint64_t size_of_second);
// The four bytes big-endian in base64, as in x-amz-checksum-crc32c.
std::string crc32c_base64(std::uint32_t value);
// The reverse, of the value of x-amz-checksum-crc32c. Nothing: it is not four bytes in base64.
std::optional<std::uint32_t> parse_crc32c(std::string_view base64);

// CRC-64/NVME (NVM Express, NVM Command Set Specification, "64b CRC"), which S3 calls CRC64NVME. Continue by passing
// the value so far; begin with 0.
std::uint64_t crc64nvme(std::uint64_t so_far, std::span<const char> data);

// Compares in a time that does not depend on where the texts differ, so that timing reveals nothing about a secret.
// Returns at once when the lengths differ: a length is no secret here.
bool equal_constant_time(std::string_view a, std::string_view b);

} // namespace postern
