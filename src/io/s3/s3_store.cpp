#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/log.hpp>
#include <postern/base/text.hpp>
#include <postern/io/s3/presign.hpp>
#include <postern/io/s3/s3_store.hpp>

#include <boost/asio/redirect_error.hpp>

#include <algorithm>

namespace postern {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t usual_part = 64 << 20;    // of a streamed part: nothing is held, so it may be large
constexpr std::uint64_t collected_part = 8 << 20; // of a part that is held
constexpr std::uint64_t small = s3_smallest_part + s3_tail;

// An answer to a part that is awaited while the next part is already being sent.
struct awaited_part {
  explicit awaited_part(io_executor on) : arrives(on) {}
  std::optional<aws_result<s3_part>> answer;
  timer arrives; // cancelled when it has
};

task<> await_answer(std::shared_ptr<awaited_part> into, std::unique_ptr<s3_part_upload> part) {
  into->answer = co_await part->finish();
  into->arrives.cancel();
}

task<> abort_later(s3_client& s3, s3_multipart what) {
  auto gone = co_await s3.abort_multipart(what);
  if (!gone) log::warning("a multipart upload is left in the store", {{"why", describe(to_failure(gone.error()))}});
}

class s3_sink final : public sink {
public:
  s3_sink(s3_client& s3, object_name name, object_meta meta, std::optional<std::uint64_t> predicted, io_executor on)
      : s3_(s3), on_(on), name_(std::move(name)), meta_(std::move(meta)),
        planned_(predicted ? plan_parts(*predicted) : std::vector<std::uint64_t>{}) {
    std::reverse(planned_.begin(), planned_.end());
    // What may be held is what memory_for has announced; a string that grows by itself would take up to three times it.
    held_.reserve(!predicted ? collected_part : planned_.empty() ? *predicted : s3_tail);
  }

  ~s3_sink() override {
    if (multipart_) afterwork(on_).start(abort_later(s3_, std::move(*multipart_)));
  }

  task<result<void>> write(std::span<const char> bytes) override {
    size_ += bytes.size();
    while (!bytes.empty()) {
      const bool streams = streaming_ || !planned_.empty();
      auto taken = streams ? stream(bytes) : collect(bytes);
      auto n = co_await std::move(taken);
      if (!n) co_return n.error();
      bytes = bytes.subspan(*n);
    }
    co_return result<void>{};
  }

  task<result<stored_object>> finish() override {
    if (streaming_ || !planned_.empty())
      co_return failure{
          errc::malformed_form,
          "the file is shorter than the request's length leaves it; at most 64 KiB of fields may follow it"};
    auto storing = multipart_ ? finish_multipart() : put_whole();
    auto done = co_await std::move(storing);
    if (!done) co_return done.error();
    stored_object object;
    object.size = size_;
    object.etag = std::move(done->etag);
    object.crc32c = crc_;
    if (object.etag.empty()) {
      auto found = co_await s3_.head_object(name_);
      if (!found) co_return to_failure(found.error());
      // Another upload of the same form may have come in between: then what is there now is not what this one made.
      const auto own = multipart_etag(parts_);
      const bool replaced = !own.empty() && found->etag != own;
      if (!replaced && found->size != size_)
        co_return failure{errc::store_failed,
                          "the store has " + std::to_string(found->size) + " bytes of " + std::to_string(size_)};
      object.etag = replaced ? own : std::move(found->etag);
    }
    co_return object;
  }

  task<> abandon() override {
    streaming_.reset(); // cut: S3 never has a part of which bytes are missing
    held_ = {};
    if (!multipart_) co_return;
    if (awaited_) (void)co_await join(); // a part that arrives behind the abort would stay
    auto what = std::move(*multipart_);
    multipart_.reset();
    co_await abort_later(s3_, std::move(what));
  }

private:
  task<result<s3_finished>> put_whole() {
    auto put = co_await s3_.put_object(name_, std::move(meta_), held_, crc_);
    if (put) co_return std::move(*put);
    co_await remove_damaged(put.error());
    co_return to_failure(put.error());
  }

