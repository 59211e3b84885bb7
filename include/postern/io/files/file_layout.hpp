// Where the file store puts an object, and the sidecar in which it remembers what a file cannot: ETag, checksum,
// headers and metadata. Pure, but for what a caller read from the disk.
#pragma once

#include <postern/io/store.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct stat;

namespace postern {

// The bucket, the folders and last the file's own name: the path below the root. errc::no_such_bucket,
// errc::invalid_argument, errc::key_too_long, as make_file_store says.
result<std::vector<std::string>> path_of(const object_name& name);

// What is kept beside a file. It describes the file that has this modification time and size, and no other.
struct sidecar {
  object_name of;
  std::uint64_t mtime_ns = 0;
  stored_object object;

  bool describes(const struct stat& file) const;
};

std::uint64_t mtime_ns(const struct stat& file);
std::string to_json(const sidecar& s);
result<sidecar> read_sidecar(std::string_view json);
inline constexpr std::size_t max_sidecar_bytes = 1 << 20;

// What can be said of a file that has no sidecar of its own.
stored_object plain_object(const struct stat& file);

// 32 hex digits, another at each call. Not MD5, which would cost more CPU a GB than all else that is done for the
// bytes; an ETag has only to differ when the object does.
std::string new_etag(std::uint64_t size, std::uint32_t crc32c);

} // namespace postern
