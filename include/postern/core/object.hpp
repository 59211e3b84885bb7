// An object of a store as values: its name, its metadata, and what the store reports about it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

// Names one object.
struct object_name {
  std::string bucket;
  std::string key;
};

// The metadata of an object: header names in lower case ("content-type", "cache-control", …) and user metadata
// without its prefix ("postern-id").
struct object_meta {
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::pair<std::string, std::string>> user;
};

std::string content_type_of(const object_meta& meta); // empty: none
std::string upload_id_of(const object_meta& meta);    // of the upload that stored the object; empty: none

struct stored_object {
  std::uint64_t size = 0;
  std::string etag;                    // without quotes
  std::optional<std::uint32_t> crc32c; // of the whole object, where known
  object_meta meta;
};

// A part of a multipart upload, as the store has it.
struct object_part {
  int number = 0; // from 1; 0: a whole object
  std::string etag;
  std::uint64_t size = 0;
  std::optional<std::uint32_t> crc32c; // when it was sent as a checksum
};

// The beginning of an object that a store keeps while the rest is still to come.
struct kept_bytes {
  std::uint64_t size = 0;
  std::uint32_t crc32c = 0; // of these bytes

  bool operator==(const kept_bytes&) const = default;
};

// An entity tag (RFC 9110 §8.8.3) without its quotes and without the W/ of a weak one. A text that has no quotes stays
// as it is. A view into `etag`.
std::string_view bare_etag(std::string_view etag);
std::string quoted_etag(std::string_view bare); // "bare"

} // namespace postern
