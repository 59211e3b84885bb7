// The contract for object stores, and for two optional capabilities of a store: keeping the beginning of an object, and
// presigning URLs.
// One store object is shared by all threads; `node` owns it. A sink belongs to one transfer and is used on that
// transfer's thread only.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/object.hpp>
#include <postern/io/allowance.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace postern {

// What is known of an object's size before its bytes come: a prediction, or the exact size.
struct expected_size {
  expected_size(std::uint64_t n, bool exact = false) : bytes(n), is_exact(exact) {}
  std::uint64_t bytes;
  bool is_exact; // finish is called after exactly so many bytes, or never
};

// Receives the bytes of one object. A sink ends in exactly one of finish, abandon or (resumable_sink) pause. Destroying
// a sink before its end has the effect of abandon, without waiting for it.
class sink {
public:
  virtual ~sink() = default;

  // Takes all of `bytes`, which must live until write returns. Write returns when the sink wants more bytes: this is
  // the backpressure. errc::store_failed, errc::unavailable.
  virtual task<result<void>> write(std::span<const char> bytes) = 0;

  // Makes the object exist under its name: whole, durable, replacing an earlier object. After a failure no part of this
  // object is visible. A remote store has one deadline for all that this takes. errc::store_failed, errc::unavailable.
  virtual task<result<stored_object>> finish() = 0;

  // Removes everything that was written. Never fails. May be called twice, and after a failed write or finish.
  virtual task<> abandon() = 0;
};

// A sink for an upload that may stop now and go on later, in another process, behind what is kept of it. Destroying it
// before its end changes nothing: what was kept stays, and so does the upload. A failed finish leaves it, too.
class resumable_sink : public sink {
public:
  // Keeps what can be kept without ending: all bytes that were written, or fewer. What is returned survives a crash of
  // this process and can be given to resume; so can what an earlier call returned. errc::store_failed,
  // errc::unavailable.
  virtual task<result<kept_bytes>> keep() = 0;

  // The same for all bytes that were written, and ends this sink.
  virtual task<result<kept_bytes>> pause() = 0;
};

// An unfinished upload of a resumable_store.
struct resumable_upload {
  object_name name;
  std::string id; // the store's own name for it
  object_meta meta;
  bool has_checksums = false;   // as it was begun
  bool never_overwrite = false; // If-None-Match: *, where the store takes it
};

// Offered by stores that can keep the beginning of an object. See store::as_resumable_store. One object is shared by
// all threads. Nodes that share the store can resume each other's uploads.
class resumable_store {
public:
  virtual ~resumable_store() = default;

  // Begins an upload, and returns the store's id of it: at most 1 KiB. `with_checksums`: the store is to verify the
  // CRC32C of the whole object. The errors of store::open.
  virtual task<result<std::string>> begin_resumable(object_name name, object_meta meta, bool with_checksums) = 0;

  // Goes on with an upload behind `kept`, which an earlier sink of it has returned; {} at its beginning. What was
  // written behind `kept` is dropped. Only one sink of an upload may be in use at a time. `from` as for store::open.
  // errc::object_absent: there is no such upload, or it was finished. errc::conflict: another sink has this upload open
  // (from stores that can tell). errc::store_failed: what was kept is not there. errc::unavailable.
  virtual task<result<std::unique_ptr<resumable_sink>>> resume(resumable_upload upload, kept_bytes kept,
                                                               allowance* from) = 0;

  // Removes the upload and all that is kept of it. To be called after finish, too, once nobody needs to resume the
  // upload: something of it may be left beside the object. Idempotent. errc::store_failed, errc::unavailable.
  virtual task<result<void>> discard(object_name name, std::string id) = 0;

  // The most memory, in bytes, that one sink takes.
  virtual std::uint64_t max_resumable_memory() const = 0;
  // The largest object, in bytes, that can be stored in this way.
  virtual std::uint64_t max_resumable_size() const = 0;
};

// A URL that carries its own authorisation. Treat it as a secret.
struct presigned_url {
  std::string url;
  seconds_clock expires_at;
  std::vector<std::pair<std::string, std::string>> headers; // that the request must have, with exactly these values
};

// The body of a presigned PUT, as far as the signature fixes it. The store refuses a request with another one.
struct signed_body {
  std::optional<std::uint64_t> size;                        // bytes
  object_meta meta;                                         // of a whole object
  std::vector<std::pair<std::string, std::string>> headers; // further ones, such as a checksum; names in lower case
};

// What a presigned GET makes the store answer. Empty: what the object has.
struct response_headers {
  std::string content_disposition, content_type;
};

// Offered by stores that accept requests signed in the URL. See store::as_presigner. The store rejects a URL after
// `lifetime`, or after the end of the credentials that signed it, whichever is sooner; expires_at is that moment.
// errc::unavailable: there are no credentials, or they end now.
class presigner {
public:
  virtual ~presigner() = default;

