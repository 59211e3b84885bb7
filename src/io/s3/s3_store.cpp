#include "multipart_writer.hpp"
#include "s3_copy.hpp"
#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/io/s3/presign.hpp>
#include <postern/io/s3/s3_multipart_store.hpp>
#include <postern/io/s3/s3_resumable_store.hpp>
#include <postern/io/s3/s3_store.hpp>

#include <algorithm>

namespace postern {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

constexpr std::uint64_t streamed_part_size = 64 << 20; // large, because a streamed part is not held in memory
constexpr std::uint64_t max_streamed_put = streamed_part_size;
constexpr std::uint64_t stream_from = 256 << 10; // a smaller object is collected, because its PUT can be retried then
constexpr std::size_t held_back = 1;             // bytes of a streamed object, without which S3 cannot store it
constexpr std::uint64_t collected_part_size = 8 << 20;
constexpr std::uint64_t min_multipart_size = s3_min_part_size + s3_tail_size;
constexpr std::size_t max_key_bytes = 1024;
constexpr std::uint64_t page = 4096; // memory is taken in whole pages
constexpr auto max_head = 8s;        // in all: a store that needs longer for it gives no answer
constexpr auto max_late_answer = 1s; // to a part whose connection broke: the answer is there already, or never comes

// The most bytes that a sink collects, as far as `size` is right.
std::uint64_t max_collected_of(const std::optional<expected_size>& size) {
  if (!size) return collected_part_size;
  if (size->bytes < min_multipart_size) return size->bytes;
  if (!size->is_exact) return s3_tail_size;
  return size->bytes <= max_streamed_put ? stream_from : 0;
}

// A sink first streams the planned parts, if there are any: bytes go to `part_`. Then it collects bytes in
// `collected_`: the tail, a whole small object, or, when the size is unknown, one part after the other. An object that
// goes by one PutObject and has an exact size is collected first, and can be streamed from then on.
class s3_sink final : public sink {
public:
  s3_sink(s3_client& s3, multipart_journal* journal, object_name name, object_meta meta,
          std::optional<expected_size> size, allowance* from, io_executor executor)
      : s3_(s3), name_(name), meta_(meta), from_(from),
        multipart_(s3, journal, std::move(name), std::move(meta), size ? size->bytes : 0, executor),
        planned_(size ? plan_parts(*size) : std::vector<std::uint64_t>{}), max_collected_(max_collected_of(size)) {
    if (size && size->is_exact && planned_.empty()) exact_ = size->bytes;
    std::reverse(planned_.begin(), planned_.end());
  }
  ~s3_sink() override { drop_collected(), end_request(); }

  task<result<void>> write(std::span<const char> bytes) override {
    size_ += bytes.size();
    waited_ += steady_clock::now() - wants_since_;
    while (!bytes.empty()) {
      auto taking = is_streaming() ? stream(bytes) : collect(bytes);
      auto taken = co_await std::move(taking);
      if (!taken) co_return taken.error();
      bytes = bytes.subspan(*taken);
    }
    wants_since_ = steady_clock::now();
    co_return result<void>{};
  }

  task<result<stored_object>> finish() override {
    if (is_streaming() && !is_all_but_held_back())
      co_return failure{errc::malformed_form, "the file is shorter than the request's Content-Length requires; at most "
                                              "64 KiB of fields may follow the file"};
    const auto by = s3_.default_deadline(); // for all that ends the upload
    // All its bytes have come, so it waits longer for its turn than others, and a third of the time remains for the
    // store.
    const auto now = steady_clock::now();
    const auto wait = std::clamp<steady_clock::duration>((by - now) / 3 * 2, 10s, 30s);
    if (auto begun = co_await begin_request(now + wait); !begun) co_return begun.error();
    auto storing = part_ ? end_object(by) : multipart_.has_upload() ? complete_multipart(by) : put_object(by);
    auto stored = co_await std::move(storing);
    drop_collected();
    end_request();
    if (!stored) co_return stored.error();
    stored_object object;
    object.size = size_;
    object.etag = std::move(stored->etag);
    object.crc32c = crc_;
    if (object.etag.empty()) {
      auto etag = co_await find_etag(by);
      if (!etag) co_return etag.error();
      object.etag = std::move(*etag);
    }
    co_return object;
  }

