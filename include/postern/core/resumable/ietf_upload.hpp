// "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload): reads the header fields of its requests, and
// makes the fields and bodies of the answers. Pure.
//
// Clients name the iteration of the draft that they follow in Upload-Draft-Interop-Version. Those read here differ so:
//
//                            8 (-09 to -11)             6 (-04, -05)                5 (-03)
//   PATCH: Content-Type      application/partial-upload application/partial-upload  any
//   PATCH: Upload-Complete   required                   absent: ?0                  absent: ?0
//   its answer, not complete 204, Upload-Complete: ?0   201, with Upload-Offset     201, with Upload-Offset
//   Upload-Limit             has max-age                has expires, not max-age    is not known
//   problem types            all three                  not inconsistent-upload-…   none, and may be sent
//
// All send 104 with the client's Upload-Draft-Interop-Version: first with Location and Upload-Limit, then, for
// progress, with Upload-Offset and without Location. A client of an unknown version, or without a version, gets no 104.
//
//   POST /files HTTP/1.1                                   PATCH /files/1 HTTP/1.1
//   Upload-Draft-Interop-Version: 8                        Upload-Draft-Interop-Version: 8
//   Upload-Complete: ?0                                    Upload-Complete: ?1
//   Upload-Length: 10                                      Upload-Offset: 4
//   Content-Length: 4                                      Content-Length: 6
//   Content-Type: image/png                                Content-Type: application/partial-upload
//   Content-Disposition: inline; filename="a.png"
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/resumable/resumable.hpp>
#include <postern/core/sign_request.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern::ietf_upload {

inline constexpr std::string_view body_type = "application/partial-upload"; // of a PATCH

enum class version { unknown = 0, v5 = 5, v6 = 6, v8 = 8 };

// Upload-Draft-Interop-Version. Nothing: the field is absent. version::unknown: a version that is not read here; its
// requests are read as those of version 8. errc::bad_request: no structured integer.
result<std::optional<version>> read_version(std::string_view field);
// The value of Upload-Draft-Interop-Version in an answer: "8". Empty: unknown.
std::string_view name_of(version v);

// The values of a request's header fields. Empty: the field is absent. They must live as long as this. Structured
// fields (RFC 9651) are read strictly: the draft ignores a field of another type, here it is errc::bad_request, because
// a file whose end was not understood would never be complete. Parameters after ; are ignored.
struct fields {
  std::string_view upload_complete, upload_length;
  std::string_view upload_offset;       // of an append
  std::string_view content_disposition; // of a creation
  std::string_view content_type;
};

struct creation {
  append_request what; // at offset 0; check_append compares its lengths
  sign_request ask;    // the file's name, type and, as far as it is known, size
};
// Of a POST with Upload-Complete. `announced`: its Content-Length. The file's name is that of Content-Disposition, with
// filename* ahead of filename (RFC 6266 §4.3), or unnamed_file. errc::bad_request says what is wrong.
result<creation> read_creation(const fields& f, std::optional<std::uint64_t> announced);

// Of a PATCH. `announced`: its Content-Length. errc::bad_request, errc::unsupported_type.
result<append_request> read_append(const fields& f, std::optional<std::uint64_t> announced, version v);

// The status of the answer to an append that was stored and does not end the file.
int status_of_append(version v);

// A structured boolean, for Upload-Complete.
constexpr std::string_view boolean(bool b) { return b ? "?1" : "?0"; }

// What a client must know before it sends more. Nothing: there is no such limit.
struct limits {
  std::optional<std::uint64_t> max_size, min_size; // of a file, in bytes
  std::optional<std::chrono::seconds> max_age;     // from now on, of the upload
};
// The value of Upload-Limit: "max-size=1000, min-size=1, max-age=3600", or "min-size=0" without limits. Numbers that a
// structured integer cannot have become the largest that it can. Empty: clients of this version do not know the field.
std::string limit_field(const limits& l, version v);

// The bodies of refusals, as application/problem+json (RFC 9457), with the members that Postern's other problems have.
// 409. `expected`: the offset of the next byte, which the answer also has as Upload-Offset.
std::string mismatching_offset_problem(std::uint64_t expected, std::uint64_t provided, std::string_view request_id);
// 400. `detail`: which lengths contradict each other, for people.
std::string inconsistent_length_problem(std::string_view detail, std::string_view request_id);
// 400: the file is complete and takes no more bytes.
std::string completed_upload_problem(std::string_view request_id);

} // namespace postern::ietf_upload
