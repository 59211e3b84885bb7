// Tells event streams which uploads have changed. The ledger publishes the changes that this process makes
// (ledger_options::on_change). poll() finds the changes of other nodes, with one statement for all watched uploads.
// Owned by the node, shared by all threads. It must outlive the ledger and every subscription.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace postern {

class upload_feed {
  struct subscriber;

public:
  explicit upload_feed(std::size_t max_subscriptions = 20'000) : max_subscriptions_(max_subscriptions) {}
  upload_feed(const upload_feed&) = delete;
  upload_feed& operator=(const upload_feed&) = delete;

  // One stream's subscription to one upload, from subscribe() until it is destroyed. One thread uses it.
  class subscription {
  public:
    subscription(upload_feed& of, std::shared_ptr<subscriber> me) : feed_(&of), me_(std::move(me)) {}
    subscription(subscription&& other) noexcept = default;
    subscription& operator=(subscription&&) = delete;
    ~subscription();

    // Waits until the upload changes, at most `max`. Returns the newest row, or nothing. A row that was published
    // between two calls is returned at once; of several such rows, only the newest.
    task<std::optional<upload>> next(std::chrono::milliseconds max);

  private:
    std::optional<upload> take_unread();

    upload_feed* feed_;
    std::shared_ptr<subscriber> me_; // empty after a move
  };

  // Subscribes before the caller reads the row, so that no change is missed. next() must run on `home`.
  // errc::unavailable when there are too many subscriptions.
  result<subscription> subscribe(std::string id, io_executor home);

  // The upload was committed as `u`. Any thread. Does not block.
  void publish(const upload& u);

  // Publishes each watched upload that the ledger has with another value than was published last. Reads nothing if no
  // upload is watched. While the ledger cannot be read, nothing is published.
  task<> poll(ledger& records);

private:
  struct watched {
    std::uint64_t publications = 0;    // by this process
    std::shared_ptr<const upload> row; // published last
    std::vector<std::shared_ptr<subscriber>> subscribers;
  };

  static void deliver(watched& to, std::shared_ptr<const upload> row);
  void unsubscribe(const std::shared_ptr<subscriber>& s);

  const std::size_t max_subscriptions_;
  std::mutex mutex_;
  std::unordered_map<std::string, watched> watched_; // by id
  std::size_t subscriptions_ = 0;
};

} // namespace postern
