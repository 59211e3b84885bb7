// Transfers: carry a file's bytes from a request's body into the store by an upload plan, and record the result. Owned
// by the node, shared by all threads; one transfer lives on its connection's thread.
//
// A transfer uses two buffers, however large the file: while one is written to the store, the other is filled. They
// begin small, grow while they are filled at once and memory is plentiful, and shrink again. While the client is silent
// there is at most one. The memory comes from the request's allowance; a slow transfer can be told to leave, when
// others need what it holds.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/upload_plan.hpp>
#include <postern/flow/completion/record.hpp>
#include <postern/flow/completion/verify.hpp>
#include <postern/io/allowance.hpp>
#include <postern/io/byte_source.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/store.hpp>
#include <postern/io/tasks.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace postern {

// Memory to read into. It is not set to zero first.
class read_buffer {
public:
  read_buffer() = default;
  explicit read_buffer(std::size_t bytes) : bytes_(std::make_unique_for_overwrite<char[]>(bytes)), size_(bytes) {}
  std::size_t size() const { return size_; }
  std::span<char> all() { return {bytes_.get(), size_}; }

private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
};

// Finds a file's bytes in the bytes of a body. Each protocol has its own.
class file_decoder {
public:
  using runs = std::vector<std::span<const char>>;

  virtual ~file_decoder() = default;

  // Appends the file's bytes in `piece` to `out`: views of `piece` or of the decoder, valid until the next call.
  virtual result<void> decode(std::span<const char> piece, runs& out) = 0;

  // The body has ended. errc::incomplete_body and the like: the file is not whole.
  virtual result<void> finish() = 0;
};

// A file that is about to be read from a body.
struct incoming_file {
  byte_source& body;
  allowance& share;
  file_decoder& decoder;
  std::optional<expected_size> size; // of the file, where the length of the body tells
  read_buffer buffer;                // already in use; the transfer takes it over, and its memory
  std::span<const char> rest;        // bytes in `buffer` that the decoder has not seen
};

// What became of a body whose bytes were added to an upload.
struct appended_body {
  std::uint64_t bytes = 0; // that were read
  result<void> ended;      // success: the body was read to its end, and written
};

class transfers {
public:
  // The memory that has been taken for incoming_file::buffer, in bytes. The transfer gives it back.
  static constexpr std::size_t first_buffer = 8 << 10;

  // The references must outlive this. `clock` tells the time of completions and failures. `bytes` looks at the first
  // bytes of files; null: nobody does.
  transfers(store& objects, ledger& records, const recorder& completions, std::function<millis_clock()> clock,
            const verifier* bytes = nullptr)
      : store_(objects), ledger_(records), recorder_(completions), clock_(std::move(clock)), verifier_(bytes) {}

  // The most memory that one transfer takes, in bytes, without spare memory.
  static std::uint64_t max_memory(const store& objects);

  // Reads the body to its end, stores the file, and records the completion. On failure it stops reading, leaves nothing
  // under the key, and records the failure of an upload that had begun. errc::unavailable: it waited too long
  // for memory or for a request to the store, or had to leave. errc::conflict: the form has no file name in its key,
  // and was used for another name; or the upload was removed. errc::entity_too_large, errc::entity_too_small,
  // errc::bad_digest, errc::type_mismatch, errc::incomplete_body, errc::timed_out; the failures of the decoder, the
  // store and the ledger.
  // `plan` must outlive the call.
  task<result<stored_object>> carry(upload_plan& plan, incoming_file file);

  // Reads the body to its end, or until it breaks off, and adds its bytes to `into`, which stays open. `offset`: the
  // bytes that the upload has before them. errc::entity_too_large: with them it is larger than the plan allows.
  // errc::bad_digest: they have another checksum than plan.expected. Otherwise the failures of carry. What was written
  // stays written. `plan` and `into` must outlive the call.
  task<appended_body> append(upload_plan& plan, incoming_file file, sink& into, std::uint64_t offset);

  // Bytes of this upload that have arrived at this process; nothing when no transfer of the upload is running.
  std::optional<std::uint64_t> received(const std::string& id) const;
  // The same for all running uploads, by id, each once.
  std::vector<std::pair<std::string, std::uint64_t>> list_received() const;

private:
  struct transfer;
  class entry;
  task<result<void>> find_user(upload_plan& plan);
  task<result<void>> run(transfer& t);
  static task<result<void>> take_buffers(transfer& t);
  task<result<void>> open_sink(transfer& t);
  task<result<void>> stream(transfer& t);
  static task<result<void>> write(transfer& t, const file_decoder::runs& runs);
  static task<result<std::size_t>> fill(transfer& t);
  result<void> decode(transfer& t, file_decoder::runs& out);
  task<result<void>> finish(transfer& t);
  task<result<void>> verify(transfer& t);
  task<result<void>> record(transfer& t);
  task<> give_up(transfer& t, const failure& why);

  store& store_;
  ledger& ledger_;
  const recorder& recorder_;
  const std::function<millis_clock()> clock_;
  const verifier* const verifier_;
  mutable std::mutex mutex_; // guards running_
  std::multimap<std::string, std::shared_ptr<std::atomic<std::uint64_t>>> running_;
};

} // namespace postern
