// The fallback: take the form that S3 would take, judge it as S3 would, stream its file to the store, record it. Owned
// by the node, shared by all threads; one call is one upload and lives on its connection's thread. Memory per upload is
// two buffers, however large the file; they are taken from the process's budget once the form is admitted and before
// its file is read, and are larger while there is room in it.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/claim.hpp>
#include <postern/core/s3/checksums.hpp>
#include <postern/core/s3/form.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/core/s3/sigv4.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/aws/credentials.hpp>
#include <postern/io/byte_source.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/store.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace postern {

// The uploads that this process is receiving, and how far each is. Any thread.
class transfers {
public:
  // Counts for one upload while it lives.
  class entry {
  public:
    entry(transfers& in, std::string id);
    ~entry();
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;
    void add(std::uint64_t bytes) { bytes_->fetch_add(bytes, std::memory_order_relaxed); }

  private:
    transfers& in_;
    std::string id_;
    std::shared_ptr<std::atomic<std::uint64_t>> bytes_;
  };

  std::optional<std::uint64_t> received(const std::string& id) const;
  std::vector<std::pair<std::string, std::uint64_t>> all() const; // by id, each once

private:
  mutable std::mutex mutex_;
  std::multimap<std::string, std::shared_ptr<std::atomic<std::uint64_t>>> all_;
};

struct form_ingest_options {
  std::vector<std::string> buckets; // that may be named; "*" among them: any
  std::string region;
  std::function<credentials_ptr()> credentials; // forms signed with these are authentic, whoever made them
  form_limits limits;
  std::function<millis_clock()> clock; // what time it is; the tests have their own
};

// A request to the fallback.
struct form_request {
  std::string bucket;       // from the path
  std::string content_type; // the header
  std::string base_url;     // how the client called us, for Location
};

// How it went. On success: what was stored and how the form wants to be answered. On failure: why, and where an
// authentic form wants its user to be sent.
struct accepted_form {
  std::string id, bucket, key;
  stored_object object;
  std::string redirect; // success_action_redirect with bucket, key, etag appended; empty: answer `status`
  int status = 204;     // 200, 201 or 204
};
struct rejected_form {
  failure why;
  std::string return_to; // empty: nowhere
  std::string id;
};
using form_ingest_result = boost::system::result<accepted_form, rejected_form>;
[[noreturn]] void throw_exception_from_error(const rejected_form& r, const boost::source_location& where);

class form_ingest {
public:
  // What is passed must outlive this.
  form_ingest(form_ingest_options options, const signer& own, store& objects, ledger& records, byte_budget& budget)
      : options_(std::move(options)), own_(own), store_(objects), ledger_(records), budget_(budget) {}

  // Reads the body to its end on success; on failure it stops where it is. Every failure leaves nothing under the key.
  // Never throws for what comes from outside.
  task<form_ingest_result> take(form_request ask, byte_source& body);

  const transfers& running() const { return running_; }

private:
  struct transfer;
  result<void> authenticate(const std::vector<form_field>& fields) const;
  result<void> admit(transfer& t) const;
  task<result<void>> require_unused(transfer& t);
  task<result<void>> reserve(transfer& t);
  task<result<void>> run(transfer& t);
  task<result<void>> read_fields(transfer& t);
  task<result<void>> open_sink(transfer& t);
  task<result<void>> stream(transfer& t);
  task<result<void>> read_ending(transfer& t);
  task<result<void>> finish(transfer& t);
  task<result<void>> record(transfer& t);
  task<> give_up(transfer& t, const failure& why);

  const form_ingest_options options_;
  const signer& own_;
  store& store_;
  ledger& ledger_;
  byte_budget& budget_;
  transfers running_;
};

} // namespace postern
