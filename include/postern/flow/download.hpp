// Downloads of completed uploads: who may have one, what is sent, and its bytes. Owned by the node, shared by all
// threads.
#pragma once

#include <postern/core/caller.hpp>
#include <postern/core/download_rules.hpp>
#include <postern/core/http/byte_range.hpp>
#include <postern/core/object.hpp>
#include <postern/flow/sign.hpp>
#include <postern/io/allowance.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/store.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace postern {

// An object that may be sent.
struct download {
  object_name name;
  std::string etag; // without quotes
  std::uint64_t size = 0;
  shown_as as;
};

// The bytes of one part of an object, read while a client takes them. Owned by the response, on the connection's
// thread.
class download_bytes {
public:
  static constexpr std::size_t piece_size = 64 << 10; // also the memory that it takes

  // `share`: of the client, for the memory and for how fast it reads. The store and `share` must outlive this.
  download_bytes(store& from, download what, byte_range part, allowance& share)
      : store_(from), what_(std::move(what)), at_(part.first), left_(part.length), share_(share) {}

  // Waits for the memory. errc::unavailable: there is none at the moment.
  task<result<void>> begin();
  // The next piece. Empty: all bytes were returned. errc::conflict, errc::object_absent: the object was replaced or
  // removed meanwhile; errc::unavailable: also when this client is slow and others need the memory.
  task<result<std::string>> next();

private:
  store& store_;
  const download what_;
  std::uint64_t at_, left_;
  std::size_t last_ = 0; // bytes of the piece that was returned
  allowance& share_;
};

class downloads {
public:
  static constexpr std::chrono::seconds url_lifetime{300};

  // The references must outlive this.
  downloads(store& objects, ledger& records, const form_signer& forms)
      : store_(objects), ledger_(records), form_signer_(forms) {}

  // errc::not_found: no such upload. errc::forbidden: the caller may not read it. errc::conflict: it is neither
  // completed nor being checked by this caller, who has the right to manage; or its object was replaced.
  // errc::object_absent: its object was removed.
  task<result<download>> find(std::string id, caller who);

  // Whether the store itself sends this object, by a URL that was signed. Then ask presign, else read.
  bool has_url(const download& what) const { return store_.for_bucket(what.name.bucket).as_presigner() != nullptr; }
  task<result<presigned_url>> presign(download what);
  download_bytes read(download what, byte_range part, allowance& share) {
    return {store_, std::move(what), part, share};
  }

private:
  store& store_;
  ledger& ledger_;
  const form_signer& form_signer_;
};

} // namespace postern
