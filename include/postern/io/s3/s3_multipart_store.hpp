// Multipart uploads of S3 whose parts clients send. s3_store owns one; it is shared by all threads.
#pragma once

#include <postern/io/multipart_store.hpp>
#include <postern/io/s3/s3_client.hpp>

namespace postern {

class s3_multipart_store final : public multipart_store {
public:
  // `s3` must outlive this.
  explicit s3_multipart_store(s3_client& s3) : s3_(s3) {}

  task<result<std::string>> begin_multipart(object_name name, object_meta meta, bool with_checksums) override;
  task<result<std::vector<object_part>>> list_parts(store_upload upload) override;
  task<result<std::string>> complete_multipart(store_upload upload, std::vector<object_part> parts,
                                               multipart_rules rules) override;
  task<result<void>> abort_multipart(store_upload upload) override;
  task<result<std::vector<store_upload>>> list_multiparts(object_name name) override;

private:
  s3_client& s3_;
};

} // namespace postern
