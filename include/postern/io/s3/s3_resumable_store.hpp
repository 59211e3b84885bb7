// Unfinished uploads in S3, for store::as_resumable_store: multipart uploads whose parts all have one size, except the
// last. What is left between two requests, and is no whole part, is kept as a small object beside the upload's own (the
// rest). s3_store owns one; it is shared by all threads.
#pragma once

#include <postern/core/multipart/part_sizes.hpp>
#include <postern/io/s3/s3_client.hpp>
#include <postern/io/store.hpp>

#include <string>

namespace postern {

class s3_resumable_store final : public resumable_store {
public:
  static constexpr std::uint64_t part_size = 8 << 20;

  // `s3` must outlive this.
  explicit s3_resumable_store(s3_client& s3) : s3_(s3) {}

  task<result<std::string>> begin_resumable(object_name name, object_meta meta, bool with_checksums) override;
  task<result<std::unique_ptr<resumable_sink>>> resume(resumable_upload upload, kept_bytes kept,
                                                       allowance* from) override;
  task<result<void>> discard(object_name name, std::string id) override;
  std::uint64_t max_resumable_memory() const override { return part_size; }
  std::uint64_t max_resumable_size() const override { return part_size * max_parts; }

private:
  s3_client& s3_;
};

// The two places for the rest of an upload: a pause writes to the one whose content is not needed. Their keys begin
// with the folder of the upload's key, so that the same permissions hold, and name no upload.
object_name name_of_rest(const object_name& upload, const std::string& id, bool second);

} // namespace postern
