#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/core/s3/form_promise.hpp>
#include <postern/core/s3/form_signature.hpp>
#include <postern/core/s3/served_buckets.hpp>
#include <postern/flow/completion/complete.hpp>
#include <postern/flow/read_form.hpp>

#include <algorithm>

namespace postern {
namespace {

constexpr std::size_t header_buffer = transfers::first_buffer; // the transfer has larger ones for the file
constexpr std::uint64_t field_step = 4 << 10;                  // memory for fields is taken in such steps
// Fields that may follow the file: a submit button or two. S3 ignores them too.
constexpr std::uint64_t max_behind_file = 64 << 10;

metrics::counter stored_count("postern_uploads_total", "Uploads through the fallback by outcome", "outcome=\"stored\"");
metrics::counter rejected_count("postern_uploads_total", "Uploads through the fallback by outcome",
                                "outcome=\"rejected\"");

// Finds the file in a form whose fields are read. Fields after the file are ignored, unless the form promised that
// there are none, but the form must end correctly.
class form_decoder final : public file_decoder {
public:
  explicit form_decoder(form_parser& parser) : parser_(parser) {}

  result<void> decode(std::span<const char> piece, runs& out) override {
    for (;;) {
      auto event = parser_.next(piece);
      if (!event) return event.error();
      if (*event == form_parser::event::need_more) break;
      if (*event == form_parser::event::file_data) {
        out.push_back(parser_.data());
        bytes_ += parser_.data().size();
      }
      if (*event == form_parser::event::file_end) file_end_ = parser_.consumed();
    }
    if (promise_) return promise_->check(bytes_, file_end_.has_value());
    if (file_end_ && parser_.consumed() - *file_end_ > max_behind_file)
      return failure{errc::malformed_form, "more than 64 KiB of fields follow the file"};
    return {};
  }
  result<void> finish() override {
    if (promise_) return promise_->check_end(parser_);
    if (!file_end_) return failure{errc::incomplete_body, "the body ended inside the file"};
    return parser_.finish();
  }
  void hold_to(form_promise p) { promise_ = p; }
  std::uint64_t bytes() const { return bytes_; } // of the file, so far

private:
  form_parser& parser_;
  std::uint64_t bytes_ = 0;
  std::optional<form_promise> promise_;
  std::optional<std::uint64_t> file_end_; // bytes of the body up to the end of the file
};

// Counts and logs the end of each upload, however early it failed. `why`: nothing if the file is stored.
void note_end(const form_request& ask, const upload& row, std::uint64_t bytes,
              std::chrono::steady_clock::time_point since, const std::optional<failure>& why) {
  (why ? rejected_count : stored_count).add();
  const auto took = std::chrono::floor<std::chrono::milliseconds>(std::chrono::steady_clock::now() - since);
  log::info("upload ended", {{"request", ask.id},
                             {"upload", row.id},
                             {"caller", row.user},
                             {"client", ask.client},
                             {"way", "fallback"},
                             {"bytes", bytes},
                             {"ms", took.count()},
                             {"result", why ? "rejected" : "stored"},
                             {"reason", why ? describe(*why) : std::string{}}});
}

} // namespace

void throw_exception_from_error(const rejected_form& r, const boost::source_location& where) {
  throw_exception_from_error(r.why, where);
}

std::uint64_t form_reader::max_memory(const form_limits& limits) {
  return header_buffer + limits.max_before_file + 2 * field_step;
}

// The state of one form while it is read and judged.
struct form_reader::upload_form {
  upload_form(std::string_view boundary, const form_limits& limits) : parser(boundary, limits), decoder(parser) {}

