// Finds out what an S3-compatible store can do, by asking the store. The questions leave nothing behind: one begins
// a multipart upload and aborts it, the others read or must be refused, and how the store refuses them is the answer.
// `app/stores` asks once at the start, and the doctor asks in each run. Follows the Amazon S3 API Reference, and what
// Ceph RGW and Swift answer.
//
//   CreateMultipartUpload with a checksum algorithm    the answer names the algorithm, or the store ignores it. Aborted
//   PutObject, If-None-Match: *, a wrong Content-MD5   400 BadDigest, or 501 for If-None-Match
//   GetBucketCors                                      501: the store has no such documents
//   POST Object, a form for 0 bytes with 1 byte        400 EntityTooLarge, or 501, 405, 412: no POST Object
//   OPTIONS of a presigned PUT that signs its size     403 SignatureDoesNotMatch: browsers cannot send such a PUT
#pragma once

#include <postern/io/multipart_journal.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/s3/s3_client.hpp>
#include <postern/io/store_abilities.hpp>

#include <string>

namespace postern {

// Asks with an object that no upload has: its key is `key_prefix` and a random name, because the credentials may be
// limited to keys with this prefix. An error means that the store gave no answer or does not let this node in; then
// nothing is known. All questions have one deadline, `by`; what was begun is removed within ten more seconds.
// AccessDenied for CreateMultipartUpload or PutObject leaves its ability false; for the form or the CORS document it
// says nothing, and the ability counts as there. `http` is the client that `s3` uses. `journal`: of the multipart
// upload that is begun and aborted, in case this node dies between; may be null.
task<aws_result<store_abilities>> ask_abilities(s3_client& s3, http_client& http, std::string bucket,
                                                std::string key_prefix, clock_point by,
                                                multipart_journal* journal = nullptr);

} // namespace postern
