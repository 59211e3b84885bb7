// The fuzz targets for core and base, as functions of one input. tests/core/fuzz_core_seeds_test runs the same
// functions, without libFuzzer, on the seeds and on all inputs that once failed.
#pragma once

#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/core/claim.hpp>
#include <postern/core/download_rules.hpp>
#include <postern/core/events/event.hpp>
#include <postern/core/events/sns.hpp>
#include <postern/core/http/byte_range.hpp>
#include <postern/core/http/jwt.hpp>
#include <postern/core/http/url.hpp>
#include <postern/core/multipart/part_sizes.hpp>
#include <postern/core/multipart/parts_request.hpp>
#include <postern/core/resumable/ietf_upload.hpp>
#include <postern/core/resumable/resumable.hpp>
#include <postern/core/resumable/tus.hpp>
#include <postern/core/s3/form.hpp>
#include <postern/core/s3/form_promise.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/core/sign_request.hpp>
#include <postern/core/upload.hpp>

#include <algorithm>
#include <array>
#include <fuzz/require.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace postern::fuzz {

struct parsed_form {
  std::string data;
  std::size_t fields = 0;
  int ended = 0; // 0 still going, 1 done, 2 failed
  errc code{};
  bool keeps_promise = false; // that nothing follows its file
  bool operator==(const parsed_form&) const = default;
};

inline parsed_form parse_in_pieces(std::string_view body, std::size_t step) {
  form_limits limits;
  limits.max_before_file = 2000;
  limits.max_part_headers = 500;
  form_parser parser("B", limits);
  parsed_form out;
  const auto whole = body;
  std::optional<form_promise> promise;
  bool is_broken = false, has_file_ended = false;
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
      if (*event == form_parser::event::file_begin) {
        if (auto made = form_promise::read(parser, whole.size())) promise = *made;
      }
      has_file_ended = has_file_ended || *event == form_parser::event::file_end;
      if (*event == form_parser::event::file_data) {
        require(!parser.data().empty());
        out.data.append(parser.data().data(), parser.data().size());
      }
      if (*event == form_parser::event::need_more) break;
    }
    require(out.ended || (piece.empty() && parser.consumed() == pushed));
    is_broken = is_broken || (promise && !promise->check(out.data.size(), has_file_ended));
  }
  out.fields = parser.fields().size();
  if (!out.ended) out.ended = parser.finish() ? 1 : 0;
  out.keeps_promise = promise && !is_broken && promise->check_end(parser);
  if (out.keeps_promise) { // then the file is all that stands between its header and the closing delimiter
    require(out.ended == 1 && out.data.size() == promise->size());
    require(whole.ends_with(out.data + "\r\n--B--\r\n"));
  }
  return out;
}

// A form parses the same, into whatever pieces it is cut.
inline void form(std::string_view input) {
  const auto whole = parse_in_pieces(input, input.size() + 1);
  require(parse_in_pieces(input, 1) == whole);
  require(parse_in_pieces(input, 7) == whole);
  (void)form_boundary(input);
}

// A policy that was parsed round-trips through its text. judge() never crashes.
inline void policy(std::string_view input) {
  auto read = read_policy(to_base64(input));
  (void)read_policy(input);
  if (!read) return;
  auto again = read_policy(to_base64(policy_document(*read)));
  bool dollars = false; // \$ is read as $, and is not written back
  for (const auto& c : read->conditions)
    dollars = dollars || c.value.find('$') != c.value.npos || c.field.find('$') != c.field.npos;
  require(dollars || (again && again->conditions == read->conditions && again->length == read->length &&
                      again->expires == read->expires));
  std::vector<form_field> fields{{"key", "a"}, {"Content-Type", "text/plain"}, {"x-amz-algorithm", "AWS4-HMAC-SHA256"}};
  for (const auto& c : read->conditions) (void)judge(*read, fields, c.value, read->expires - std::chrono::seconds(1));
  expand_filename(fields, input);
}

inline const signer& test_signer() {
  static const signer s({secret("a secret for fuzzing only")});
  return s;
}

