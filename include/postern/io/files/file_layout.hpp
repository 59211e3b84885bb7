// The layout of the file store on disk: the path of an object, and the sidecar file, which has what a plain file cannot
// hold: ETag, checksum, headers and user metadata. Pure: the caller reads and writes the disk.
#pragma once

#include <postern/io/store.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct stat;

namespace postern {

// The path below the root: the bucket, then folders, last the file's name. errc::no_such_bucket, errc::invalid_argument
// and errc::key_too_long as make_file_store describes.
result<std::vector<std::string>> object_path(const object_name& name);

// A sidecar describes the file that has exactly this modification time and size. A file with others was put there by
// another program.
struct sidecar {
  object_name name;
  std::uint64_t mtime_ns = 0;
  stored_object object;

  bool describes(const struct stat& file) const;
};

std::uint64_t mtime_ns(const struct stat& file);
std::string to_json(const sidecar& s);
result<sidecar> read_sidecar(std::string_view json);
inline constexpr std::size_t max_sidecar_bytes = 1 << 20;

// A file that has no sidecar, as an object: its size, and an ETag made from size and modification time.
stored_object object_without_sidecar(const struct stat& file);

// 32 hex digits, different at each call. An ETag must only differ when the object differs; an MD5 would take more CPU
// than everything else that is done with the bytes.
std::string new_etag(std::uint64_t size, std::uint32_t crc32c);

} // namespace postern
