// The contract for keeping objects. A store is shared by all threads; a sink belongs to one transfer on one thread.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/object.hpp>
#include <postern/io/tasks.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace postern {

// Where one object's bytes go. Ends in exactly one of finish, pause or abandon; destroyed without one of them, it
// cleans up as abandon would, without waiting.
class sink {
public:
  virtual ~sink() = default;

  // Takes all of `bytes`, which must live until it returns. It returns when more is welcome: that is the backpressure.
  // errc::store_failed.
  virtual task<result<void>> write(std::span<const char> bytes) = 0;

  // When this returns with a value the object exists, whole and durable, and replaces what had its name.
  // errc::store_failed.
  virtual task<result<stored_object>> finish() = 0;

  // Keeps what has arrived, durably, and answers a bookmark (text, opaque, at most 1 KiB) with which store::reopen goes
  // on, on any node that shares the store.
  virtual task<result<std::string>> pause() = 0;

  // Leaves nothing behind. Never fails; may be called after a failed write or finish.
  virtual task<> abandon() = 0;
};

class store {
public:
  virtual ~store() = default;

  // Begins an object. Nothing is visible under its name before finish. `expected_size` is a prediction, for choosing
  // how to store. errc::key_too_long, errc::invalid_argument (a key that this store cannot hold), errc::no_such_bucket,
  // errc::store_failed.
  virtual task<result<std::unique_ptr<sink>>> open(object_name name, object_meta meta,
                                                   std::optional<std::uint64_t> expected_size) = 0;

  // Bytes of memory that a sink of an object of this size (nothing: not known) holds at most. Whoever opens one
  // reserves them first, before it reads a byte, so that those who have begun never wait for each other.
  virtual std::uint64_t memory_for(std::optional<std::uint64_t> expected_size) const = 0;

  // Goes on with what pause kept. errc::object_absent when the bookmark is no longer known; a store that can tell
  // answers errc::conflict while another sink goes on with it.
  virtual task<result<std::unique_ptr<sink>>> reopen(std::string bookmark) = 0;

  // errc::object_absent, errc::store_failed, errc::unavailable.
  virtual task<result<stored_object>> head(object_name name) = 0;

  // Removing what is absent is no failure.
  virtual task<result<void>> remove(object_name name) = 0;
};

} // namespace postern