  task<> abandon() override {
    part_.reset(); // cuts the connection: S3 does not store a part with missing bytes
    drop_collected();
    end_request();
    co_await multipart_.abort();
  }

private:
  bool is_streaming() const { return part_ || !planned_.empty(); }
  bool is_all_but_held_back() const { return exact_ && part_->bytes_left() == collected_.size(); }

  // --- memory and requests. An upload that holds a request does not wait for memory, so it takes memory first.

  task<result<void>> pay(std::uint64_t bytes) {
    if (!from_ || bytes <= paid_) co_return result<void>{};
    const auto more = std::min((bytes - paid_ + page - 1) / page * page, std::max(max_collected_, bytes) - paid_);
    auto taken = co_await from_->take_memory(more);
    if (taken) paid_ += more;
    co_return taken;
  }

  task<result<void>> begin_request(std::optional<steady_clock::time_point> by = std::nullopt) {
    if (!from_ || has_request_) co_return result<void>{};
    auto taken = co_await from_->take_store_request(by);
    has_request_ = taken.has_value();
    co_return taken;
  }

  void end_request() {
    if (std::exchange(has_request_, false)) from_->release_store_request();
  }

  void drop_collected() {
    collected_ = {}; // clear would keep the memory
    if (paid_) from_->release_memory(std::exchange(paid_, 0));
  }

  // --- streaming: each function answers how many bytes it took

  task<result<std::size_t>> stream(std::span<const char> bytes) {
    if (!part_) {
      auto tail = co_await pay(max_collected_);
      if (!tail) co_return tail.error();
      auto request = co_await begin_request();
      if (!request) co_return request.error();
      auto begun = co_await multipart_.begin_part(planned_.back());
      if (!begun) co_return begun.error();
      planned_.pop_back();
      part_ = std::move(*begun);
    }
    const auto room = part_->bytes_left() - (exact_ ? held_back : 0);
    if (room == 0) co_return hold_back(bytes);
    const auto piece = bytes.first(std::min<std::uint64_t>(bytes.size(), room));
    if (!part_->checksum()) crc_ = crc32c(crc_, piece); // else the part computes it
    auto written = co_await part_->write(piece);
    if (!written) co_return co_await why_broken(written.error());
    if (part_->bytes_left() == 0) {
      if (const auto sum = part_->checksum()) crc_ = crc32c_of_both(crc_, *sum, part_->size());
      auto ended = co_await multipart_.end_part(std::move(part_));
      if (!ended) co_return ended.error();
    }
    co_return piece.size();
  }

  // The last byte of an object that goes by one PutObject.
  result<std::size_t> hold_back(std::span<const char> bytes) {
    if (!collected_.empty() || bytes.size() > held_back)
      return failure{errc::internal, "more bytes are written than the object's exact size"};
    collected_.assign(bytes.data(), bytes.size());
    crc_ = crc32c(crc_, bytes);
    return bytes.size();
  }

  // The connection broke within the bytes. S3's answer, if it sent one before, is the better reason.
  task<failure> why_broken(failure broken) {
    auto answer = co_await part_->finish(steady_clock::now() + max_late_answer);
    part_.reset();
    if (!answer && answer.error().status != 0) co_return to_failure(answer.error());
    co_return failure{errc::unavailable, "the connection to S3 broke before all bytes were sent: " + broken.on};
  }

  // --- collecting

  task<result<std::size_t>> collect(std::span<const char> bytes) {
    const auto limit = exact_ && collected_.size() < stream_from ? stream_from : collected_part_size;
    const auto piece = bytes.first(std::min<std::uint64_t>(bytes.size(), limit - collected_.size()));
    auto paid = co_await pay(collected_.size() + piece.size());
    if (!paid) co_return paid.error();
    // A string that grows by itself could take three times as much. The system gives the pages when they are written.
    if (collected_.empty()) collected_.reserve(std::max<std::uint64_t>(max_collected_, piece.size()));
    collected_.append(piece.data(), piece.size());
    crc_ = crc32c(crc_, piece);
    if (should_stream()) {
      auto begun = co_await begin_object();
      if (!begun) co_return begun.error();
    } else if (collected_.size() == collected_part_size) {
      auto request = co_await begin_request();
      if (!request) co_return request.error();
      auto sent = co_await multipart_.send_part(collected_);
      end_request();
      if (!sent) co_return sent.error();
      drop_collected();
    }
    co_return piece.size();
  }

