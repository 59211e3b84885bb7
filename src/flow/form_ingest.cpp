#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/flow/complete.hpp>
#include <postern/flow/form_ingest.hpp>
#include <postern/flow/form_rules.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>

namespace postern {
namespace {

// Larger buffers mean fewer wakeups, here and at both peers. They are for large files, and for while there is room.
constexpr std::size_t smallest_buffer = 16 << 10, usual_buffer = 256 << 10, roomy_buffer = 1 << 20;
constexpr std::uint64_t large_file = 16 << 20;
constexpr std::uint64_t beside_buffers = 64 << 10; // fields, the parser, both connections' own bytes
constexpr std::chrono::milliseconds longest_wait = std::chrono::minutes(5); // for a share of the budget
constexpr std::uint64_t max_behind_file = 64
                                          << 10; // a submit button or two; more is not a form that S3 would like either

metrics::counter bytes_in("postern_received_bytes_total", "Bytes of files received through the fallback", "");
metrics::gauge in_flight("postern_transfers", "Uploads being received through the fallback", "");
metrics::counter stored_count("postern_uploads_total", "Uploads through the fallback by outcome", "outcome=\"stored\"");
metrics::counter rejected_count("postern_uploads_total", "Uploads through the fallback by outcome",
                                "outcome=\"rejected\"");

struct counted {
  counted() { in_flight.add(1); }
  ~counted() { in_flight.add(-1); }
};

// Bytes to read into, not set to zero first.
class buffer {
public:
  void resize(std::size_t n) { bytes_ = std::make_unique_for_overwrite<char[]>(n), size_ = n; }
  std::size_t size() const { return size_; }
  std::span<char> all() { return {bytes_.get(), size_}; }

private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
};

using runs = std::vector<std::span<const char>>;

task<result<void>> write_all(sink& into, const runs& what) {
  for (const auto& run : what) {
    auto written = co_await into.write(run);
    if (!written) co_return written.error();
  }
  co_return result<void>{};
}

} // namespace

void throw_exception_from_error(const rejected_form& r, const boost::source_location& where) {
  throw_exception_from_error(r.why, where);
}

// --- transfers --------------------------------------------------------------------------------------

transfers::entry::entry(transfers& in, std::string id)
    : in_(in), id_(std::move(id)), bytes_(std::make_shared<std::atomic<std::uint64_t>>(0)) {
  std::lock_guard lock(in_.mutex_);
  in_.all_.emplace(id_, bytes_);
}

transfers::entry::~entry() {
  std::lock_guard lock(in_.mutex_);
  const auto [first, last] = in_.all_.equal_range(id_);
  in_.all_.erase(std::find_if(first, last, [&](const auto& e) { return e.second == bytes_; }));
}

std::optional<std::uint64_t> transfers::received(const std::string& id) const {
  std::lock_guard lock(mutex_);
  const auto [first, last] = all_.equal_range(id);
  std::optional<std::uint64_t> max;
  for (auto i = first; i != last; ++i) max = std::max(max.value_or(0), i->second->load(std::memory_order_relaxed));
  return max;
}

std::vector<std::pair<std::string, std::uint64_t>> transfers::all() const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, std::uint64_t>> out;
  for (const auto& [id, bytes] : all_) {
    const auto n = bytes->load(std::memory_order_relaxed);
    if (!out.empty() && out.back().first == id)
      out.back().second = std::max(out.back().second, n);
    else
      out.emplace_back(id, n);
  }
  return out;
}

// --- one upload -------------------------------------------------------------------------------------

struct form_ingest::transfer {
  transfer(form_request a, byte_source& b, std::string_view boundary, const form_limits& limits)
      : ask(std::move(a)), body(b), parser(boundary, limits) {
    filling.resize(smallest_buffer); // enough for a form's fields; the file gets more once it is admitted
  }

  byte_budget::ticket reserved; // first, so that it is given back last

  form_request ask;
  byte_source& body;
  form_parser parser;
  std::size_t buffer_size = smallest_buffer;
  buffer filling, draining;    // one is read into while the other is written from
  std::span<const char> piece; // bytes in `draining` or `filling` that the parser has not seen
  form_facts facts;            // known once admitted
  checksums expected;
  std::unique_ptr<sink> into;
  std::optional<transfers::entry> progress;
  std::uint64_t size = 0;
  stored_object object;
};

task<form_ingest_result> form_ingest::take(form_request ask, byte_source& body) {
  auto boundary = form_boundary(ask.content_type);
  if (!boundary) co_return rejected_form{boundary.error(), "", ""};
  const counted now_running;
  transfer t(std::move(ask), body, *boundary, options_.limits);
  auto done = co_await run(t);
  if (!done) {
    rejected_count.add();
    co_await give_up(t, done.error());
    auto where = t.facts.its ? failed_return(*t.facts.its, done.error()) : std::string{};
    co_return rejected_form{done.error(), std::move(where), t.facts.row.id};
  }
  stored_count.add();
  auto& row = t.facts.row;
  auto redirect =
      t.facts.redirect.empty() ? std::string{} : with_result(t.facts.redirect, row.bucket, row.key, t.object.etag);
  co_return accepted_form{row.id, row.bucket, row.key, std::move(t.object), std::move(redirect), t.facts.status};
}