// Only signed bytes are a claim. If a payload can be read, then the claim is signed and read back unchanged until it
// expires.
inline void claim(std::string_view input) {
  require(!test_signer().read_claim(input, seconds_clock{}));
  const auto payload = read_claim_payload(input);
  if (!payload) return;
  const auto again = read_claim_payload(claim_payload(*payload));
  require(again && *again == *payload);
  const auto token = test_signer().sign_claim(*payload);
  if (token.size() > 8192 || payload->expires == seconds_clock{}) return;
  const auto back = test_signer().read_claim(token, payload->expires - std::chrono::seconds(1));
  require(back && *back == *payload);
  require(!test_signer().read_claim(token, payload->expires));
  for (const auto at : {std::size_t{0}, token.size() / 2, token.size() - 1}) {
    auto altered = token;
    altered[at] = altered[at] == 'A' ? 'B' : 'A';
    require(!test_signer().read_claim(altered, seconds_clock{}));
  }
}

// The keys of RFC 7515 A.1 and A.3, and RFC 8037 A.2. Nobody signs tokens with them.
inline const std::vector<token_key>& test_keys() {
  static const auto set = read_key_set(
      R"({"keys":[{"kty":"oct","kid":"s","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjA)"
      R"(zZr1Z9CAow"},{"kty":"EC","crv":"P-256","kid":"e","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
      R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},)"
      R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})",
      shared_secrets::allowed);
  return set.value().keys;
}

// The input as a token, signed with that secret.
inline std::string sign_jwt(std::string_view secret_key, std::string_view header, std::string_view payload) {
  const auto text = to_base64url(header) + "." + to_base64url(payload);
  const auto mac = hmac_sha256(secret_key, text);
  return text + "." + to_base64url({reinterpret_cast<const char*>(mac.data()), mac.size()});
}

// A token that was accepted has a subject that may stand in a key, and has not expired. Nothing can be changed in it.
inline void accepted_jwt(const std::string& token, const std::vector<token_key>& keys, seconds_clock now) {
  const auto verify = [&](std::string_view text) -> result<token_claims> {
    const auto read = read_token(text);
    if (!read) return read.error();
    return verify_token(*read, keys, {}, now);
  };
  const auto claims = verify(token);
  if (!claims) return require(claims.error().code == errc::unauthorized && !claims.error().on.empty());
  const auto& subject = claims->subject;
  require(!subject.empty() && subject.size() <= max_key_part && is_utf8(subject) && subject != "." && subject != "..");
  require(subject.find_first_of("/\\") == subject.npos && subject.find('\0') == subject.npos);
  require(claims->expires_at > now - token_rules{}.leeway);
  for (const auto at : {std::size_t{0}, token.size() / 2, token.size() - 1}) {
    auto altered = token;
    altered[at] = altered[at] == 'A' ? 'B' : 'A';
    require(!verify(altered));
  }
}

// Nobody but the holder of the secret makes a token. The input is tried as a token, as the payload and as the header of
// a signed token, and as a key set.
inline void jwt(std::string_view input) {
  const seconds_clock now{std::chrono::seconds(1'000'000)};
  require(test_keys().size() == 3);
  if (const auto token = read_token(input)) {
    require(input.size() <= max_jwt && std::count(input.begin(), input.end(), '.') == 2);
    require(!verify_token(*token, test_keys(), {}, now) && !verify_token(*token, {}, {}, now));
  }
  static constexpr std::string_view known = "a secret of the fuzz target, 32 bytes or more";
  static const std::vector<token_key> keys{{"", verifying_key::from_secret(secret(std::string(known))).value()}};
  accepted_jwt(sign_jwt(known, R"({"alg":"HS256"})", input), keys, now);
  accepted_jwt(sign_jwt(known, input, R"({"sub":"a","exp":1000001})"), keys, now);
  const auto set = read_key_set(input, shared_secrets::refused);
  if (!set) return require(set.error().code == errc::invalid_argument && !set.error().on.empty());
  require(!set->keys.empty() && set->keys.size() + set->left_out.size() <= max_token_keys);
  for (const auto& one : set->keys) require(one.key.kind() != verifying_key::algorithm::hs256);
}

