// The store that keeps objects in S3, or in a server with S3's API. `storage` owns it; every thread uses it. It writes
// nothing to the local disk, and its memory does not grow with the object. It offers presigner, not resumable_store.
//
//   size predicted, < 5 MiB + 64 KiB   collected in memory, then one PutObject, which can be retried
//   size predicted, larger             a multipart upload. The part lengths follow from the prediction, and bytes are
//                                      sent as they arrive. The last 64 KiB (the tail) are collected and become the
//                                      last part with their true length, because a prediction can be too large
//   size unknown                       parts of 8 MiB, collected and sent one after the other
//   size exact, at most 256 KiB        as if it were predicted
//   size exact, at most 64 MiB         one PutObject, streamed from the first 256 KiB on, but for its last byte: that
//                                      one waits for finish
//   size exact, larger                 a multipart upload whose parts are all streamed; nothing is collected
//
// A prediction must not be too small, and at most 64 KiB too large.
//
// A streamed PutObject, like a streamed part, is retried until the store wants its first byte. What fails later fails
// the sink with errc::unavailable, because the bytes are gone: the client is told to send them again. It also occupies
// a request to the store while the client sends. So an object of less than 5 MiB + 64 KiB is streamed only while it
// will arrive within fair_budget::patience at its speed so far, and collected otherwise. A larger one is streamed at
// any speed, as parts are, and has to leave when such requests are short. Before the store has said whether it takes a
// checksum behind the bytes, a multipart upload of one part stands in for the PutObject: the answer to its beginning
// says so.
#pragma once

#include <postern/core/multipart/part_sizes.hpp>
#include <postern/io/multipart_journal.hpp>
#include <postern/io/s3/s3_client.hpp>
#include <postern/io/store.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace postern {

// The last part may be smaller.
constexpr std::uint64_t s3_min_part_size = min_part_size;
constexpr std::uint64_t s3_tail_size = 64 << 10;

// Lengths of the streamed parts for an object of this size, without the tail of a prediction. Empty: one PutObject.
std::vector<std::uint64_t> plan_parts(expected_size size);

// The ETag that S3 gives to an object of these parts: the MD5 of their MD5s, a dash and the number of parts. Empty when
// an ETag is no MD5, as with KMS.
std::string multipart_etag(const std::vector<s3_part>& parts);

// The references must outlive the store. `journal`: of the multipart uploads that it begins itself; null: none is kept.
std::unique_ptr<store> make_s3_store(s3_client& s3, multipart_journal* journal = nullptr);

} // namespace postern
