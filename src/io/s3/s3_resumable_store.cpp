#include "multipart_writer.hpp"
#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/log.hpp>
#include <postern/io/s3/s3_resumable_store.hpp>
#include <postern/io/s3/s3_store.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace postern {
namespace {

constexpr std::uint64_t part_size = s3_resumable_store::part_size;
constexpr std::size_t max_key_bytes = 1024, hash_digits = 16;
constexpr std::uint64_t page = 4096; // memory is taken in whole pages

// Behind the bytes of a rest stands what is kept with it, so that a rest that was written, but never recorded, is not
// taken for another one.
constexpr std::size_t label_size = 20 + 1 + 8;

std::string label_of(kept_bytes kept) {
  auto size = std::to_string(kept.size);
  std::array<unsigned char, 4> sum;
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = static_cast<unsigned char>(kept.crc32c >> (24 - 8 * i));
  return std::string(20 - size.size(), '0') + size + ' ' + to_hex(sum);
}

task<> remove_rest(s3_client& s3, object_name name) {
  auto removed = co_await s3.delete_object(name);
  if (!removed)
    log::warning("the rest of an unfinished upload is left in the store",
                 {{"bucket", name.bucket}, {"key", quote(name.key)}, {"why", describe(to_failure(removed.error()))}});
}

class s3_resumable_sink final : public resumable_sink {
public:
  s3_resumable_sink(s3_client& s3, resumable_upload upload, kept_bytes kept, allowance* from)
      : s3_(s3), upload_{upload.name, upload.id, upload.has_checksums}, meta_(std::move(upload.meta)),
        never_overwrite_(upload.never_overwrite), from_(from), kept_(kept),
        last_number_(static_cast<int>(kept.size / part_size)), size_(kept.size), crc_(kept.crc32c) {}
  ~s3_resumable_sink() override { drop_collected(), end_request(); }

  // Reads the rest of what is kept. Before the first write.
  task<result<void>> read_rest() {
    const auto size = kept_.size % part_size;
    if (size == 0) co_return result<void>{};
    auto paid = co_await pay(size + label_size);
    if (!paid) co_return paid;
    for (const bool second : {false, true}) {
      auto bytes =
          co_await s3_.get_object(name_of_rest(upload_.name, upload_.upload_id, second), part_size + label_size);
      if (!bytes && bytes.error().category != errc::object_absent) co_return to_failure(bytes.error());
      if (!bytes || bytes->size() != size + label_size || !bytes->ends_with(label_of(kept_))) continue;
      collected_.reserve(part_size + label_size);
      collected_.assign(*bytes, 0, size);
      is_second_ = second;
      co_return result<void>{};
    }
    co_return failure{errc::store_failed,
                      "what was kept of the upload of " + quote(upload_.name.key) + " is not in the store any more"};
  }

  task<result<void>> write(std::span<const char> bytes) override {
    while (!bytes.empty()) {
      const auto piece = bytes.first(std::min<std::uint64_t>(bytes.size(), part_size - collected_.size()));
      auto paid = co_await pay(collected_.size() + piece.size());
      if (!paid) co_return paid;
      // A string that grows by itself could take three times as much. The system gives the pages when they are written.
      if (collected_.empty()) collected_.reserve(part_size + label_size);
      collected_.append(piece.data(), piece.size());
      size_ += piece.size();
      crc_ = crc32c(crc_, piece);
      bytes = bytes.subspan(piece.size());
      if (collected_.size() < part_size) continue;
      auto sent = co_await send_part(std::nullopt);
      if (!sent) co_return sent;
      kept_ = {size_, crc_};
    }
    co_return result<void>{};
  }

  task<result<kept_bytes>> keep() override { co_return kept_; }

  task<result<kept_bytes>> pause() override {
    if (collected_.size() == part_size) { // its sending failed before
      auto sent = co_await send_part(std::nullopt);
      if (!sent) co_return sent.error();
      kept_ = {size_, crc_};
    }
    if (size_ != kept_.size) {
      const kept_bytes all{size_, crc_};
      // A client that has hung up, or must leave, gets no request any more. What it has sent is kept all the same.
      auto request = co_await begin_request();
      collected_ += label_of(all);
      const auto sum = crc32c(0, collected_);
      auto put =
          co_await s3_.put_object(name_of_rest(upload_.name, upload_.upload_id, !is_second_), {}, collected_, sum);
      if (request) end_request();
      if (!put) co_return to_failure(put.error());
      kept_ = all;
    }
    drop_collected();
    co_return kept_;
  }

  task<result<stored_object>> finish() override {
    const auto by = s3_.default_deadline(); // for all that ends the upload
    if (!collected_.empty() || last_number_ == 0) {
      auto sent = co_await send_part(by);
      if (!sent) co_return sent.error();
    }
    auto parts = co_await all_parts();
    if (!parts) co_return parts.error();
    auto completed = co_await s3_.complete_multipart(upload_, *parts, crc_, by, never_overwrite_);
    if (!completed) {
      co_await remove_damaged(s3_, upload_.name, completed.error(), by);
      co_return to_failure(completed.error());
    }
    drop_collected();
    stored_object made;
    made.size = size_;
    made.etag = completed->etag.empty() ? multipart_etag(*parts) : std::move(completed->etag);
    made.crc32c = crc_;
    made.meta = meta_;
    co_return made;
  }