  // --- an object of exact size, by one request

  // Is the rest better streamed than collected? A slow client would occupy a request to the store for long.
  bool should_stream() const {
    if (!exact_ || collected_.size() < stream_from || size_ >= *exact_) return false;
    if (*exact_ >= min_multipart_size) return true; // too large to be collected
    const auto left = time_left(*exact_ - size_, size_, waited_);
    return !left || *left <= fair_budget::patience;
  }

  // Begins the request and sends what is collected. The rest is streamed.
  task<result<void>> begin_object() {
    auto request = co_await begin_request();
    if (!request) co_return request;
    if (s3_.takes_trailers().has_value()) {
      auto begun = co_await s3_.begin_object(name_, meta_, *exact_);
      if (!begun) co_return to_failure(begun.error());
      part_ = std::move(*begun);
    } else { // the answer to the beginning of a multipart upload tells
      auto begun = co_await multipart_.begin_part(*exact_);
      if (!begun) co_return begun.error();
      part_ = std::move(*begun);
    }
    auto sent = co_await part_->write(collected_);
    if (!sent) co_return co_await why_broken(sent.error());
    drop_collected();
    co_return result<void>{};
  }

  // Sends what was held back.
  task<result<s3_write_result>> end_object(clock_point by) {
    auto sent = co_await part_->write(collected_);
    if (!sent) co_return co_await why_broken(sent.error());
    collected_.clear();
    if (const auto sum = part_->checksum()) crc_ = *sum;
    auto part = std::move(part_);
    if (multipart_.has_upload()) {
      auto ended = co_await multipart_.end_part(std::move(part));
      if (!ended) co_return ended.error();
      co_return co_await complete_multipart(by);
    }
    auto stored = co_await part->finish(by);
    if (stored) co_return s3_write_result{std::move(stored->etag), false};
    co_await remove_damaged(s3_, name_, stored.error(), by);
    co_return to_failure(stored.error());
  }

  // --- finishing

  task<result<s3_write_result>> put_object(clock_point by) {
    auto put = co_await s3_.put_object(name_, meta_, collected_, crc_, by);
    if (put) co_return std::move(*put);
    co_await remove_damaged(s3_, name_, put.error(), by);
    co_return to_failure(put.error());
  }

  task<result<s3_write_result>> complete_multipart(clock_point by) {
    if (!collected_.empty()) {
      auto sent = co_await multipart_.send_part(collected_, by);
      if (!sent) co_return sent.error();
    }
    co_return co_await multipart_.complete(size_, crc_, by);
  }

  // The ETag when the store's answer has none.
  task<result<std::string>> find_etag(clock_point by) {
    auto found = co_await s3_.head_object(name_, by);
    if (!found) co_return to_failure(found.error());
    // Another upload of the same form can have replaced the object already. This upload's ETag is the computed one.
    auto computed = multipart_etag(multipart_.parts());
    if (!computed.empty() && found->etag != computed) co_return computed;
    if (found->size != size_)
      co_return failure{errc::store_failed, "the store has " + std::to_string(found->size) + " bytes of " +
                                                quote(name_.key) + ", but Postern sent " + std::to_string(size_)};
    co_return std::move(found->etag);
  }

  s3_client& s3_;
  const object_name name_;
  const object_meta meta_;
  allowance* const from_;
  multipart_writer multipart_;
  std::optional<std::uint64_t> exact_;   // size of an object that goes by one request, if it is certain
  std::vector<std::uint64_t> planned_;   // lengths of the streamed parts that have not begun, the next one last
  std::unique_ptr<s3_part_upload> part_; // the streamed part that is being written
  const std::uint64_t max_collected_;    // bytes that collected_ will have at most, as far as the prediction is right
  std::string collected_;
  std::uint64_t paid_ = 0;   // memory that is taken for collected_
  bool has_request_ = false; // is taken
  std::uint64_t size_ = 0;
  steady_clock::time_point wants_since_ = steady_clock::now(); // bytes
  steady_clock::duration waited_{};                            // for bytes, in all
  std::uint32_t crc_ = 0; // of all bytes, without those of a part_ that has a checksum of its own
};

class s3_store final : public store {
public:
  s3_store(s3_client& s3, multipart_journal* journal)
      : s3_(s3), journal_(journal), presigner_(s3), multiparts_(s3), resumables_(s3) {}

