#include "multipart_writer.hpp"
#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/io/s3/presign.hpp>
#include <postern/io/s3/s3_store.hpp>

#include <algorithm>

namespace postern {
namespace {

constexpr std::uint64_t streamed_part_size = 64 << 20; // large, because a streamed part is not held in memory
constexpr std::uint64_t collected_part_size = 8 << 20;
constexpr std::uint64_t min_multipart_size = s3_min_part_size + s3_tail_size;
constexpr std::size_t max_key_bytes = 1024;

// A sink first streams the planned parts, if there are any: bytes go to `part_`. Then it collects bytes in
// `collected_`: the tail, a whole small object, or, when the size is unknown, one part after the other.
class s3_sink final : public sink {
public:
  s3_sink(s3_client& s3, object_name name, object_meta meta, std::optional<std::uint64_t> predicted,
          io_executor executor)
      : s3_(s3), name_(name), meta_(meta), multipart_(s3, std::move(name), std::move(meta), executor),
        planned_(predicted ? plan_parts(*predicted) : std::vector<std::uint64_t>{}) {
    std::reverse(planned_.begin(), planned_.end());
    // memory_for has announced this much. A string that grows by itself could take three times as much.
    collected_.reserve(!predicted ? collected_part_size : planned_.empty() ? *predicted : s3_tail_size);
  }

  task<result<void>> write(std::span<const char> bytes) override {
    size_ += bytes.size();
    while (!bytes.empty()) {
      auto taking = is_streaming() ? stream(bytes) : collect(bytes);
      auto taken = co_await std::move(taking);
      if (!taken) co_return taken.error();
      bytes = bytes.subspan(*taken);
    }
    co_return result<void>{};
  }

  task<result<stored_object>> finish() override {
    if (is_streaming())
      co_return failure{errc::malformed_form, "the file is shorter than the request's Content-Length requires; at most "
                                              "64 KiB of fields may follow the file"};
    auto storing = multipart_.has_upload() ? complete_multipart() : put_object();
    auto stored = co_await std::move(storing);
    if (!stored) co_return stored.error();
    stored_object object;
    object.size = size_;
    object.etag = std::move(stored->etag);
    object.crc32c = crc_;
    if (object.etag.empty()) {
      auto etag = co_await find_etag();
      if (!etag) co_return etag.error();
      object.etag = std::move(*etag);
    }
    co_return object;
  }

  task<> abandon() override {
    part_.reset(); // cuts the connection: S3 does not store a part with missing bytes
    collected_ = {};
    co_await multipart_.abort();
  }

private:
  bool is_streaming() const { return part_ || !planned_.empty(); }

  // --- streaming: each function answers how many bytes it took

  task<result<std::size_t>> stream(std::span<const char> bytes) {
    if (!part_) {
      auto begun = co_await multipart_.begin_part(planned_.back());
      if (!begun) co_return begun.error();
      planned_.pop_back();
      part_ = std::move(*begun);
    }
    const auto piece = bytes.first(std::min<std::uint64_t>(bytes.size(), part_->bytes_left()));
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

  // The connection broke within a part. S3's answer, if it sent one before, is the better reason.
  task<failure> why_broken(failure broken) {
    auto answer = co_await part_->finish();
    part_.reset();
    if (!answer && answer.error().status != 0) co_return to_failure(answer.error());
    co_return failure{errc::unavailable, "the connection to S3 broke within a part: " + broken.on};
  }

  // --- collecting

  task<result<std::size_t>> collect(std::span<const char> bytes) {
    const auto piece = bytes.first(std::min<std::uint64_t>(bytes.size(), collected_part_size - collected_.size()));
    collected_.append(piece.data(), piece.size());
    crc_ = crc32c(crc_, piece);
    if (collected_.size() == collected_part_size) {
      auto sent = co_await send_collected();
      if (!sent) co_return sent.error();
    }
    co_return piece.size();
  }

  task<result<void>> send_collected() {
    auto sent = co_await multipart_.send_part(collected_);
    if (sent) collected_.clear();
    co_return sent;
  }

  // --- finishing

  task<result<s3_write_result>> put_object() {
    auto put = co_await s3_.put_object(name_, meta_, collected_, crc_);
    if (put) co_return std::move(*put);
    co_await remove_damaged(s3_, name_, put.error());
    co_return to_failure(put.error());
  }

  task<result<s3_write_result>> complete_multipart() {
    if (!collected_.empty()) {
      auto sent = co_await send_collected();
      if (!sent) co_return sent.error();
    }
    co_return co_await multipart_.complete(size_, crc_);
  }

  // The ETag when the store's answer has none.
  task<result<std::string>> find_etag() {
    auto found = co_await s3_.head_object(name_);
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
  multipart_writer multipart_;
  std::vector<std::uint64_t> planned_;   // lengths of the streamed parts that have not begun, the next one last
  std::unique_ptr<s3_part_upload> part_; // the streamed part that is being written
  std::string collected_;
  std::uint64_t size_ = 0;
  std::uint32_t crc_ = 0; // of all bytes, without those of a part_ that has a checksum of its own
};

class s3_store final : public store {
public:
  explicit s3_store(s3_client& s3) : s3_(s3), presigner_(s3) {}

  task<result<std::unique_ptr<sink>>> open(object_name name, object_meta meta,
                                           std::optional<std::uint64_t> expected_size) override {
    if (name.key.size() > max_key_bytes)
      co_return failure{errc::key_too_long, "the key has " + std::to_string(name.key.size()) + " bytes, at most 1024"};
    if (name.key.empty() || !is_utf8(name.key))
      co_return failure{errc::invalid_argument, "the key must be UTF-8 text and not empty"};
    if (auto headers = object_headers(meta); !headers) co_return headers.error();
    auto executor = co_await asio::this_coro::executor;
    co_return std::make_unique<s3_sink>(s3_, std::move(name), std::move(meta), expected_size, executor);
  }

  std::uint64_t memory_for(std::optional<std::uint64_t> expected_size) const override {
    if (!expected_size) return collected_part_size;
    // The caller knows the size of the form, not that of the file. The fields (1 MiB at most) decide which way it goes.
    constexpr std::uint64_t max_fields = 1 << 20;
    return *expected_size < min_multipart_size + max_fields ? std::min(*expected_size, min_multipart_size)
                                                            : s3_tail_size;
  }

  task<result<stored_object>> head(object_name name) override {
    auto found = co_await s3_.head_object(std::move(name));
    if (!found) co_return to_failure(found.error());
    co_return std::move(*found);
  }

  task<result<void>> remove(object_name name) override {
    auto removed = co_await s3_.delete_object(std::move(name));
    if (!removed) co_return to_failure(removed.error());
    co_return result<void>{};
  }

  presigner* as_presigner() override { return &presigner_; }

private:
  s3_client& s3_;
  s3_presigner presigner_;
};

} // namespace

std::vector<std::uint64_t> plan_parts(std::uint64_t predicted) {
  if (predicted < min_multipart_size) return {};
  const auto body = predicted - s3_tail_size;
  // Nearly equal lengths, so that no part is below S3's minimum.
  const auto count = std::clamp<std::uint64_t>(body / streamed_part_size, 1, s3_max_parts - 1);
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
