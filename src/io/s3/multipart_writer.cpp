#include "multipart_writer.hpp"

#include <postern/base/log.hpp>
#include <postern/io/s3/s3_store.hpp>

#include <boost/asio/redirect_error.hpp>

namespace postern {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

// Of an abort: for the part that is not answered yet, and for the whole. A client may be waiting for its answer.
constexpr auto max_wait_for_part = 4s, max_abort = 10s;
constexpr auto max_rounding = 2s; // Date and Last-Modified have whole seconds

} // namespace

struct multipart_writer::pending_part {
  explicit pending_part(io_executor executor) : arrived(executor) {}
  std::optional<aws_result<s3_part>> answer;
  timer arrived; // cancelled when `answer` is there
};

multipart_writer::multipart_writer(s3_client& s3, multipart_journal* journal, object_name name, object_meta meta,
                                   std::uint64_t bytes, io_executor executor)
    : s3_(s3), entry_(journal), name_(std::move(name)), meta_(std::move(meta)), bytes_(bytes), executor_(executor) {}

multipart_writer::~multipart_writer() {
  if (upload_)
    cleanup_group(executor_).start(abort_upload(s3_, std::move(*upload_), std::move(pending_), std::move(entry_)));
}

task<result<void>> multipart_writer::create_upload() {
  if (upload_) co_return result<void>{};
  co_await entry_.begin(name_, bytes_);
  auto created = co_await s3_.create_multipart(name_, meta_);
  if (!created) {
    entry_.end(may_be_carried_out(created.error()));
    co_return to_failure(created.error());
  }
  upload_ = std::move(*created);
  cleanup_group(executor_).start(entry_.name(upload_->upload_id));
  co_return result<void>{};
}

void multipart_writer::end_completed() {
  entry_.end(upload_->may_have_twin);
  upload_.reset();
}

task<result<void>> multipart_writer::send_part(std::string_view bytes, operation_deadline by) {
  auto created = co_await create_upload();
  if (!created) co_return created.error();
  auto part = co_await s3_.upload_part(*upload_, ++last_number_, bytes, by);
  if (!part) co_return to_failure(part.error());
  auto collected = co_await collect_pending(by.value_or(s3_.default_deadline()));
  if (!collected) co_return collected.error();
  parts_.push_back(std::move(*part));
  co_return result<void>{};
}

task<result<void>> multipart_writer::copy_part(object_name from, std::string etag, std::uint64_t offset,
                                               std::uint64_t size, clock_point by) {
  auto created = co_await create_upload();
  if (!created) co_return created.error();
  auto part = co_await s3_.copy_part(*upload_, ++last_number_, std::move(from), std::move(etag), offset, size, by);
  if (!part) co_return to_failure(part.error());
  parts_.push_back(std::move(*part));
  co_return result<void>{};
}

task<result<std::unique_ptr<s3_part_upload>>> multipart_writer::begin_part(std::uint64_t size) {
  auto created = co_await create_upload();
  if (!created) co_return created.error();
  auto begun = co_await s3_.begin_part(*upload_, ++last_number_, size);
  if (!begun) co_return to_failure(begun.error());
  co_return std::move(*begun);
}

task<result<void>> multipart_writer::end_part(std::unique_ptr<s3_part_upload> part) {
  const auto by = s3_.default_deadline();
  auto collected = co_await collect_pending(by);
  if (!collected) co_return collected.error();
  pending_ = std::make_shared<pending_part>(executor_);
  cleanup_group(executor_).start(await_answer(pending_, std::move(part), by));
  co_return result<void>{};
}

task<> multipart_writer::await_answer(std::shared_ptr<pending_part> into, std::unique_ptr<s3_part_upload> part,
                                      clock_point by) {
  into->answer = co_await part->finish(by);
  into->arrived.cancel();
}