  task<> abandon() override {
    drop_collected();
    auto aborted = co_await s3_.abort_multipart(upload_);
    if (!aborted)
      log::warning("a multipart upload is left in the store", {{"bucket", upload_.name.bucket},
                                                               {"key", quote(upload_.name.key)},
                                                               {"upload_id", quote(upload_.upload_id)},
                                                               {"why", describe(to_failure(aborted.error()))}});
    co_await remove_rests();
  }

private:
  // --- memory and requests. An upload that holds a request does not wait for memory, so it takes memory first.

  task<result<void>> pay(std::uint64_t bytes) {
    if (!from_ || bytes <= paid_) co_return result<void>{};
    const auto more = (bytes - paid_ + page - 1) / page * page;
    auto taken = co_await from_->take_memory(more);
    if (taken) paid_ += more;
    co_return taken;
  }

  task<result<void>> begin_request() {
    if (!from_ || has_request_) co_return result<void>{};
    auto taken = co_await from_->take_store_request();
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

  // --- parts

  // A part that was sent by an earlier sink, and not recorded, is replaced.
  task<result<void>> send_part(operation_deadline by) {
    auto request = co_await begin_request();
    if (!request) co_return request;
    auto sent = co_await s3_.upload_part(upload_, last_number_ + 1, collected_, by);
    end_request();
    if (!sent) co_return to_failure(sent.error());
    ++last_number_;
    collected_.clear(); // the memory is for the next part
    sent_.push_back(std::move(*sent));
    co_return result<void>{};
  }

  std::uint64_t length_of(int number) const {
    return number < last_number_ ? part_size : size_ - part_size * static_cast<std::uint64_t>(last_number_ - 1);
  }

  // The parts of the object, in order. What the store has behind them is not meant.
  task<result<std::vector<s3_part>>> all_parts() {
    if (sent_.size() == static_cast<std::size_t>(last_number_)) co_return sent_;
    auto listed = co_await s3_.list_parts(upload_);
    if (!listed) co_return to_failure(listed.error());
    std::vector<s3_part> parts;
    for (auto& part : *listed)
      if (part.number <= last_number_) parts.push_back(std::move(part));
    for (int number = 1; number <= last_number_; ++number) {
      const auto at = static_cast<std::size_t>(number - 1);
      if (at < parts.size() && parts[at].number == number && parts[at].size == length_of(number)) continue;
      co_return failure{errc::store_failed, "part " + std::to_string(number) + " of the upload of " +
                                                quote(upload_.name.key) + " is not in the store as it was sent"};
    }
    co_return parts;
  }

  task<> remove_rests() {
    for (const bool second : {false, true})
      co_await remove_rest(s3_, name_of_rest(upload_.name, upload_.upload_id, second));
  }

  s3_client& s3_;
  const s3_multipart_upload upload_;
  const object_meta meta_;
  const bool never_overwrite_;
  allowance* const from_;
  kept_bytes kept_; // that can be resumed
  int last_number_; // of the parts that are in the store
  std::vector<s3_part> sent_;
  std::string collected_;    // of the next part
  bool is_second_ = true;    // the rest of kept_ is in the second place, so the first one is free
  std::uint64_t paid_ = 0;   // memory that is taken for collected_
  bool has_request_ = false; // is taken
  std::uint64_t size_;
  std::uint32_t crc_;
};

} // namespace

object_name name_of_rest(const object_name& upload, const std::string& id, bool second) {
  const auto folder = upload.key.substr(0, upload.key.rfind('/') + 1);
  return {upload.bucket, folder + ".postern-" + sha256_hex(id).substr(0, hash_digits) + (second ? "-b" : "-a")};
}

task<result<std::string>> s3_resumable_store::begin_resumable(object_name name, object_meta meta, bool with_checksums) {
  if (name_of_rest(name, {}, false).key.size() > max_key_bytes)
    co_return failure{errc::key_too_long, "the folder of the key is too long for what is kept of an unfinished upload"};
  auto created = co_await s3_.create_multipart(std::move(name), std::move(meta), with_checksums);
  if (!created) co_return to_failure(created.error());
  co_return std::move(created->upload_id);
}

task<result<std::unique_ptr<resumable_sink>>> s3_resumable_store::resume(resumable_upload upload, kept_bytes kept,
                                                                         allowance* from) {
  auto made = std::make_unique<s3_resumable_sink>(s3_, std::move(upload), kept, from);
  auto read = co_await made->read_rest();
  if (!read) co_return read.error();
  co_return std::move(made);
}

task<result<void>> s3_resumable_store::discard(object_name name, std::string id) {
  const s3_multipart_upload upload{name, id};
  auto aborted = co_await s3_.abort_multipart(upload);
  if (!aborted) co_return to_failure(aborted.error());
  for (const bool second : {false, true}) {
    auto removed = co_await s3_.delete_object(name_of_rest(name, id, second));
    if (!removed) co_return to_failure(removed.error());
  }
  co_return result<void>{};
}

} // namespace postern
