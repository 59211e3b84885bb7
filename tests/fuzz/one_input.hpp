// What each fuzz target does with one input. Shared with fuzz_findings_test, which runs the seeds and what was once
// found without libFuzzer. A broken promise aborts.
#pragma once

#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/core/claim.hpp>
#include <postern/core/events/event.hpp>
#include <postern/core/events/sns.hpp>
#include <postern/core/s3/form.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/core/sign_request.hpp>
#include <postern/core/upload.hpp>

#include <cstdlib>
#include <string>
#include <string_view>

namespace postern::fuzz {

inline void promise(bool kept) {
  if (!kept) std::abort();
}

struct parsed_form {
  std::string data;
  std::size_t fields = 0;
  int ended = 0; // 0 still going, 1 done, 2 failed
  errc code{};
  bool operator==(const parsed_form&) const = default;
};

inline parsed_form parse_in_pieces(std::string_view body, std::size_t step) {
  form_limits limits;
  limits.before_file = 2000;
  limits.part_headers = 500;
  form_parser parser("B", limits);
  parsed_form out;
  std::size_t pushed = 0;
  while (!body.empty() && !out.ended) {
    std::span<const char> piece(body.substr(0, step));
    body.remove_prefix(piece.size());
    pushed += piece.size();
    for (;;) {
      auto event = parser.next(piece);
      if (!event) {
        out.ended = 2;
        out.code = event.error().code;
        break;
      }
      if (*event == form_parser::event::file_data) {
        promise(!parser.data().empty());
        out.data.append(parser.data().data(), parser.data().size());
      }
      if (*event == form_parser::event::need_more) break;
    }
    promise(out.ended || (piece.empty() && parser.consumed() == pushed));
  }
  out.fields = parser.fields().size();
  if (!out.ended) out.ended = parser.finish() ? 1 : 0;
  return out;
}

// However a form is cut, it means the same.
inline void form(std::string_view input) {
  const auto whole = parse_in_pieces(input, input.size() + 1);
  promise(parse_in_pieces(input, 1) == whole);
  promise(parse_in_pieces(input, 7) == whole);
  (void)form_boundary(input);
}

// A policy that is read can be written, and reads the same again; judging never falls over.
inline void policy(std::string_view input) {
  auto read = read_policy(to_base64(input));
  (void)read_policy(input);
  if (!read) return;
  auto again = read_policy(to_base64(policy_document(*read)));
  bool dollars = false; // \$ is read as $, and is not written back
  for (const auto& c : read->conditions)
    dollars = dollars || c.value.find('$') != c.value.npos || c.field.find('$') != c.field.npos;
  promise(dollars || (again && again->conditions == read->conditions && again->length == read->length &&
                      again->expires == read->expires));
  std::vector<form_field> fields{{"key", "a"}, {"Content-Type", "text/plain"}, {"x-amz-algorithm", "AWS4-HMAC-SHA256"}};
  for (const auto& c : read->conditions) (void)judge(*read, fields, c.value, read->expires - std::chrono::seconds(1));
  expand_filename(fields, input);
}

inline const signer& test_signer() {
  static const signer s({secret("a secret for fuzzing only")});
  return s;
}

// No bytes are a claim but those that were signed; what was signed is read back the same.
inline void claim(std::string_view input) {
  const seconds_clock now{std::chrono::seconds(1'800'000'000)};
  promise(!test_signer().read_claim(input, now));
  // Short enough for a token. A claim holds text: what was cut inside a character is none.
  const std::string text(is_utf8(input.substr(0, 1000)) ? input.substr(0, 1000) : "plain");
  postern::claim c{"id", "default", text, "bucket", "k" + text, {1, 2}, text, text, now + std::chrono::hours(1)};
  const auto token = test_signer().sign_claim(c);
  auto back = test_signer().read_claim(token, now);
  promise(token.size() > 8192 || (back && *back == c));
}

inline void sign_request(std::string_view input) {
  auto ask = parse_sign_request(input);
  if (ask) promise(!ask->filename.empty());
}

// What is read of an event names an object. What is asked for SNS's sake is asked of Amazon, whatever the envelope
// says.
inline void event(std::string_view input) {
  const auto at_amazon = [](const result<sns_url>& at) {
    promise(!at || (at->url.starts_with("https://" + at->host) && at->host.starts_with("sns.") &&
                    (at->host.ends_with(".amazonaws.com") || at->host.ends_with(".amazonaws.com.cn"))));
  };
  at_amazon(certificate_url(input));
  auto document = read_json(input);
  if (!document) return;
  if (is_sns(*document)) {
    auto m = read_sns(*document);
    if (!m) return;
    at_amazon(certificate_url(m->certificate_url));
    at_amazon(confirmation_url(m->subscribe_url, m->topic));
    promise(signed_text(*m).starts_with("Message\n" + m->message + "\nMessageId\n"));
    document = read_json(m->message);
    if (!document) return;
  }
  auto events = read_events(*document);
  if (!events) return;
  promise(events->size() <= max_events);
  for (const auto& e : *events) {
    promise(!e.created || (!e.bucket.empty() && !e.key.empty() && e.key.size() <= 1024));
    for (const auto& id : ids_in_key(e.key)) promise(is_uuid(id));
  }
}

} // namespace postern::fuzz