  // A store that answers with another checksum has kept something else than was sent: nobody must find it. One that
  // refuses for a checksum has kept nothing, and what is there is an earlier upload's.
  task<> remove_damaged(const aws_error& e) {
    if (e.status == 200 && e.sorted == errc::bad_digest) (void)co_await s3_.delete_object(name_);
  }

  task<result<s3_finished>> finish_multipart() {
    if (!held_.empty()) {
      auto sent = co_await send_held();
      if (!sent) co_return sent.error();
    }
    auto all = co_await join();
    if (!all) co_return all.error();
    auto completed = co_await complete();
    if (completed) multipart_.reset();
    co_return completed;
  }

  // Bytes for parts of planned length. Answers how many were taken.
  task<result<std::size_t>> stream(std::span<const char> bytes) {
    if (!streaming_) {
      auto begun = co_await begin_next();
      if (!begun) co_return begun.error();
    }
    const auto piece = bytes.first(std::min<std::uint64_t>(bytes.size(), streaming_->left()));
    if (!streaming_->sum()) crc_ = crc32c(crc_, piece); // else the part's own tells, and no byte is summed twice
    auto written = co_await streaming_->write(piece);
    if (!written) co_return co_await broken(written.error());
    if (streaming_->left() == 0) {
      if (const auto sum = streaming_->sum()) crc_ = crc32c_of_both(crc_, *sum, streaming_->size());
      auto joined = co_await join(); // at most one answer is outstanding
      if (!joined) co_return joined.error();
      awaited_ = std::make_shared<awaited_part>(on_);
      afterwork(on_).start(await_answer(awaited_, std::move(streaming_)));
    }
    co_return piece.size();
  }

  // The connection broke in the middle of a part. What S3 said before it hung up is the better reason.
  task<result<std::size_t>> broken(failure why) {
    auto said = co_await streaming_->finish();
    streaming_.reset();
    if (!said && said.error().status != 0) co_return to_failure(said.error());
    co_return failure{errc::unavailable, "a part of the upload broke off: " + why.on};
  }

  task<result<void>> begin_next() {
    auto ready = co_await begin_multipart();
    if (!ready) co_return ready.error();
    auto begun = co_await s3_.begin_part(*multipart_, ++number_, planned_.back());
    if (!begun) co_return to_failure(begun.error());
    planned_.pop_back();
    streaming_ = std::move(*begun);
    co_return result<void>{};
  }

  task<result<std::size_t>> collect(std::span<const char> bytes) {
    const auto piece = bytes.first(std::min<std::uint64_t>(bytes.size(), collected_part - held_.size()));
    held_.append(piece.data(), piece.size());
    crc_ = crc32c(crc_, piece);
    if (held_.size() == collected_part) {
      auto ready = co_await begin_multipart();
      if (!ready) co_return ready.error();
      auto sent = co_await send_held();
      if (!sent) co_return sent.error();
    }
    co_return piece.size();
  }

  task<result<void>> begin_multipart() {
    if (multipart_) co_return result<void>{};
    auto created = co_await s3_.create_multipart(name_, meta_);
    if (!created) co_return to_failure(created.error());
    multipart_ = std::move(*created);
    co_return result<void>{};
  }

  task<result<void>> send_held() {
    auto part = co_await s3_.upload_part(*multipart_, ++number_, held_);
    if (!part) co_return to_failure(part.error());
    auto joined = co_await join();
    if (!joined) co_return joined.error();
    parts_.push_back(std::move(*part));
    held_.clear();
    co_return result<void>{};
  }

  task<result<s3_finished>> complete() {
    auto completed = co_await s3_.complete_multipart(*multipart_, parts_, crc_);
    if (completed) co_return std::move(*completed);
    co_await remove_damaged(completed.error());
    const auto why = to_failure(completed.error());
    if (completed.error().code != "NoSuchUpload") co_return why;
    // An earlier try may have worked and its answer got lost. The ETag tells whether the object is this very one.
    auto found = co_await s3_.head_object(name_);
    if (!found || found->size != size_ || found->etag != multipart_etag(parts_))
      co_return failure{errc::store_failed, why.on};
    co_return s3_finished{found->etag, false};
  }