task<result<void>> form_ingest::run(transfer& t) {
  auto step = co_await read_fields(t);
  if (step) step = admit(t);
  if (step) step = co_await require_unused(t);
  if (step) step = co_await reserve(t);
  if (step) step = co_await open_sink(t);
  if (step) step = co_await stream(t);
  if (step) step = co_await read_ending(t);
  if (step) step = co_await finish(t);
  if (step) step = co_await record(t);
  co_return step;
}

// Up to the file's first byte.
task<result<void>> form_ingest::read_fields(transfer& t) {
  for (;;) {
    auto event = t.parser.next(t.piece);
    if (!event) co_return event.error();
    if (*event == form_parser::event::file_begin) co_return result<void>{};
    if (*event != form_parser::event::need_more) continue;
    auto n = co_await t.body.read_some(t.filling.all());
    if (!n) co_return n.error();
    if (*n == 0) {
      auto whole = t.parser.finish();
      co_return whole ? result<void>(failure{errc::missing_file, "the form"}) : whole;
    }
    t.piece = std::span<const char>(t.filling.all()).first(*n);
  }
}

result<void> form_ingest::authenticate(const std::vector<form_field>& fields) const {
  const auto* text = find_field(fields, "policy");
  if (!text) return failure{errc::forbidden, "the form has no policy"};
  if (const auto* own = find_field(fields, "x-ignore-postern"); own && own_.verify_policy(*text, *own)) return {};
  const auto held = options_.credentials();
  if (!held)
    return failure{errc::unavailable, "there are no credentials to check the form's signature with at the moment"};
  return verify_aws_signature(fields, *text, held->keys, options_.region);
}

// May this form be? Everything that S3 would judge before the first byte of the file.
result<void> form_ingest::admit(transfer& t) const {
  auto& fields = t.parser.fields();
  if (!find_field(fields, "key")) return failure{errc::missing_key, "the form"};
  if (auto authentic = authenticate(fields); !authentic) return authentic;
  auto rules = read_policy(*find_field(fields, "policy"));
  if (!rules) return rules.error();
  expand_filename(fields, t.parser.file().filename);
  if (auto fits = bounded(fields); !fits) return fits.error();
  const auto now = options_.clock();
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  // From here on the form is one that we or the key's owner made, so its user may be sent back even when it is refused.
  t.facts = facts_of(fields, t.ask.bucket, own_, now);
  auto length = judge(*rules, fields, t.ask.bucket, second);
  if (!length) return length.error();
  t.facts.length = *length;
  t.facts.row.min_size = length->min;
  t.facts.row.max_size = length->max;
  t.facts.row.expires_at = rules->expires;
  if (!is_served(options_.buckets, t.ask.bucket)) return failure{errc::no_such_bucket, quote(t.ask.bucket)};
  if (t.facts.its && !names(t.facts.its->key, t.facts.row.key))
    return failure{errc::policy_mismatch, "the claim names another key"};
  auto expected = checksums::read(fields);
  if (!expected) return expected.error();
  t.expected = std::move(*expected);
  return {};
}

// A form that was made before the file's name was known fits every name, but is one upload.
task<result<void>> form_ingest::require_unused(transfer& t) {
  if (!t.facts.its || !t.facts.its->key.ends_with("${filename}")) co_return result<void>{};
  auto known = co_await ledger_.find(t.facts.row.id);
  if (known && known->state == upload_state::completed && known->key != t.facts.row.key)
    co_return failure{errc::conflict, "the form was used before, for another file; ask for a new one"};
  co_return result<void>{}; // a ledger that cannot be asked will say so when it is to record
}

// All of it before the file's first byte, and nothing more later: else those who have begun could wait for each other
// for ever. Only for a form that is admitted, so that strangers cannot use the budget up.
task<result<void>> form_ingest::reserve(transfer& t) {
  const auto announced = t.body.announced();
  const auto needed = [&](std::size_t size) { return 2 * size + beside_buffers + store_.memory_for(announced); };
  t.buffer_size = std::clamp<std::uint64_t>(announced.value_or(usual_buffer), smallest_buffer, usual_buffer);
  if (announced.value_or(large_file) >= large_file && budget_.is_roomy(needed(roomy_buffer)))
    t.buffer_size = roomy_buffer;
  auto ticket = co_await budget_.take(needed(t.buffer_size), longest_wait);
  if (!ticket) co_return ticket.error();
  t.reserved = std::move(*ticket);
  co_return result<void>{};
}

