#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/flow/complete.hpp>
#include <postern/flow/transfer.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>

namespace postern {
namespace {

// Larger buffers mean fewer wakeups, here and at both peers.
constexpr std::size_t min_buffer = 16 << 10, usual_buffer = 256 << 10, ample_buffer = 1 << 20;
constexpr std::uint64_t large_file = 16 << 20;     // from this size on, buffers may be large
constexpr std::uint64_t beside_buffers = 64 << 10; // fields, the decoder, both connections' own bytes
constexpr std::chrono::milliseconds max_wait = std::chrono::minutes(5); // for a share of the budget

metrics::counter bytes_in("postern_received_bytes_total", "Bytes of files received through the fallback", "");
metrics::gauge in_flight("postern_transfers", "Uploads being received through the fallback", "");

task<result<void>> write_all(sink& into, const file_decoder::runs& runs) {
  for (const auto& run : runs) {
    auto written = co_await into.write(run);
    if (!written) co_return written.error();
  }
  co_return result<void>{};
}

} // namespace

// --- running transfers ------------------------------------------------------------------------------

// Lists one transfer as running while it lives.
class transfers::entry {
public:
  entry(transfers& in, std::string id)
      : in_(in), id_(std::move(id)), bytes_(std::make_shared<std::atomic<std::uint64_t>>(0)) {
    in_flight.add(1);
    std::lock_guard lock(in_.mutex_);
    in_.running_.emplace(id_, bytes_);
  }
  entry(const entry&) = delete;
  entry& operator=(const entry&) = delete;
  ~entry() {
    in_flight.add(-1);
    std::lock_guard lock(in_.mutex_);
    const auto [first, last] = in_.running_.equal_range(id_);
    in_.running_.erase(std::find_if(first, last, [&](const auto& e) { return e.second == bytes_; }));
  }
  void add(std::uint64_t bytes) { bytes_->fetch_add(bytes, std::memory_order_relaxed); }

private:
  transfers& in_;
  const std::string id_;
  const std::shared_ptr<std::atomic<std::uint64_t>> bytes_;
};

std::optional<std::uint64_t> transfers::received(const std::string& id) const {
  std::lock_guard lock(mutex_);
  const auto [first, last] = running_.equal_range(id);
  std::optional<std::uint64_t> furthest; // of several transfers of the same form
  for (auto i = first; i != last; ++i)
    furthest = std::max(furthest.value_or(0), i->second->load(std::memory_order_relaxed));
  return furthest;
}

std::vector<std::pair<std::string, std::uint64_t>> transfers::list_received() const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, std::uint64_t>> out;
  for (const auto& [id, bytes] : running_) {
    const auto n = bytes->load(std::memory_order_relaxed);
    if (!out.empty() && out.back().first == id)
      out.back().second = std::max(out.back().second, n);
    else
      out.emplace_back(id, n);
  }
  return out;
}

// --- one transfer -----------------------------------------------------------------------------------

struct transfers::transfer {
  transfer(upload_plan& p, incoming_file f) : plan(p), file(std::move(f)) {}

  byte_budget::ticket reserved; // first, so that it is released after the buffers are freed

  upload_plan& plan;
  incoming_file file; // its buffer is the one that is being decoded and written
  read_buffer filling;
  std::size_t buffer_size = min_buffer;
  std::unique_ptr<sink> into;
  std::optional<entry> progress;
  std::uint64_t size = 0; // bytes of the file so far
  stored_object object;
};

task<result<stored_object>> transfers::carry(upload_plan& plan, incoming_file file) {
  transfer t(plan, std::move(file));
  auto done = co_await run(t);
  if (done) co_return std::move(t.object);
  co_await give_up(t, done.error());
  co_return done.error();
}

task<result<void>> transfers::run(transfer& t) {
  auto step = co_await reserve(t);
  if (step) step = co_await open_sink(t);
  if (step) step = co_await stream(t);
  if (step) step = co_await finish(t);
  if (step) step = co_await record(t);
  co_return step;
}

