#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/core/s3/form_signature.hpp>
#include <postern/flow/complete.hpp>
#include <postern/flow/read_form.hpp>

#include <algorithm>

namespace postern {
namespace {

constexpr std::size_t header_buffer = 16 << 10; // enough for a form's fields; the transfer has larger ones for the file
// Fields that may follow the file: a submit button or two. S3 ignores them too.
constexpr std::uint64_t max_behind_file = 64 << 10;

metrics::counter stored_count("postern_uploads_total", "Uploads through the fallback by outcome", "outcome=\"stored\"");
metrics::counter rejected_count("postern_uploads_total", "Uploads through the fallback by outcome",
                                "outcome=\"rejected\"");

// Finds the file in a form whose fields are read. Fields after the file are ignored, but the form must end correctly.
class form_decoder final : public file_decoder {
public:
  explicit form_decoder(form_parser& parser) : parser_(parser) {}

  result<void> decode(std::span<const char> piece, runs& out) override {
    for (;;) {
      auto event = parser_.next(piece);
      if (!event) return event.error();
      if (*event == form_parser::event::need_more) break;
      if (*event == form_parser::event::file_data) out.push_back(parser_.data());
      if (*event == form_parser::event::file_end) file_end_ = parser_.consumed();
    }
    if (file_end_ && parser_.consumed() - *file_end_ > max_behind_file)
      return failure{errc::malformed_form, "more than 64 KiB of fields follow the file"};
    return {};
  }
  result<void> finish() override {
    if (!file_end_) return failure{errc::incomplete_body, "the body ended inside the file"};
    return parser_.finish();
  }

private:
  form_parser& parser_;
  std::optional<std::uint64_t> file_end_; // bytes of the body up to the end of the file
};

} // namespace

void throw_exception_from_error(const rejected_form& r, const boost::source_location& where) {
  throw_exception_from_error(r.why, where);
}

// The state of one form while it is read and judged.
struct form_reader::upload_form {
  upload_form(std::string_view boundary, const form_limits& limits) : parser(boundary, limits), decoder(parser) {}