// Whether the part's answer is there.
task<bool> multipart_writer::wait_for(std::shared_ptr<pending_part> pending, clock_point by) {
  boost::system::error_code ec;
  while (!pending->answer && steady_clock::now() < by) {
    pending->arrived.expires_at(by);
    co_await pending->arrived.async_wait(asio::redirect_error(use_task, ec));
  }
  co_return pending->answer.has_value();
}

// Adds the pending part to parts_ once its answer is there.
task<result<void>> multipart_writer::collect_pending(clock_point by) {
  if (!pending_) co_return result<void>{};
  const bool has_arrived = co_await wait_for(pending_, by);
  if (!has_arrived) co_return failure{errc::unavailable, "S3 gives no answer to a part of " + quote(name_.key)};
  auto part = std::move(*pending_->answer);
  pending_.reset();
  if (!part) co_return to_failure(part.error());
  parts_.push_back(std::move(*part));
  co_return result<void>{};
}

task<result<s3_write_result>> multipart_writer::complete(std::uint64_t size, std::optional<std::uint32_t> crc32c,
                                                         clock_point by) {
  auto collected = co_await collect_pending(by);
  if (!collected) co_return collected.error();
  if (!crc32c) upload_->has_checksums = false;
  auto completed = co_await s3_.complete_multipart(*upload_, parts_, crc32c.value_or(0), by);
  if (completed) {
    end_completed();
    co_return std::move(*completed);
  }
  co_await remove_damaged(s3_, name_, completed.error(), by);
  const auto why = to_failure(completed.error());
  if (completed.error().code != "NoSuchUpload") co_return why;
  // An earlier try can have completed the upload although its answer was lost. Then the object is the upload's.
  auto found = co_await s3_.head_object(name_, by);
  if (!found || !is_completed_by(*found, size, crc32c)) co_return failure{errc::store_failed, why.on};
  end_completed();
  co_return s3_write_result{found->etag, false};
}

// Is the object the one that this upload makes?
bool multipart_writer::is_completed_by(const s3_object& found, std::uint64_t size,
                                       std::optional<std::uint32_t> crc32c) const {
  if (found.size != size || (found.crc32c && crc32c && *found.crc32c != *crc32c)) return false;
  if (found.etag == multipart_etag(parts_)) return true;
  // With SSE-KMS, ETags are no MD5s. What is left: the number of parts and the time of the upload.
  return found.etag.ends_with("-" + std::to_string(parts_.size())) && found.last_modified && upload_->created_at &&
         *found.last_modified >= *upload_->created_at - max_rounding;
}

task<> multipart_writer::abort() {
  if (!upload_) co_return;
  auto upload = std::move(*upload_);
  upload_.reset();
  co_await abort_upload(s3_, std::move(upload), std::move(pending_), std::move(entry_));
}

task<> multipart_writer::abort_upload(s3_client& s3, s3_multipart_upload upload, std::shared_ptr<pending_part> pending,
                                      journal_entry entry) {
  const auto now = steady_clock::now();
  // S3 would keep a part that arrives after the abort.
  if (pending) (void)co_await wait_for(pending, now + max_wait_for_part);
  auto aborted = co_await s3.abort_multipart(upload, now + max_abort);
  entry.end(!aborted || upload.may_have_twin);
  if (!aborted)
    log::warning("a multipart upload is left in the store", {{"bucket", upload.name.bucket},
                                                             {"key", quote(upload.name.key)},
                                                             {"upload_id", quote(upload.upload_id)},
                                                             {"why", describe(to_failure(aborted.error()))}});
}

task<> remove_damaged(s3_client& s3, object_name name, aws_error e, clock_point by) {
  if (e.status != 200 || e.category != errc::bad_digest) co_return;
  auto removed = co_await s3.delete_object(name, by);
  if (!removed)
    log::error("a damaged object is left in the store",
               {{"bucket", name.bucket}, {"key", quote(name.key)}, {"why", describe(to_failure(removed.error()))}});
}

} // namespace postern