// All memory is reserved before the file is read. So transfers that have begun never wait for each other.
task<result<void>> transfers::reserve(transfer& t) {
  const auto announced = t.file.body.announced_size();
  const auto needed = [&](std::size_t size) { return 2 * size + beside_buffers + store_.memory_for(announced); };
  t.buffer_size = std::clamp<std::uint64_t>(announced.value_or(usual_buffer), min_buffer, usual_buffer);
  if (announced.value_or(large_file) >= large_file && budget_.has_ample_room(needed(ample_buffer)))
    t.buffer_size = ample_buffer;
  auto ticket = co_await budget_.take(needed(t.buffer_size), max_wait);
  if (!ticket) co_return ticket.error();
  t.reserved = std::move(*ticket);
  co_return result<void>{};
}

task<result<void>> transfers::open_sink(transfer& t) {
  object_name name{t.plan.row.bucket, t.plan.row.key};
  auto opened = co_await store_.open(std::move(name), t.plan.meta, t.file.predicted);
  if (!opened) co_return opened.error();
  t.into = std::move(*opened);
  t.progress.emplace(*this, t.plan.row.id);
  ledger_.start_receiving(t.plan.row);
  co_return result<void>{};
}

// Reads and writes at the same time: the bytes of one buffer go to the store while the other buffer fills.
task<result<void>> transfers::stream(transfer& t) {
  using namespace boost::asio::experimental::awaitable_operators;
  file_decoder::runs runs;
  for (;;) {
    runs.clear();
    if (auto decoded = decode(t, runs); !decoded) co_return decoded.error();
    if (t.filling.size() < t.buffer_size) t.filling.resize(t.buffer_size);
    auto both = write_all(*t.into, runs) && t.file.body.read_some(t.filling.all());
    auto [written, n] = co_await std::move(both);
    if (!written) co_return written.error();
    if (!n) co_return n.error();
    if (*n == 0) co_return t.file.decoder.finish();
    std::swap(t.filling, t.file.buffer);
    t.file.rest = std::span<const char>(t.file.buffer.all()).first(*n);
  }
}

result<void> transfers::decode(transfer& t, file_decoder::runs& out) {
  if (auto decoded = t.file.decoder.decode(t.file.rest, out); !decoded) return decoded;
  for (const auto& run : out) {
    t.size += run.size();
    if (t.size > t.plan.row.max_size) return file_too_large(t.plan.length());
    t.plan.expected.add(run);
    t.progress->add(run.size());
    bytes_in.add(run.size());
  }
  return {};
}

task<result<void>> transfers::finish(transfer& t) {
  if (t.size < t.plan.row.min_size) co_return file_too_small(t.plan.length());
  if (auto right = t.plan.expected.check(); !right) co_return right.error();
  // The ledger runs calls in order, so after the flush the row that open_sink has written behind is durable.
  if (!t.plan.has_claim)
    if (auto durable = co_await ledger_.flush(); !durable) co_return durable.error();
  auto stored = co_await t.into->finish();
  if (!stored) co_return stored.error();
  t.object = std::move(*stored);
  t.into.reset();
  co_return result<void>{};
}

task<result<void>> transfers::record(transfer& t) {
  auto recorded = co_await confirm_once(ledger_, t.plan.row, t.object, completion_source::fallback, clock_());
  if (recorded) co_return result<void>{};
  log::error("completion not recorded", {{"upload", t.plan.row.id}, {"why", describe(recorded.error())}});
  // The object exists. If no redirect will record the completion later, reporting success now would be wrong.
  if (t.plan.is_confirmed_later) co_return result<void>{};
  co_return recorded.error();
}

task<> transfers::give_up(transfer& t, const failure& why) {
  log::info("upload rejected",
            {{"upload", t.plan.row.id}, {"user", t.plan.who.user}, {"why", describe(why)}, {"received", t.size}});
  if (!t.into) co_return;
  co_await t.into->abandon();
  t.into.reset();
  std::string code(text_of(why.code).name);
  (void)co_await ledger_.fail(t.plan.row, std::move(code), clock_());
}

} // namespace postern
