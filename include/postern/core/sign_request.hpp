// A request for a signed form: the JSON body of POST /v1/uploads, parsed and checked for its shape. flow/sign checks it
// against the profile. Pure.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/core/upload.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

struct sign_request {
  std::string filename;
  std::string profile = "default";
  std::optional<std::string> user; // for whom the caller signs, if it may; stands for ${user}
  std::optional<std::string> content_type;
  std::optional<std::uint64_t> size;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::optional<form_field> checksum; // of the file, as the field of the form
  std::string return_to;
  std::optional<int> success_action_status;
  std::vector<upload_way> ways; // that the client can; empty: it asks for a form only
  std::string origin;           // of the page that asks; from the request's header, not from its body; empty: none
};

inline constexpr std::size_t max_filename = 4096; // bytes, of sign_request::filename

// Adds a pair of user metadata for the object; its name becomes lower case. errc::bad_request names the metadata and
// says why no object can have it: a name that is reserved, there already or no plain name; a value with a control
// character, with ${filename} or not in UTF-8; or metadata that is larger than S3 allows.
result<void> add_metadata(std::vector<std::pair<std::string, std::string>>& to, std::string_view name,
                          std::string_view value);

// Parses the JSON body. errc::bad_request names the member and what it must be. Unknown members are refused, so that a
// typing error does not silently drop a limit.
result<sign_request> parse_sign_request(std::string_view json);

// Is this exactly one media type with its parameters (RFC 9110 §8.3.1)? A list is rejected: browsers use its last item.
bool is_media_type(std::string_view text);

// Can a form declare this as the type of its file: a media type of at most 255 bytes, without ${filename}?
bool is_content_type(std::string_view text);

// "image/png" against "image/png", "image/*" or "*/*"; parameters behind ; are not compared.
bool type_matches(std::string_view pattern, std::string_view type);

} // namespace postern
