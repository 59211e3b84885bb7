// tus 1.0, the resumable upload protocol (https://tus.io/protocols/resumable-upload): reads the header fields of its
// requests. Pure.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/resumable/resumable.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/core/sign_request.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::tus {

inline constexpr std::string_view version = "1.0.0";
inline constexpr std::string_view extensions =
    "creation,creation-with-upload,creation-defer-length,expiration,termination,checksum";
inline constexpr std::string_view checksum_algorithms = "sha1,sha256,crc32c";
inline constexpr std::string_view body_type = "application/offset+octet-stream"; // of a body that has bytes of the file

// The values of a request's header fields. Empty: the field is absent. They must live as long as this.
struct fields {
  std::string_view upload_length, upload_defer_length, upload_metadata, upload_concat; // of a creation
  std::string_view upload_offset;
  std::string_view upload_checksum;
  std::string_view content_type; // of a request with a body; some clients send one without a body, so leave that out
};

struct creation {
  std::optional<std::uint64_t> length;                       // nothing: it is declared later (Upload-Defer-Length: 1)
  std::vector<std::pair<std::string, std::string>> metadata; // names as sent, values decoded
  bool has_body = false;                                     // its body has the file's first bytes
  std::optional<form_field> checksum;                        // of the body, as checksums::read takes it
};
// errc::bad_request says what is wrong. errc::unsupported_type: a body of another type. Concatenation is refused.
result<creation> read_creation(const fields& f);

struct append {
  append_request what;
  std::optional<form_field> checksum; // of the body
};
// Of a PATCH. `announced`: its Content-Length. errc::bad_request, errc::unsupported_type.
result<append> read_append(const fields& f, std::optional<std::uint64_t> announced);

// Upload-Metadata: "filename d29ybGQ=,is_private": names, each once, and values in base64; a name alone has an empty
// value. At most max_metadata_pairs pairs in max_metadata_field bytes. errc::bad_request.
inline constexpr std::size_t max_metadata_pairs = 64;
inline constexpr std::size_t max_metadata_field = 8192;
result<std::vector<std::pair<std::string, std::string>>> read_metadata(std::string_view field);

// What the creation asks for, in a request for signing: the file's name from the metadata `filename`, or else `name`,
// or else unnamed_file; its type from `filetype`, or else `type`. A type that is no media type, or empty, is left out.
// The rest becomes metadata by the rules of add_metadata, with names in lower case. The checksum is left out: it is of
// the body. errc::bad_request: metadata that no object can have, or a name twice when case is ignored.
result<sign_request> sign_request_of(const creation& c);

} // namespace postern::tus
