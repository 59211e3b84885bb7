// The contract for remembering the multipart uploads that this node has begun in a store and not ended, so that their
// parts can be deleted after the node has died. A store calls it; one object is shared by all threads.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/object.hpp>
#include <postern/io/tasks.hpp>

#include <cstdint>
#include <string>
#include <utility>

namespace postern {

class multipart_journal {
public:
  virtual ~multipart_journal() = default;

  // To be called before the store is asked to begin. `bytes`: the object's size, as far as it is known. Returns the
  // entry's id. Never fails: an outage of the ledger must not stop an upload.
  virtual task<std::string> begin(object_name name, std::uint64_t bytes) = 0;
  // The store calls the upload `store_id`.
  virtual task<> name(std::string id, std::string store_id) = 0;
  // It is completed or aborted.
  virtual void end(std::string id) = 0;
  // It may be left in the store, and is to be aborted later.
  virtual void abandon(std::string id) = 0;
};

// The entry of one upload in a journal, or in none. The journal must outlive it.
class journal_entry {
public:
  explicit journal_entry(multipart_journal* in) : journal_(in) {}

  task<> begin(object_name name, std::uint64_t bytes) {
    if (journal_ && id_.empty()) id_ = co_await journal_->begin(std::move(name), bytes);
  }
  // The task needs the journal only, not this.
  task<> name(std::string store_id) const { return journal_ ? journal_->name(id_, std::move(store_id)) : nothing(); }
  // `may_be_left`: something of it may be in the store.
  void end(bool may_be_left) {
    auto id = std::exchange(id_, {});
    if (id.empty()) return;
    if (may_be_left)
      journal_->abandon(std::move(id));
    else
      journal_->end(std::move(id));
  }

private:
  static task<> nothing() { co_return; }

  multipart_journal* journal_;
  std::string id_;
};

} // namespace postern
