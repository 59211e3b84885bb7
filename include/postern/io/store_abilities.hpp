// What a store can do beyond storing and answering objects. S3-compatible stores differ in these, and Postern asks each
// store once at its start (io/s3/s3_abilities). A plain value.
#pragma once

namespace postern {

struct store_abilities {
  bool takes_forms = false;           // POST Object: a signed form, posted by a browser
  bool takes_presigned_put = false;   // a presigned PutObject
  bool takes_if_none_match = false;   // If-None-Match: * of PutObject and CompleteMultipartUpload
  bool checks_checksums = false;      // x-amz-checksum-crc32c of PutObject and UploadPart: it is verified, not ignored
  bool checks_whole_object = false;   // of type FULL_OBJECT: the checksum of a whole multipart upload
  bool has_bucket_cors = false;       // CORS documents of buckets
  bool takes_presigned_parts = false; // multipart uploads, and presigned UploadPart
  // Browsers get past the preflight of a presigned URL that signs more header fields than Host. Ceph RGW refuses it
  // with temporary credentials.
  bool preflights_signed_headers = false;

  bool operator==(const store_abilities&) const = default;
};

// What is assumed of S3 before the store has answered.
inline constexpr store_abilities assumed_abilities{
    .takes_forms = true, .takes_presigned_put = true, .takes_presigned_parts = true, .preflights_signed_headers = true};

} // namespace postern