  task<result<std::unique_ptr<sink>>> open(object_name name, object_meta meta, std::optional<expected_size> size,
                                           allowance* from) override {
    if (name.key.size() > max_key_bytes)
      co_return failure{errc::key_too_long, "the key has " + std::to_string(name.key.size()) + " bytes, at most 1024"};
    if (name.key.empty() || !is_utf8(name.key))
      co_return failure{errc::invalid_argument, "the key must be UTF-8 text and not empty"};
    if (auto headers = object_headers(meta); !headers) co_return headers.error();
    auto executor = co_await asio::this_coro::executor;
    co_return std::make_unique<s3_sink>(s3_, journal_, std::move(name), std::move(meta), size, from, executor);
  }

  std::uint64_t max_memory() const override { return collected_part_size; }

  task<result<stored_object>> head(object_name name) override {
    auto found = co_await s3_.head_object(std::move(name), soon());
    if (!found) co_return to_failure(found.error());
    co_return stored_object(std::move(*found));
  }

  task<result<std::vector<std::string>>> list(std::string bucket, std::string prefix, std::size_t max) override {
    auto keys = co_await s3_.list_objects(std::move(bucket), std::move(prefix), max);
    if (!keys) co_return to_failure(keys.error());
    co_return std::move(*keys);
  }

  task<result<std::string>> read_some(object_name name, std::string etag, std::uint64_t offset,
                                      std::size_t max) override {
    const auto size = std::clamp<std::size_t>(max, 1, max_read);
    auto read = co_await s3_.read_object(std::move(name), std::move(etag), offset, size, soon());
    if (!read) co_return to_failure(read.error());
    co_return std::move(*read);
  }

  task<result<stored_object>> copy(object_name from, std::string etag, object_name to) override {
    return copy_s3_object(s3_, journal_, std::move(from), std::move(etag), std::move(to));
  }

  task<result<void>> remove(object_name name) override {
    auto removed = co_await s3_.delete_object(std::move(name));
    if (!removed) co_return to_failure(removed.error());
    co_return result<void>{};
  }

  task<result<void>> remove_if_match(object_name name, std::string etag) override {
    const auto by = s3_.default_deadline();
    auto found = co_await s3_.head_object(name, by); // for stores that ignore the condition of a DELETE
    aws_result<void> removed{};
    if (found && found->etag == etag) removed = co_await s3_.delete_object_if_match(name, etag, by);
    // A lost answer may have been to the removal.
    if (!removed && removed.error().category == errc::conflict) {
      found = co_await s3_.head_object(name, by);
      // Swift refuses the condition for an object of several parts, whatever its ETag.
      if (found && found->etag == etag) removed = co_await s3_.delete_object(name, by);
    }
    if (!found && found.error().category == errc::object_absent) co_return result<void>{};
    if (!found) co_return to_failure(found.error());
    if (found->etag != etag) co_return failure{errc::conflict, "another object is stored as " + quote(name.key)};
    if (!removed) co_return to_failure(removed.error());
    co_return result<void>{};
  }

  presigner* as_presigner() override { return &presigner_; }
  multipart_store* as_multipart_store() override { return &multiparts_; }
  resumable_store* as_resumable_store() override { return &resumables_; }

private:
  // The deadline of what a browser may be waiting for.
  clock_point soon() const { return std::min(s3_.default_deadline(), steady_clock::now() + max_head); }

  s3_client& s3_;
  multipart_journal* const journal_;
  s3_presigner presigner_;
  s3_multipart_store multiparts_;
  s3_resumable_store resumables_;
};

} // namespace

std::vector<std::uint64_t> plan_parts(expected_size size) {
  if (size.bytes < min_multipart_size || (size.is_exact && size.bytes <= max_streamed_put)) return {};
  const auto body = size.bytes - (size.is_exact ? 0 : s3_tail_size);
  // Nearly equal lengths, so that no part is below S3's minimum.
  const auto count = std::clamp<std::uint64_t>(body / streamed_part_size, 1, max_parts - (size.is_exact ? 0 : 1));
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

std::unique_ptr<store> make_s3_store(s3_client& s3, multipart_journal* journal) {
  return std::make_unique<s3_store>(s3, journal);
}

} // namespace postern