  // Waits for the answer to the part before, if it is still due.
  task<result<void>> join() {
    if (!awaited_) co_return result<void>{};
    boost::system::error_code ec;
    while (!awaited_->answer) {
      awaited_->arrives.expires_after(1h); // its request has a deadline of its own
      co_await awaited_->arrives.async_wait(asio::redirect_error(use_task, ec));
    }
    auto part = std::move(*awaited_->answer);
    awaited_.reset();
    if (!part) co_return to_failure(part.error());
    parts_.push_back(std::move(*part));
    co_return result<void>{};
  }

  s3_client& s3_;
  const io_executor on_;
  const object_name name_;
  object_meta meta_;
  std::vector<std::uint64_t> planned_; // lengths of the streamed parts that are still to begin, the next one last
  std::unique_ptr<s3_part_upload> streaming_;
  std::shared_ptr<awaited_part> awaited_;
  std::string held_;
  std::optional<s3_multipart> multipart_;
  std::vector<s3_part> parts_;
  int number_ = 0;
  std::uint64_t size_ = 0;
  std::uint32_t crc_ = 0; // of all bytes but those of the part that streams, where that has its own
};

class s3_store final : public store {
public:
  explicit s3_store(s3_client& s3) : s3_(s3), presigner_(s3) {}

  task<result<std::unique_ptr<sink>>> open(object_name name, object_meta meta,
                                           std::optional<std::uint64_t> expected_size) override {
    if (name.key.size() > 1024) co_return failure{errc::key_too_long, "at most 1024 bytes"};
    if (name.key.empty() || !is_utf8(name.key))
      co_return failure{errc::invalid_argument, "the key must be UTF-8 text and not empty"};
    if (auto headers = object_headers(meta); !headers) co_return headers.error();
    auto on = co_await asio::this_coro::executor;
    co_return std::make_unique<s3_sink>(s3_, std::move(name), std::move(meta), expected_size, on);
  }

  std::uint64_t memory_for(std::optional<std::uint64_t> expected_size) const override {
    if (!expected_size) return collected_part;
    // What is announced is a form: its fields may be the difference between collected and streamed.
    return *expected_size < small + (1 << 20) ? std::min(*expected_size, small) : s3_tail;
  }

  task<result<stored_object>> head(object_name name) override {
    auto found = co_await s3_.head_object(std::move(name));
    if (!found) co_return to_failure(found.error());
    co_return std::move(*found);
  }

  task<result<void>> remove(object_name name) override {
    auto gone = co_await s3_.delete_object(std::move(name));
    if (!gone) co_return to_failure(gone.error());
    co_return result<void>{};
  }

  presigner* as_presigner() override { return &presigner_; }

private:
  s3_client& s3_;
  s3_presigner presigner_;
};

} // namespace

std::vector<std::uint64_t> plan_parts(std::uint64_t predicted) {
  if (predicted < small) return {};
  const auto body = predicted - s3_tail;
  // As equal as they can be, so that none is below S3's smallest.
  const auto count = std::clamp<std::uint64_t>(body / usual_part, 1, s3_most_parts - 1);
  std::vector<std::uint64_t> parts(count, body / count);
  parts.back() += body % count;
  return parts;
}

std::string multipart_etag(const std::vector<s3_part>& parts) {
  if (parts.empty()) return {};
  std::string sums;
  for (const auto& p : parts) {
    const auto raw = from_hex(p.etag);
    if (!raw || raw->size() != 16) return {};
    sums += *raw;
  }
  return to_hex(md5(sums)) + "-" + std::to_string(parts.size());
}

std::unique_ptr<store> make_s3_store(s3_client& s3) { return std::make_unique<s3_store>(s3); }

} // namespace postern