  form_parser parser;
  form_decoder decoder;
  read_buffer buffer{header_buffer};
  std::span<const char> rest; // bytes in `buffer` that the parser has not seen
  form_details details;       // known once the form is judged
};

task<read_form_result> form_reader::take(form_request ask, byte_source& body) {
  auto boundary = form_boundary(ask.content_type);
  if (!boundary) co_return rejected_form{boundary.error(), ""};
  upload_form f(*boundary, options_.limits);
  auto stored = co_await store_file(f, std::move(ask), body);
  if (!stored) {
    rejected_count.add();
    auto where = f.details.claimed ? failed_return(*f.details.claimed, stored.error()) : std::string{};
    co_return rejected_form{stored.error(), std::move(where)};
  }
  stored_count.add();
  const auto& row = f.details.plan.row;
  accepted_form done{row.id, row.bucket, row.key, std::move(*stored), {}, f.details.status};
  if (!f.details.redirect.empty())
    done.redirect = with_result(f.details.redirect, row.bucket, row.key, done.object.etag);
  co_return done;
}

task<result<stored_object>> form_reader::store_file(upload_form& f, form_request ask, byte_source& body) {
  auto step = co_await read_fields(f, body);
  if (step) step = judge_form(f, ask.bucket);
  if (step) step = co_await require_unused(f);
  result<incoming_file> file = step ? file_of(f, body) : step.error();
  if (!file) {
    log::info("form rejected", {{"upload", f.details.plan.row.id}, {"why", describe(file.error())}});
    co_return file.error();
  }
  co_return co_await transfers_.carry(f.details.plan, std::move(*file));
}

// Reads the form up to the file's first byte.
task<result<void>> form_reader::read_fields(upload_form& f, byte_source& body) const {
  for (;;) {
    auto event = f.parser.next(f.rest);
    if (!event) co_return event.error();
    if (*event == form_parser::event::file_begin) co_return result<void>{};
    if (*event != form_parser::event::need_more) continue;
    auto n = co_await body.read_some(f.buffer.all());
    if (!n) co_return n.error();
    if (*n == 0) {
      auto whole = f.parser.finish();
      co_return whole ? result<void>(failure{errc::missing_file, "the form has no field named file"}) : whole;
    }
    f.rest = std::span<const char>(f.buffer.all()).first(*n);
  }
}

result<void> form_reader::authenticate(const std::vector<form_field>& fields) const {
  const auto* text = find_field(fields, "policy");
  if (!text) return failure{errc::forbidden, "the form has no policy"};
  if (const auto* own = find_field(fields, "x-ignore-postern"); own && own_.verify_policy(*text, *own)) return {};
  const auto current = options_.credentials();
  if (!current)
    return failure{errc::unavailable,
                   "there are no S3 credentials to verify the form's signature with; run postern doctor"};
  return verify_form_signature(fields, *text, current->keys, options_.region);
}

// Checks everything that S3 checks before the file's first byte.
result<void> form_reader::judge_form(upload_form& f, const std::string& bucket) const {
  auto& fields = f.parser.fields();
  if (!find_field(fields, "key")) return failure{errc::missing_key, "the form has no field named key"};
  if (auto authentic = authenticate(fields); !authentic) return authentic;
  auto rules = read_policy(*find_field(fields, "policy"));
  if (!rules) return rules.error();
  expand_filename(fields, f.parser.file().filename);
  if (auto usable = check_fields(fields); !usable) return usable.error();
  const auto now = options_.clock();
  // The form is authentic from here on, so its user may be sent back to return_to even when the form is refused.
  f.details = details_of(fields, bucket, own_, now);
  auto& row = f.details.plan.row;
  auto length = judge(*rules, fields, bucket, std::chrono::floor<std::chrono::seconds>(now));
  if (!length) return length.error();
  row.min_size = length->min;
  row.max_size = length->max;
  row.expires_at = rules->expires;
  if (!is_served(options_.buckets, bucket)) return failure{errc::no_such_bucket, quote(bucket)};
  if (f.details.claimed && !covers_key(f.details.claimed->key, row.key))
    return failure{errc::policy_mismatch, "the claim names another key"};
  auto expected = checksums::read(fields);
  if (!expected) return expected.error();
  f.details.plan.expected = std::move(*expected);
  return {};
}

// A form that was made before the file's name was known fits every name, but is one upload.
task<result<void>> form_reader::require_unused(const upload_form& f) {
  const auto& row = f.details.plan.row;
  if (!f.details.claimed || !f.details.claimed->key.ends_with(filename_variable)) co_return result<void>{};
  auto known = co_await ledger_.find(row.id);
  if (known && known->state == upload_state::completed && known->key != row.key)
    co_return failure{errc::conflict, "the form was used before, for another file; ask for a new one"};
  co_return result<void>{}; // a ledger that cannot be read now fails the upload when the completion is recorded
}

// The file's size is predicted from the announced length. Fields that follow the file make it smaller than predicted,
// so the prediction refuses a file only where it is certain.
result<incoming_file> form_reader::file_of(upload_form& f, byte_source& body) const {
  incoming_file file{body, f.decoder, std::nullopt, std::move(f.buffer), f.rest};
  if (const auto announced = body.announced_size()) {
    const auto allowed = f.details.plan.length();
    const auto rest = *announced - std::min(*announced, f.parser.consumed());
    file.predicted = rest - std::min<std::uint64_t>(rest, f.parser.shortest_ending());
    if (*file.predicted - std::min(*file.predicted, max_behind_file) > allowed.max) return file_too_large(allowed);
    if (rest < allowed.min) return file_too_small(allowed);
  }
  return file;
}

} // namespace postern