// A part is inside its object and not empty. The input is tried as a Range field, as a type and as a key.
inline void download(std::string_view input) {
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{100}, UINT64_MAX}) {
    const auto r = choose_range(input, size);
    if (r.as == byte_range::answer::whole) require(r.first == 0 && r.length == size);
    if (r.as == byte_range::answer::outside) require(r.length == 0);
    if (r.as == byte_range::answer::part) require(r.length > 0 && r.first < size && r.length <= size - r.first);
  }
  profile open;
  open.download = shown_where::in_browser;
  for (const auto& [type, key] : {std::pair{input, std::string_view("a/b")}, {"image/png", input}}) {
    const auto shown = show_object(open, type, key);
    for (const auto& text : {shown.content_type, shown.content_disposition})
      for (const char c : text) require(c >= 0x20 && c < 0x7f);
    require(lower(shown.content_type.substr(0, shown.content_type.find(';'))).find("html") == std::string::npos);
    require(std::count(shown.content_disposition.begin(), shown.content_disposition.end(), '"') == 2);
    require(shown.content_disposition.size() < 1200);
  }
}

inline bool same(const json_value& a, const json_value& b) {
  const auto number = [](const json_value& v) {
    return v.if_int() ? static_cast<double>(*v.if_int()) : *v.if_double();
  };
  if ((a.if_int() || a.if_double()) && (b.if_int() || b.if_double())) return number(a) == number(b);
  if (a.if_string() && b.if_string()) return *a.if_string() == *b.if_string();
  if (a.if_bool() && b.if_bool()) return *a.if_bool() == *b.if_bool();
  if (a.if_array() && b.if_array())
    return std::equal(a.if_array()->begin(), a.if_array()->end(), b.if_array()->begin(), b.if_array()->end(), same);
  if (a.if_object() && b.if_object())
    return std::equal(a.if_object()->begin(), a.if_object()->end(), b.if_object()->begin(), b.if_object()->end(),
                      [](const auto& x, const auto& y) { return x.first == y.first && same(x.second, y.second); });
  return a.is_null() && b.is_null();
}

// A document that was parsed round-trips through its text. Any text can be written; UTF-8 comes back unchanged.
inline void json(std::string_view input) {
  std::string text;
  append_json_string(text, input);
  require(text.find_first_of("<>&") == text.npos && is_utf8(text));
  const auto read = read_json(text);
  require(read && read->if_string() && (!is_utf8(input) || *read->if_string() == input));
  const auto document = read_json(input);
  if (!document) return;
  const auto written = indented(*document);
  const auto again = read_json(written);
  require(again && same(*again, *document));
}

// The strict reading of a URL accepts no more than the lenient one, and both agree on the server.
inline void url(std::string_view input) {
  const auto read = parse_web_url(input);
  const auto origin = origin_of(input);
  require(is_web_url(input) == !origin.empty());
  require(target_of(input).empty() == origin.empty());
  if (!origin.empty()) {
    const auto again = parse_web_url(origin);
    require(again && again->server.origin() == origin && again->target == "/");
    require(is_web_url(with_parameter(std::string(input), "name", "a value")));
  }
  if (!read) return;
  require(read->server.origin() == origin && read->target.starts_with('/'));
  require(target_of(input) == read->target || read->target.starts_with("/?"));
  (void)has_dot_segment(input);
}

inline void sign_request(std::string_view input) {
  auto ask = parse_sign_request(input);
  if (ask) require(!ask->filename.empty());
}

// What was refused says why. What may be appended lies within the file and its limits.
inline void resumable_append(const append_request& ask) {
  for (const bool is_complete : {false, true})
    for (const std::optional<std::uint64_t> length : {std::optional<std::uint64_t>(), ask.length, {std::uint64_t{100}}})
      for (const std::uint64_t stored : {ask.offset, std::uint64_t{0}}) {
        const resumable_state have{stored, length, 1, std::uint64_t{1} << 62, is_complete};
        const auto after = check_append(have, ask);
        if (!after) {
          require(!after.error().on.empty() && text_of(after.error().code).status < 500);
          continue;
        }
        require(ask.offset == (is_complete ? length.value_or(stored) : stored) && (!length || *after == length));
        require(!ask.announced || *ask.announced <= after->value_or(have.max_length) - ask.offset);
        require(!is_complete || ask.announced == std::uint64_t{0});
      }
}

