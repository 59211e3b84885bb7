#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/uuid.hpp>
#include <postern/flow/transfer.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>

namespace postern {
namespace {

// Larger buffers mean fewer wakeups, here and at both peers. A buffer grows by a factor, so that few reads are small.
constexpr std::size_t min_buffer = transfers::first_buffer, max_buffer = 1 << 20, growth = 4;
// The kernel clears the pages of each new buffer, so a few small reads are no reason for a smaller one.
constexpr unsigned max_small_reads = 32;

// Can the same form still be stored, sent once more? Then nothing is wrong with it: a connection, a store or a node
// broke.
bool may_come_again(const failure& why) {
  return retryable(why.code) || why.code == errc::incomplete_body || why.code == errc::disconnected;
}

metrics::counter bytes_in("postern_received_bytes_total", "Bytes of files received through the fallback", "");
metrics::gauge in_flight("postern_transfers", "Uploads being received through the fallback", "");

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

  upload_plan& plan;
  incoming_file file; // its buffer is the one that is being decoded and written
  read_buffer filling;
  std::size_t buffer_size = min_buffer; // of the buffer that is filled next
  unsigned small_reads = 0;             // in a row, that a smaller buffer would have held
  std::uint64_t buffers = first_buffer; // memory that is taken for both
  std::unique_ptr<sink> opened;         // by this transfer
  sink* into = nullptr;
  std::string attempt;       // this transfer's id in the ledger
  bool is_receiving = false; // the ledger knows of this attempt, and no object exists yet
  std::optional<entry> progress;
  std::uint64_t size = 0; // bytes of the file so far, with those of earlier requests
  std::string beginning;  // its first bytes, where they are looked at
  stored_object object;