// The file's size is predicted from what was announced, and believed only where it rules the upload out: fields behind
// the file make it smaller than predicted.
task<result<void>> form_ingest::open_sink(transfer& t) {
  std::optional<std::uint64_t> predicted;
  if (const auto announced = t.body.announced()) {
    const auto rest = *announced - std::min(*announced, t.parser.consumed());
    predicted = rest - std::min<std::uint64_t>(rest, t.parser.shortest_ending());
    if (*predicted - std::min(*predicted, max_behind_file) > t.facts.length.max)
      co_return failure{errc::entity_too_large, "at most " + std::to_string(t.facts.length.max) + " bytes"};
    if (rest < t.facts.length.min)
      co_return failure{errc::entity_too_small, "at least " + std::to_string(t.facts.length.min) + " bytes"};
  }
  object_name name{t.facts.row.bucket, t.facts.row.key};
  auto opened = co_await store_.open(std::move(name), t.facts.meta, predicted);
  if (!opened) co_return opened.error();
  t.into = std::move(*opened);
  t.progress.emplace(running_, t.facts.row.id);
  ledger_.receiving(t.facts.row);
  co_return result<void>{};
}

// Reads and writes at the same time: while the runs of one buffer go to the store, the next buffer fills.
task<result<void>> form_ingest::stream(transfer& t) {
  using namespace boost::asio::experimental::awaitable_operators;
  runs found;
  for (bool ended = false;;) {
    found.clear();
    while (!ended) {
      auto event = t.parser.next(t.piece);
      if (!event) co_return event.error();
      if (*event == form_parser::event::need_more) break;
      if (*event == form_parser::event::file_end) ended = true;
      if (*event != form_parser::event::file_data) continue;
      const auto run = t.parser.data();
      t.size += run.size();
      if (t.size > t.facts.length.max)
        co_return failure{errc::entity_too_large, "at most " + std::to_string(t.facts.length.max) + " bytes"};
      t.expected.add(run);
      t.progress->add(run.size());
      bytes_in.add(run.size());
      found.push_back(run);
    }
    if (ended) co_return co_await write_all(*t.into, found);
    std::swap(t.filling, t.draining);
    if (t.filling.size() < t.buffer_size) t.filling.resize(t.buffer_size); // all of it has been written by now
    auto both = write_all(*t.into, found) && t.body.read_some(t.filling.all());
    auto [written, n] = co_await std::move(both);
    if (!written) co_return written.error();
    if (!n) co_return n.error();
    if (*n == 0) co_return failure{errc::incomplete_body, "the body ended inside the file"};
    t.piece = std::span<const char>(t.filling.all()).first(*n);
  }
}

// What follows the file is ignored, but must be there: a body that stops is not a form.
task<result<void>> form_ingest::read_ending(transfer& t) {
  const auto begin = t.parser.consumed();
  for (;;) {
    while (!t.piece.empty()) {
      auto event = t.parser.next(t.piece);
      if (!event) co_return event.error();
      if (*event == form_parser::event::need_more) break;
    }
    if (t.parser.consumed() - begin > max_behind_file)
      co_return failure{errc::malformed_form, "more than 64 KiB of fields behind the file"};
    auto n = co_await t.body.read_some(t.filling.all());
    if (!n) co_return n.error();
    if (*n == 0) co_return t.parser.finish();
    t.piece = std::span<const char>(t.filling.all()).first(*n);
  }
}

task<result<void>> form_ingest::finish(transfer& t) {
  if (t.size < t.facts.length.min)
    co_return failure{errc::entity_too_small, "at least " + std::to_string(t.facts.length.min) + " bytes"};
  if (auto right = t.expected.check(); !right) co_return right.error();
  // A form without a claim is known by its row alone: were we to end behind the object and ahead of the row, nobody
  // would ever ask for it. The ledger keeps the order of its calls, so what open_sink wrote behind is durable then.
  if (!t.facts.its)
    if (auto durable = co_await ledger_.probe(); !durable) co_return durable.error();
  auto stored = co_await t.into->finish();
  if (!stored) co_return stored.error();
  t.object = std::move(*stored);
  t.into.reset();
  co_return result<void>{};
}

task<result<void>> form_ingest::record(transfer& t) {
  completion fact;
  fact.of = t.facts.row;
  fact.size = t.object.size;
  fact.etag = t.object.etag;
  fact.crc32c = t.object.crc32c;
  fact.at = options_.clock();
  fact.by = completion_source::fallback;
  auto recorded = co_await confirm_once(ledger_, std::move(fact));
  if (recorded) co_return result<void>{};
  log::error("completion not recorded", {{"upload", t.facts.row.id}, {"why", describe(recorded.error())}});
  // The object is there. A redirect leads to an endpoint that will record it; a bare success would be a promise that
  // nothing keeps.
  if (!t.facts.redirect.empty()) co_return result<void>{};
  co_return recorded.error();
}

task<> form_ingest::give_up(transfer& t, const failure& why) {
  const bool began = t.into != nullptr;
  if (t.into) co_await t.into->abandon();
  t.into.reset();
  log::info("upload rejected", {{"upload", t.facts.row.id}, {"why", describe(why)}, {"received", t.size}});
  if (!began) co_return;
  std::string code(text_of(why.code).name);
  (void)co_await ledger_.fail(t.facts.row, std::move(code), options_.clock());
}

} // namespace postern
