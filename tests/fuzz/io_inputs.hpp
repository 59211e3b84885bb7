// The fuzz targets for the readers of io, as functions of one input. tests/io/fuzz_io_seeds_test runs the same
// functions, without libFuzzer, on the seeds and on all inputs that once failed.
#pragma once

#include <postern/base/text.hpp>
#include <postern/io/aws/shared_file.hpp>
#include <postern/io/aws/sts_answers.hpp>
#include <postern/io/s3/s3_answers.hpp>

#include <algorithm>
#include <array>
#include <fuzz/require.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace postern::fuzz {

// --- answers in XML ---------------------------------------------------------------------------------

// What a reader has found in a body, as text. std::nullopt: it found nothing.
using reading = std::optional<std::string>;

inline http_response answer_with(std::string_view body, int status = 200) { return {status, {}, std::string(body)}; }

inline reading read_error(std::string_view body) {
  const auto e = read_aws_error(answer_with(body, 400), "operation");
  require(e.region.empty() || is_region_name(e.region));
  const auto by_header = read_aws_error({400, {{"x-amz-bucket-region", std::string(body)}}, {}}, "operation").region;
  require(by_header.empty() ? !is_region_name(body) : by_header == body);
  auto all = e.code + e.message + e.region + e.canonical_request + e.string_to_sign + e.signature;
  return all.empty() ? std::nullopt : reading(all);
}

inline reading read_created(std::string_view body) {
  const auto id = read_upload_id(answer_with(body), "operation");
  require(!id || !id->empty());
  return id ? reading(*id) : std::nullopt;
}

inline reading read_completed(std::string_view body) {
  const auto done = read_completed_multipart(answer_with(body), "operation");
  return done ? reading(done->etag + " " + done->crc32c) : std::nullopt;
}

// The same page again is refused, because it leads to no later one.
inline reading read_page(std::string_view body) {
  part_list list;
  if (!list.add_page(answer_with(body), "operation")) return std::nullopt;
  require(list.parts().size() <= max_parts);
  std::string all;
  for (const auto& p : list.parts()) {
    require(p.number >= 1 && p.number <= max_parts);
    all += std::to_string(p.number) + " " + std::to_string(p.size) + " " + p.etag + "\n";
  }
  if (list.is_complete()) return all;
  require(list.marker() >= 1 && list.marker() <= max_parts);
  all += std::to_string(list.marker());
  require(!list.add_page(answer_with(body), "operation") && !list.is_complete());
  return all;
}

inline reading read_location(std::string_view body) {
  const auto region = read_bucket_region(answer_with(body), "operation");
  require(!region || is_region_name(*region));
  return region ? reading(*region) : std::nullopt;
}

inline reading read_role(std::string_view body) {
  const auto held = read_role_credentials(answer_with(body), "operation", "source");
  if (!held) return std::nullopt;
  const auto& keys = held->keys;
  require(!keys.access_key.empty() && !keys.secret_key.empty() && !keys.session_token.empty() && held->expires);
  return keys.access_key + " " + keys.secret_key.reveal() + " " + keys.session_token;
}

inline reading read_caller(std::string_view body) {
  const auto arn = read_caller_arn(answer_with(body), "operation");
  require(!arn || !arn->empty());
  return arn ? reading(*arn) : std::nullopt;
}

// The first byte chooses the reader; the rest is the body. A body that was cut is refused. Where it ends with comments
// or instructions, a cut among them leaves the document whole, and the reader finds the same.
inline void xml(std::string_view input) {
  constexpr std::array readers{read_error,    read_created, read_completed, read_page,
                               read_location, read_role,    read_caller};
  if (input.empty()) return;
  const auto read = readers[static_cast<unsigned char>(input.front()) % readers.size()];
  const auto body = trim(input.substr(1), " \t\r\n");
  const auto whole = read(body);
  require(read(input.substr(1)) == whole);
  if (!whole) return;
  const bool is_bare = body.find("<!") == body.npos && body.find("<?", 1) == body.npos;
  for (const auto cut : {std::size_t{1}, std::size_t{2}, body.size() / 7, body.size() / 2, body.size() - 1}) {
    const auto part = read(body.substr(0, body.size() - std::clamp(cut, std::size_t{1}, body.size())));
    require(!part || (!is_bare && part == whole));
  }
}

// --- shared files -----------------------------------------------------------------------------------

inline bool is_trimmed(std::string_view text) {
  return trim(text).size() == text.size() && text.find_first_of("\r\n") == text.npos;
}

inline std::string with_line_ends(std::string_view text, std::string_view end) {
  std::string out;
  for (const char c : text) c == '\n' ? out.append(end) : out.append(1, c);
  return out;
}

// The settings of a section are the same when they are written and read again, and with the line ends of Windows.
inline void check_section(std::string_view text, const std::string& name) {
  const auto settings = section_of(text, name);
  require(section_of(with_line_ends(text, "\r\n"), name) == settings);
  if (!settings) return;
  auto written = "[" + name + "]\n";
  for (const auto& [key, value] : *settings) {
    require(!key.empty() && is_trimmed(key) && lower(key) == key && is_trimmed(value));
    written += key + "=" + value + "\n";
  }
  require(section_of(written, name) == settings);
}

// Up to the first zero byte the input is the credentials file, behind it the config file.
inline void shared_file(std::string_view input) {
  const auto credentials = input.substr(0, input.find('\0'));
  const auto config = input.substr(std::min(credentials.size() + 1, input.size()));
  for (const std::string profile : {"default", "p"}) {
    const auto in_config = profile == "default" ? profile : "profile " + profile;
    check_section(credentials, profile);
    check_section(config, in_config);
    const auto first = section_of(credentials, profile), second = section_of(config, in_config);
    const auto both = profile_settings(credentials, config, profile);
    require(both.has_value() == (first || second));
    if (!both) continue;
    for (const auto& [key, value] : *both)
      require(first && first->contains(key) ? first->at(key) == value : second && second->at(key) == value);
    require((!first || both->size() >= first->size()) && (!second || both->size() >= second->size()));
  }
}

} // namespace postern::fuzz
