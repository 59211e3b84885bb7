// What a caller asks for when it wants a form signed: the JSON body of POST /v1/uploads, read and checked for shape.
// Whether it may be is flow/sign's to say. Pure.
#pragma once

#include <postern/base/error.hpp>

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
  std::optional<std::string> content_type;
  std::optional<std::uint64_t> size;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::string return_to;
  std::optional<int> success_action_status;
  std::string origin; // of the page that asks; from the request's header, not from its body; empty: none
};

// Reads the JSON body. errc::bad_request names the member and what it must be; unknown members are refused, so that a
// typing error is not silently an upload without its limit.
result<sign_request> parse_sign_request(std::string_view json);

// One media type with its parameters (RFC 9110 §8.3.1), and nothing beside it: browsers take the last of a list.
bool is_media_type(std::string_view text);

// "image/png" against "image/png", "image/*" or "*/*"; parameters behind ; are not compared.
bool type_matches(std::string_view pattern, std::string_view type);

} // namespace postern