  // For one PUT of the whole object. errc::invalid_argument: metadata that no header field can have.
  virtual task<result<presigned_url>> presign_put(object_name name, signed_body body,
                                                  std::chrono::seconds lifetime) = 0;

  // For GETs of the object, also of its ranges. The store's answer has these values in place of the object's own where
  // they are not empty. The URL is for whatever object has this name then.
  virtual task<result<presigned_url>> presign_get(object_name name, std::chrono::seconds lifetime,
                                                  response_headers headers) = 0;

  // For one PUT of one part (from 1) of the multipart upload that the store calls `upload_id`.
  virtual task<result<presigned_url>> presign_part(object_name name, std::string upload_id, int part_number,
                                                   signed_body body, std::chrono::seconds lifetime) = 0;
};

class multipart_store; // io/multipart_store

class store {
public:
  virtual ~store() = default;

  // Begins an object. Nothing is visible under its name before finish. From `size` the store chooses how to write. The
  // sink takes the memory and the requests that it needs from `from`, which must outlive it; null: they are not
  // counted. So its write may wait for them, and fail as allowance::take_memory does.
  // errc::key_too_long, errc::invalid_argument (this store cannot hold such a key), errc::no_such_bucket,
  // errc::store_failed.
  virtual task<result<std::unique_ptr<sink>>> open(object_name name, object_meta meta,
                                                   std::optional<expected_size> size, allowance* from) = 0;

  // The most memory, in bytes, that one sink takes.
  virtual std::uint64_t max_memory() const = 0;

  // The object's size, ETag, checksum and metadata. errc::object_absent, errc::store_failed, errc::unavailable (also
  // when a remote store has not answered within 8 s: a browser may be waiting).
  virtual task<result<stored_object>> head(object_name name) = 0;

  // The keys of the bucket's objects that begin with `prefix`, in any order: all of them, or `max` when there are more.
  // At most 1000. errc::store_failed: the store does not list them, and will not later. errc::unavailable.
  // errc::no_such_bucket or an empty list without the bucket.
  virtual task<result<std::vector<std::string>>> list(std::string bucket, std::string prefix, std::size_t max) = 0;

  // At most `max` bytes (from 1 to max_read) of the object from `offset` on, if its ETag is still `etag`. Fewer only at
  // the end of the object; empty from there on. errc::conflict: the object has another ETag. errc::object_absent,
  // errc::store_failed, errc::unavailable (also after 8 s, as head).
  static constexpr std::size_t max_read = 1 << 20;
  virtual task<result<std::string>> read_some(object_name name, std::string etag, std::uint64_t offset,
                                              std::size_t max) = 0;

  // Makes `to` a copy of `from`, metadata included, if the ETag of `from` is still `etag`. As finish: the copy is whole
  // or absent, and replaces an earlier object. Returns its size and its ETag, which need not be `etag`. The time that
  // this may take grows with the object. errc::conflict: `from` has another ETag. errc::object_absent: there is no
  // `from`. The errors of open and finish. An S3 store that ignores the condition can show a copy of another object for
  // a moment, before it is removed.
  virtual task<result<stored_object>> copy(object_name from, std::string etag, object_name to) = 0;

  // Idempotent: succeeds when there is no such object. errc::store_failed, errc::unavailable.
  virtual task<result<void>> remove(object_name name) = 0;

  // Removes the object if its ETag is still `etag`. Succeeds when there is no such object. errc::conflict: another
  // object is there now, and stays. errc::store_failed, errc::unavailable. The comparison and the removal are one step
  // in the file store, and in S3 stores that have conditional deletes (Amazon S3). Other S3 stores ignore the condition
  // of a DELETE; there the ETag is compared with a HEAD before, so an object that is stored between the two requests
  // can be removed.
  virtual task<result<void>> remove_if_match(object_name name, std::string etag) = 0;

  // Whether an object stored now would still be there after a restart, as far as this process can tell by itself: a
  // remote store is not asked. errc::unavailable says what has happened.
  virtual task<result<void>> check() { co_return result<void>{}; }

  // The store that has this bucket: this one, unless it is several stores as one (stores_by_bucket).
  virtual store& for_bucket(const std::string& /*bucket*/) { return *this; }
  virtual std::size_t count() const { return 1; } // of the stores that this is

  // This store's further powers: nullptr where it does not have them, else a pointer into this store. Ask for_bucket
  // first.
  virtual resumable_store* as_resumable_store() { return nullptr; }
  virtual presigner* as_presigner() { return nullptr; }
  virtual multipart_store* as_multipart_store() { return nullptr; }
};

} // namespace postern
