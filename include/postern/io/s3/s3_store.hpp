// Objects in S3 or what speaks like it. Nothing is written to a disk here and memory does not grow with the object.
//
//   up to 5 MiB + 64 KiB      collected, then one PutObject, which can be sent again
//   larger, size predicted    a multipart upload whose part lengths follow from the prediction: bytes go on as they
//   come. Only the last 64 KiB are held
//                             back and sent as the last part, whatever their true number, because a prediction may be a
//                             little too large
//   size not known            parts of 8 MiB are collected one after the other
//
// A prediction must not be too small, nor more than 64 KiB too large.
#pragma once

#include <postern/io/s3/s3_client.hpp>
#include <postern/io/store.hpp>

namespace postern {

constexpr std::uint64_t s3_smallest_part =
    5 << 20; // Amazon S3 User Guide, "Multipart upload limits"; the last may be smaller
constexpr std::uint64_t s3_most_parts = 10'000;
constexpr std::uint64_t s3_tail = 64 << 10;

// Lengths of the parts ahead of the tail for an object of that size: empty when it goes in one PutObject.
std::vector<std::uint64_t> plan_parts(std::uint64_t predicted);

// The ETag that S3 gives an object of these parts: the MD5 of their MD5s and their number. Empty where their ETags are
// no MD5s, as with KMS.
std::string multipart_etag(const std::vector<s3_part>& parts);

// `s3` must outlive the store. Offers presigner, not resumable_store.
std::unique_ptr<store> make_s3_store(s3_client& s3);

} // namespace postern
