// Private to io/s3: an object is copied within the store, whole or in parts. s3_copy.cpp implements it.
#pragma once

#include <postern/io/multipart_journal.hpp>
#include <postern/io/s3/s3_client.hpp>
#include <postern/io/store.hpp>

#include <string>

namespace postern {

// As store::copy. An object over s3_options::max_whole_copy is copied in parts, one after the other; then the copy has
// the metadata that HeadObject shows (no tags, no access control list). A failure leaves no part in the store.
//
// Ceph RGW 16 ignores the condition of a copy. For such stores the ETag is compared with a HEAD before, and again
// before the parts become an object, or after an object was copied whole whose copy has another ETag.
task<result<stored_object>> copy_s3_object(s3_client& s3, multipart_journal* journal, object_name from,
                                           std::string etag, object_name to);

} // namespace postern