// What may be signed: a named file, and metadata that the headers of an object can have, each once.
inline void resumable_sign_request(const postern::sign_request& ask) {
  require(!ask.filename.empty() && ask.filename.size() <= max_filename && is_utf8(ask.filename) && !ask.checksum);
  require(!ask.content_type || is_content_type(*ask.content_type));
  std::map<std::string, int> seen;
  for (const auto& [name, value] : ask.metadata) {
    require(is_plain_name(name) && name == lower(name) && ++seen[name] == 1 && is_utf8(value));
    require(std::none_of(value.begin(), value.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }));
  }
}

template <class T> bool is_read(const result<T>& read) {
  if (read) return true;
  require(read.error().code == errc::bad_request || read.error().code == errc::unsupported_type);
  require(!read.error().on.empty());
  return false;
}

// The lines of the input are header fields of tus and of the IETF's draft, in the order of tus::fields; the last one
// has a Content-Disposition.
inline void resumable(std::string_view input) {
  std::array<std::string_view, 8> line;
  for (auto& l : line) {
    l = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(l.size() + 1, input.size()));
  }
  const std::optional<std::uint64_t> announced = parse_number(line[7]);
  const tus::fields t{line[0], line[1], line[2], line[3], line[4], line[5], line[6]};
  if (const auto c = tus::read_creation(t); is_read(c)) {
    require(c->length.has_value() == !line[0].empty() && c->metadata.size() <= tus::max_metadata_pairs);
    if (const auto ask = tus::sign_request_of(*c); is_read(ask)) resumable_sign_request(*ask);
  }
  if (const auto a = tus::read_append(t, announced); is_read(a)) resumable_append(a->what);
  const ietf_upload::fields f{line[1], line[0], line[4], line[7], line[6]};
  if (const auto c = ietf_upload::read_creation(f, announced); is_read(c)) {
    require(c->what.offset == 0 && c->ask.metadata.empty());
    resumable_append(c->what);
    resumable_sign_request(c->ask);
  }
  const auto version = ietf_upload::read_version(line[3]);
  if (!is_read(version)) return;
  const auto known = version->value_or(ietf_upload::version::unknown);
  require(ietf_upload::name_of(known).empty() == (known == ietf_upload::version::unknown));
  if (const auto a = ietf_upload::read_append(f, announced, known); is_read(a)) resumable_append(*a);
}

// The parts that were read are parts that a file can have, each once. Only signed bytes are an upload token.
inline void parts(std::string_view input) {
  const auto may_be = [](int number) { return number >= 1 && number <= max_parts; };
  if (const auto asked = parse_parts_body(input)) {
    require(!asked->empty() && asked->size() <= max_parts_asked);
    std::map<int, int> seen;
    for (const auto& part : *asked) require(may_be(part.number) && ++seen[part.number] == 1);
  } else {
    require(asked.error().code == errc::bad_request && !asked.error().on.empty());
  }
  if (const auto etags = parse_complete_body(input)) {
    for (const auto& [number, etag] : *etags) require(may_be(number) && !etag.empty() && etag.find('"') == etag.npos);
  } else {
    require(etags.error().code == errc::bad_request && !etags.error().on.empty());
  }
  const seconds_clock end{std::chrono::seconds(1000)};
  require(!test_signer().read_upload_token(input, seconds_clock{}));
  const auto token = test_signer().sign_upload_token("01a20a86-41d4-7ac8-8ecb-000000000010", end);
  auto altered = token;
  for (std::size_t n = 0; n < std::min(input.size(), altered.size()); ++n) altered[n] = input[n];
  require(altered == token || !test_signer().read_upload_token(altered, seconds_clock{}));
  require(!test_signer().read_upload_token(token, end));
}

// An event that was parsed names an object. URLs that are requested for SNS are Amazon's, whatever the envelope
// contains.
inline void event(std::string_view input) {
  const auto at_amazon = [](const result<sns_url>& at) {
    require(!at || (at->url.starts_with("https://" + at->host) && at->host.starts_with("sns.") &&
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
    require(signed_text(*m).starts_with("Message\n" + m->message + "\nMessageId\n"));
    document = read_json(m->message);
    if (!document) return;
  }
  auto read = read_events(*document);
  if (!read) return;
  require(read->events.size() + read->rejected.size() <= max_events);
  for (const auto& e : read->events) {
    require(!e.created || (!e.bucket.empty() && !e.key.empty() && e.key.size() <= 1024));
    for (const auto& id : ids_in_key(e.key)) require(is_uuid(id));
  }
}

} // namespace postern::fuzz