  form_parser parser;
  form_decoder decoder;
  read_buffer buffer;
  std::span<const char> rest; // bytes in `buffer` that the parser has not seen
  form_details details;       // known once the form is judged
};

task<read_form_result> form_reader::take(form_request ask, byte_source& body, allowance& share) {
  const auto since = std::chrono::steady_clock::now();
  auto boundary = form_boundary(ask.content_type);
  if (!boundary) {
    const auto why = boundary.error();
    note_end(ask, {}, 0, since, why);
    co_return rejected_form{why, ""};
  }
  upload_form f(*boundary, options_.limits);
  auto stored = co_await store_file(f, ask.bucket, body, share);
  std::optional<failure> why;
  if (!stored) why = stored.error();
  note_end(ask, f.details.plan.row, f.decoder.bytes(), since, why);
  if (!stored) {
    // A redirect could not say when to try again.
    const bool may_return = f.details.claimed && stored.error().code != errc::too_many_requests;
    auto where = may_return ? failed_return(*f.details.claimed, stored.error()) : std::string{};
    co_return rejected_form{stored.error(), std::move(where)};
  }
  const auto& row = f.details.plan.row;
  accepted_form done{row.id, row.bucket, row.key, std::move(*stored), {}, f.details.status};
  if (!f.details.redirect.empty())
    done.redirect = with_result(f.details.redirect, row.bucket, row.key, done.object.etag);
  co_return done;
}

task<result<stored_object>> form_reader::store_file(upload_form& f, std::string bucket, byte_source& body,
                                                    allowance& share) {
  auto step = co_await read_fields(f, body, share);
  if (step) step = judge_form(f, bucket);
  if (step) step = count_try(f);
  result<incoming_file> file = step ? file_of(f, body, share) : step.error();
  if (!file) co_return file.error();
  std::exchange(f.parser.fields(), {}); // not needed while the file arrives, which may take long
  co_return co_await transfers_.carry(f.details.plan, std::move(*file));
}

// Reads the form up to the file's first byte.
task<result<void>> form_reader::read_fields(upload_form& f, byte_source& body, allowance& share) const {
  std::uint64_t paid = field_step;
  auto taken = co_await share.take_memory(header_buffer + paid);
  if (!taken) co_return taken.error();
  f.buffer = read_buffer(header_buffer);
  for (;;) {
    auto event = f.parser.next(f.rest);
    if (!event) co_return event.error();
    if (*event == form_parser::event::file_begin) co_return result<void>{};
    if (*event != form_parser::event::need_more) continue;
    while (f.parser.consumed() > paid) {
      taken = co_await share.take_memory(field_step);
      if (!taken) co_return taken.error();
      paid += field_step;
    }
    auto n = co_await body.read_some(f.buffer.all());
    if (!n) co_return n.error();
    if (*n == 0) {
      auto whole = f.parser.finish();
      co_return whole ? result<void>(failure{errc::missing_file, "the form has no field named file"}) : whole;
    }
    f.rest = std::span<const char>(f.buffer.all()).first(*n);
  }
}

result<void> form_reader::authenticate(const std::vector<form_field>& fields, const std::string& bucket) const {
  const auto* text = find_field(fields, "policy");
  if (!text) return failure{errc::forbidden, "the form has no policy"};
  if (const auto* own = find_field(fields, "x-ignore-postern"); own && own_.verify_policy(*text, *own)) return {};
  const auto* store = options_.find_store(bucket);
  if (!store) return {}; // no key says whether it is authentic; judge_form refuses it in any case
  const auto current = store->credentials();
  if (!current)
    return failure{errc::unavailable,
                   "there are no S3 credentials to verify the form's signature with; run postern doctor"};
  return verify_form_signature(fields, *text, current->keys, store->region);
}

// Checks everything that S3 checks before the file's first byte.
result<void> form_reader::judge_form(upload_form& f, const std::string& bucket) const {
  auto& fields = f.parser.fields();
  if (!find_field(fields, "key")) return failure{errc::missing_key, "the form has no field named key"};
  if (auto authentic = authenticate(fields, bucket); !authentic) return authentic;
  auto rules = read_policy(*find_field(fields, "policy"));
  if (!rules) return rules.error();
  expand_filename(fields, f.parser.file().filename);
  if (auto usable = check_fields(fields); !usable) return usable.error();
  const auto now = options_.clock();
  // The form is authentic from here on, so its user may be sent back to return_to even when the form is refused.
  f.details = details_of(fields, bucket, own_, now);
  auto& row = f.details.plan.row;
  // A form is valid while it is so by the store's clock or by this machine's: it may have been signed before the
  // difference was known.
  const auto* store = options_.find_store(bucket);
  const auto store_ahead = store ? std::min(store->ahead(), std::chrono::seconds(0)) : std::chrono::seconds(0);
  auto length = judge(*rules, fields, bucket, std::chrono::floor<std::chrono::seconds>(now + store_ahead));
  if (!length) return length.error();
  row.min_size = length->min;
  row.max_size = length->max;
  row.expires_at = rules->expires - store_ahead;
  if (!store) return failure{errc::no_such_bucket, quote(bucket)};
  if (f.details.claimed && !covers_key(f.details.claimed->key, row.key))
    return failure{errc::policy_mismatch, "the claim names another key"};
  if (f.details.claimed && f.details.claimed->key.ends_with(filename_variable))
    f.details.plan.signed_key = f.details.claimed->key;
  auto expected = checksums::read(fields);
  if (!expected) return expected.error();
  f.details.plan.expected = std::move(*expected);
  return {};
}

// A broken or hostile client posts the same form again and again.
result<void> form_reader::count_try(const upload_form& f) {
  return tries_.take(f.details.plan.row.id, std::chrono::steady_clock::now());
}

result<incoming_file> form_reader::file_of(upload_form& f, byte_source& body, allowance& share) const {
  incoming_file file{body, share, f.decoder, std::nullopt, std::move(f.buffer), f.rest};
  if (const auto announced = body.announced_size()) {
    auto size =
        form_promise::is_given(f.parser.fields()) ? promised_size(f, *announced) : predicted_size(f, *announced);
    if (!size) return size.error();
    file.size = *size;
  }
  return file;
}

// The file's size is predicted from the announced length. Fields that follow the file make it smaller than predicted,
// so the prediction refuses a file only where it is certain.
result<expected_size> form_reader::predicted_size(const upload_form& f, std::uint64_t announced) {
  const auto allowed = f.details.plan.length();
  const auto rest = announced - std::min(announced, f.parser.consumed());
  const auto predicted = rest - std::min<std::uint64_t>(rest, f.parser.shortest_ending());
  if (predicted - std::min(predicted, max_behind_file) > allowed.max) return file_too_large(allowed);
  if (rest < allowed.min) return file_too_small(allowed);
  return expected_size(predicted);
}

// The form promised that nothing follows its file.
result<expected_size> form_reader::promised_size(upload_form& f, std::uint64_t announced) {
  auto promise = form_promise::read(f.parser, announced);
  if (!promise) return promise.error();
  f.decoder.hold_to(*promise);
  const auto allowed = f.details.plan.length();
  if (promise->size() > allowed.max) return file_too_large(allowed);
  if (promise->size() < allowed.min) return file_too_small(allowed);
  // A client that sends a checksum wants the store to verify the bytes too. A store that takes no checksum behind them
  // can do that only if they are collected first.
  return expected_size(promise->size(), f.details.plan.expected.empty());
}

} // namespace postern
