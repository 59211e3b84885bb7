// Presigned URLs: with one, a browser that has no credentials can PUT one object, or one part of a multipart upload,
// straight to S3, or GET an object from there. Follows the Amazon S3 API Reference, "Authenticating requests: using
// query parameters". The S3 store owns one; it is shared by all threads. Signing sends no request to S3.
//
//   PUT /key?partNumber=1&uploadId=…&X-Amz-Algorithm=AWS4-HMAC-SHA256&…&X-Amz-Signature=… HTTP/1.1
//   Host: bucket.s3.eu-west-1.amazonaws.com
//
// Content-Length, the object's metadata and further header fields can be signed too; X-Amz-SignedHeaders names them.
//
//   GET /key?response-content-disposition=attachment&X-Amz-Algorithm=AWS4-HMAC-SHA256&…&X-Amz-Signature=… HTTP/1.1
#pragma once

#include <postern/core/s3/sigv4.hpp>
#include <postern/io/s3/s3_client.hpp>
#include <postern/io/store.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace postern {

// URLs use store.public_endpoint where it is set, the region that S3 has named for the bucket, and the store's clock.
// S3 accepts seven days at most, so a longer lifetime is cut to that.
class s3_presigner final : public presigner {
public:
  // Takes credentials, region and clock from `s3`, which must outlive this.
  explicit s3_presigner(s3_client& s3) : s3_(s3) {}

  task<result<presigned_url>> presign_put(object_name name, signed_body body, std::chrono::seconds lifetime) override;
  task<result<presigned_url>> presign_part(object_name name, std::string upload_id, int part_number, signed_body body,
                                           std::chrono::seconds lifetime) override;
  task<result<presigned_url>> presign_get(object_name name, std::chrono::seconds lifetime,
                                          response_headers headers) override;

private:
  task<result<presigned_url>> presign(const char* method, object_name name, std::vector<sigv4::name_value> query,
                                      signed_body body, std::chrono::seconds lifetime);

  s3_client& s3_;
};

} // namespace postern
