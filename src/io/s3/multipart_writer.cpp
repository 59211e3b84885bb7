#include "multipart_writer.hpp"

#include <postern/base/log.hpp>
#include <postern/io/s3/s3_store.hpp>

#include <boost/asio/redirect_error.hpp>

namespace postern {

using namespace std::chrono_literals;

struct multipart_writer::pending_part {
  explicit pending_part(io_executor executor) : arrived(executor) {}
  std::optional<aws_result<s3_part>> answer;
  timer arrived; // cancelled when `answer` is there
};

multipart_writer::multipart_writer(s3_client& s3, object_name name, object_meta meta, io_executor executor)
    : s3_(s3), name_(std::move(name)), meta_(std::move(meta)), executor_(executor) {}

multipart_writer::~multipart_writer() {
  if (upload_) cleanup_group(executor_).start(abort_upload(s3_, std::move(*upload_), std::move(pending_)));
}

task<result<void>> multipart_writer::create_upload() {
  if (upload_) co_return result<void>{};
  auto created = co_await s3_.create_multipart(name_, meta_);
  if (!created) co_return to_failure(created.error());
  upload_ = std::move(*created);
  co_return result<void>{};
}

task<result<void>> multipart_writer::send_part(std::string_view bytes) {
  auto created = co_await create_upload();
  if (!created) co_return created.error();
  auto part = co_await s3_.upload_part(*upload_, ++last_number_, bytes);
  if (!part) co_return to_failure(part.error());
  auto collected = co_await collect_pending();
  if (!collected) co_return collected.error();
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
  auto collected = co_await collect_pending();
  if (!collected) co_return collected.error();
  pending_ = std::make_shared<pending_part>(executor_);
  cleanup_group(executor_).start(await_answer(pending_, std::move(part)));
  co_return result<void>{};
}

task<> multipart_writer::await_answer(std::shared_ptr<pending_part> into, std::unique_ptr<s3_part_upload> part) {
  into->answer = co_await part->finish();
  into->arrived.cancel();
}

task<> multipart_writer::wait_for(std::shared_ptr<pending_part> pending) {
  boost::system::error_code ec;
  while (!pending->answer) {
    pending->arrived.expires_after(1h); // no deadline: the part's request has one, and then an answer
    co_await pending->arrived.async_wait(asio::redirect_error(use_task, ec));
  }
}

// Adds the pending part to parts_ once its answer is there.
task<result<void>> multipart_writer::collect_pending() {
  if (!pending_) co_return result<void>{};
  co_await wait_for(pending_);
  auto part = std::move(*pending_->answer);
  pending_.reset();
  if (!part) co_return to_failure(part.error());
  parts_.push_back(std::move(*part));
  co_return result<void>{};
}

task<result<s3_write_result>> multipart_writer::complete(std::uint64_t size, std::uint32_t crc32c) {
  auto collected = co_await collect_pending();
  if (!collected) co_return collected.error();
  auto completed = co_await s3_.complete_multipart(*upload_, parts_, crc32c);
  if (completed) {
    upload_.reset();
    co_return std::move(*completed);
  }
  co_await remove_damaged(s3_, name_, completed.error());
  const auto why = to_failure(completed.error());
  if (completed.error().code != "NoSuchUpload") co_return why;
  // An earlier try can have completed the upload although its answer was lost. Then the object has this ETag.
  auto found = co_await s3_.head_object(name_);
  if (!found || found->size != size || found->etag != multipart_etag(parts_))
    co_return failure{errc::store_failed, why.on};
  upload_.reset();
  co_return s3_write_result{found->etag, false};
}

task<> multipart_writer::abort() {
  if (!upload_) co_return;
  auto upload = std::move(*upload_);
  upload_.reset();
  co_await abort_upload(s3_, std::move(upload), std::move(pending_));
}

task<> multipart_writer::abort_upload(s3_client& s3, s3_multipart_upload upload,
                                      std::shared_ptr<pending_part> pending) {
  if (pending) co_await wait_for(pending); // S3 would keep a part that arrives after the abort
  auto aborted = co_await s3.abort_multipart(upload);
  if (!aborted)
    log::warning("a multipart upload is left in the store", {{"bucket", upload.name.bucket},
                                                             {"key", quote(upload.name.key)},
                                                             {"upload_id", quote(upload.upload_id)},
                                                             {"why", describe(to_failure(aborted.error()))}});
}

task<> remove_damaged(s3_client& s3, object_name name, aws_error e) {
  if (e.status != 200 || e.category != errc::bad_digest) co_return;
  auto removed = co_await s3.delete_object(name);
  if (!removed)
    log::error("a damaged object is left in the store",
               {{"bucket", name.bucket}, {"key", quote(name.key)}, {"why", describe(to_failure(removed.error()))}});
}

} // namespace postern