  transfer(const transfer&) = delete;
  transfer& operator=(const transfer&) = delete;
  ~transfer() { drop_buffers(); }
  void choose_buffer_size(std::size_t n);
  void drop_buffers();
};

task<result<stored_object>> transfers::carry(upload_plan& plan, incoming_file file) {
  transfer t(plan, std::move(file));
  t.attempt = new_uuid_v7(clock_());
  auto done = co_await find_user(plan);
  if (done) done = co_await run(t);
  if (done) co_return std::move(t.object);
  co_await give_up(t, done.error());
  co_return done.error();
}

task<appended_body> transfers::append(upload_plan& plan, incoming_file file, sink& into, std::uint64_t offset) {
  transfer t(plan, std::move(file));
  t.into = &into;
  t.size = offset;
  t.progress.emplace(*this, plan.row.id);
  t.progress->add(offset);
  auto done = co_await take_buffers(t);
  if (done) done = co_await stream(t);
  if (done) done = plan.expected.check();
  co_return appended_body{t.size - offset, std::move(done)};
}

// A form that asks for a status instead of the redirect has no claim, and so does not name its user. The ledger knows
// the user, if it can be asked.
task<result<void>> transfers::find_user(upload_plan& plan) {
  if (!plan.row.profile.empty()) co_return result<void>{};
  auto signed_for = co_await ledger_.find(plan.row.id);
  if (!signed_for && signed_for.error().code == errc::not_found) co_return result<void>{};
  if (!signed_for) co_return signed_for.error();
  plan.row.profile = signed_for->profile;
  plan.row.user = plan.who.user = signed_for->user;
  plan.row.final_key = signed_for->final_key;
  co_return result<void>{};
}

task<result<void>> transfers::run(transfer& t) {
  auto step = co_await take_buffers(t);
  if (step) step = co_await open_sink(t);
  if (step) step = co_await stream(t);
  if (step) step = co_await finish(t);
  if (step) step = co_await record(t);
  co_return step;
}

task<result<void>> transfers::take_buffers(transfer& t) {
  t.file.share.set_caller(t.plan.who.user); // empty: an API key that signs for many people has no share of its own
  t.file.share.expect(t.file.size ? t.file.size->bytes : t.plan.row.max_size);
  auto taken = co_await t.file.share.take_memory(2 * min_buffer - t.buffers);
  if (taken) t.buffers = 2 * min_buffer;
  co_return taken;
}

std::uint64_t transfers::max_memory(const store& objects) { return objects.max_memory() + 2 * min_buffer; }

task<result<void>> transfers::open_sink(transfer& t) {
  if (!t.plan.signed_key.empty()) {
    auto reserved = co_await ledger_.reserve_key(t.plan.row, t.plan.signed_key, t.attempt);
    if (!reserved) co_return reserved.error();
    t.is_receiving = true;
  }
  object_name name{t.plan.row.bucket, t.plan.row.key};
  auto opened = co_await store_.open(std::move(name), t.plan.meta, t.file.size, &t.file.share);
  if (!opened) co_return opened.error();
  t.opened = std::move(*opened);
  t.into = t.opened.get();
  t.progress.emplace(*this, t.plan.row.id);
  if (!t.is_receiving) ledger_.start_receiving(t.plan.row, t.attempt);
  t.is_receiving = true;
  co_return result<void>{};
}

// Reads and writes at the same time: the bytes of one buffer go to the store while the other buffer fills.
task<result<void>> transfers::stream(transfer& t) {
  using namespace boost::asio::experimental::awaitable_operators;
  file_decoder::runs runs;
  for (;;) {
    runs.clear();
    if (auto decoded = decode(t, runs); !decoded) co_return decoded.error();
    auto both = write(t, runs) && fill(t);
    auto [written, n] = co_await std::move(both);
    if (!written) co_return written.error();
    if (!n) co_return n.error();
    if (*n == 0) co_return t.file.decoder.finish();
    std::swap(t.filling, t.file.buffer);
    t.file.rest = std::span<const char>(t.file.buffer.all()).first(*n);
    t.choose_buffer_size(*n);
  }
}

task<result<void>> transfers::write(transfer& t, const file_decoder::runs& runs) {
  for (const auto& run : runs) {
    auto written = co_await t.into->write(run);
    if (written) continue;
    t.file.body.interrupt(); // the client may send nothing for long
    co_return written;
  }
  if (t.buffer_size == min_buffer) t.file.buffer = read_buffer(); // a slow client: nothing is held while it is silent
  co_return result<void>{};
}

task<result<std::size_t>> transfers::fill(transfer& t) {
  if (t.filling.size() != t.buffer_size) {
    t.filling = read_buffer();
    auto ready = co_await t.file.body.wait();
    if (!ready) co_return ready.error();
    t.filling = read_buffer(t.buffer_size);
  }
  co_return co_await t.file.body.read_some(t.filling.all());
}

// `n`: the bytes that the last read brought.
void transfers::transfer::choose_buffer_size(std::size_t n) {
  auto& share = file.share;
  const auto larger = std::min(buffer_size * growth, max_buffer);
  const auto smaller = std::max(buffer_size / growth, min_buffer);
  small_reads = n < smaller ? small_reads + 1 : 0;
  if (n == file.buffer.size() && larger > buffer_size) {
    const auto more = 2 * (larger - buffer_size);
    if (!share.take_spare_memory(more)) return;
    buffers += more;
    buffer_size = larger;
  } else if (smaller < buffer_size && (small_reads >= max_small_reads || share.is_memory_scarce())) {
    const auto less = 2 * (buffer_size - smaller);
    share.release_memory(less); // early: the buffers shrink when each is filled next
    buffers -= less;
    buffer_size = smaller;
    small_reads = 0;
  }
}

void transfers::transfer::drop_buffers() {
  filling = read_buffer();
  file.buffer = read_buffer();
  if (buffers) file.share.release_memory(std::exchange(buffers, 0));
}

result<void> transfers::decode(transfer& t, file_decoder::runs& out) {
  if (auto decoded = t.file.decoder.decode(t.file.rest, out); !decoded) return decoded;
  for (const auto& run : out) {
    t.size += run.size();
    if (t.size > t.plan.row.max_size) return file_too_large(t.plan.length());
    t.plan.expected.add(run);
    if (t.beginning.size() < looked_at_bytes && verifier_)
      t.beginning.append(run.data(), std::min(run.size(), looked_at_bytes - t.beginning.size()));
    t.progress->add(run.size());
    bytes_in.add(run.size());
  }
  return {};
}

task<result<void>> transfers::finish(transfer& t) {
  if (t.size < t.plan.row.min_size) co_return file_too_small(t.plan.length());
  if (auto right = t.plan.expected.check(); !right) co_return right.error();
  t.drop_buffers();
  auto fits = co_await verify(t);
  if (!fits) co_return fits.error();
  // The ledger runs calls in order, so after the flush the row that open_sink has written behind is durable. A crash
  // must not leave an object for which nobody asks. While the ledger is away, a redirect carries what the row has.
  auto durable = co_await ledger_.flush();
  if (!durable && !t.plan.is_confirmed_later) co_return durable.error();
  auto stored = co_await t.into->finish();
  if (!stored) co_return stored.error();
  t.object = std::move(*stored);
  t.opened.reset();
  t.is_receiving = false;
  co_return result<void>{};
}

task<result<void>> transfers::verify(transfer& t) {
  if (!verifier_) co_return result<void>{};
  co_return co_await verifier_->judge(t.plan.row.profile, t.plan.row.content_type, std::move(t.beginning));
}

task<result<void>> transfers::record(transfer& t) {
  auto recorded = co_await recorder_.record(t.plan.row, t.object, completion_source::fallback, clock_());
  if (recorded) co_return result<void>{};
  // The same form was completed meanwhile by a direct upload of another file, or the upload was removed.
  if (recorded.error().code == errc::conflict) {
    object_name name{t.plan.row.bucket, t.plan.row.key};
    (void)co_await store_.remove_if_match(std::move(name), t.object.etag);
    co_return recorded.error();
  }
  log::error("completion not recorded", {{"upload", t.plan.row.id}, {"why", describe(recorded.error())}});
  // The object exists. If no redirect will record the completion later, reporting success now would be wrong.
  if (t.plan.is_confirmed_later) co_return result<void>{};
  co_return recorded.error();
}

task<> transfers::give_up(transfer& t, const failure& why) {
  t.drop_buffers();
  if (t.opened) co_await t.opened->abandon();
  t.opened.reset();
  if (!t.is_receiving) co_return;
  const auto now = clock_();
  if (may_come_again(why) && now < t.plan.row.expires_at) {
    (void)co_await ledger_.break_off(t.plan.row.id, t.attempt);
    co_return;
  }
  std::string code(text_of(why.code).name);
  (void)co_await ledger_.fail(t.plan.row, t.attempt, std::move(code), now);
}

} // namespace postern
