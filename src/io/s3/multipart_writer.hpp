// Private to io/s3: writes one object as a multipart upload, part after part. The sink of s3_store owns one and uses it
// on its thread. The upload is created with its first part. A writer that is destroyed with an open upload aborts it in
// the background.
#pragma once

#include <postern/io/multipart_journal.hpp>
#include <postern/io/s3/s3_client.hpp>
#include <postern/io/tasks.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace postern {

class multipart_writer {
public:
  // `s3` and `journal`, which may be null, must outlive this. `executor` is that of the thread that uses the writer.
  // `bytes`: the object's size, as far as it is known.
  multipart_writer(s3_client& s3, multipart_journal* journal, object_name name, object_meta meta, std::uint64_t bytes,
                   io_executor executor);
  multipart_writer(const multipart_writer&) = delete;
  multipart_writer& operator=(const multipart_writer&) = delete;
  ~multipart_writer();

  // True from the first part to complete or abort.
  bool has_upload() const { return upload_.has_value(); }
  // The parts whose answer has arrived.
  const std::vector<s3_part>& parts() const { return parts_; }

  // Sends the next part from memory. `bytes` must live until this returns.
  task<result<void>> send_part(std::string_view bytes, operation_deadline by = std::nullopt);
  // The next part has the bytes of another object from `offset` on, if its ETag is still `etag`.
  task<result<void>> copy_part(object_name from, std::string etag, std::uint64_t offset, std::uint64_t size,
                               clock_point by);
  // Begins the next part, streamed.
  task<result<std::unique_ptr<s3_part_upload>>> begin_part(std::uint64_t size);
  // Ends a streamed part whose bytes were all written. Its answer is awaited in the background while the next part is
  // sent. At most one answer is outstanding: an earlier one is awaited here first.
  task<result<void>> end_part(std::unique_ptr<s3_part_upload> part);

  // Makes the object of all parts exist. `size` and `crc32c` are those of the object. Without `crc32c` the store
  // verifies no checksum of the whole.
  task<result<s3_write_result>> complete(std::uint64_t size, std::optional<std::uint32_t> crc32c, clock_point by);
  // Aborts the upload, if there is one, within ten seconds. Never fails: what S3 could not remove is logged.
  task<> abort();

private:
  struct pending_part;
  static task<> await_answer(std::shared_ptr<pending_part> into, std::unique_ptr<s3_part_upload> part, clock_point by);
  static task<bool> wait_for(std::shared_ptr<pending_part> pending, clock_point by);
  static task<> abort_upload(s3_client& s3, s3_multipart_upload upload, std::shared_ptr<pending_part> pending,
                             journal_entry entry);
  void end_completed();
  task<result<void>> create_upload();
  task<result<void>> collect_pending(clock_point by);
  bool is_completed_by(const s3_object& found, std::uint64_t size, std::optional<std::uint32_t> crc32c) const;

  s3_client& s3_;
  journal_entry entry_;
  const object_name name_;
  const object_meta meta_;
  const std::uint64_t bytes_;
  const io_executor executor_;
  std::optional<s3_multipart_upload> upload_;
  int last_number_ = 0;
  std::shared_ptr<pending_part> pending_; // the part that was sent whole and is not answered yet
  std::vector<s3_part> parts_;
};

// Deletes the object when `e` says that the store holds other bytes than were sent. When the store rejected the bytes
// for their checksum, an object under this name is that of an earlier upload and stays.
task<> remove_damaged(s3_client& s3, object_name name, aws_error e, clock_point by);

} // namespace postern
