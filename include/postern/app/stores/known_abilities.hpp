// What one store can do, as far as it is known now. A node asks each S3 store in the background, at its start, and
// again with growing pauses until the store has answered; nothing waits for the answer. `stores` owns one for each
// store. The settings ways, checksums and if_none_match limit what is used, whatever the store can do.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/app/stores/storage.hpp>
#include <postern/io/store_abilities.hpp>

#include <atomic>
#include <optional>
#include <string>

namespace postern::app {

// What is used of a store's abilities with these settings.
store_abilities with_settings(const config::store_section& s, store_abilities found);

// Where a store is asked: a bucket that Postern writes to, and the prefix of one of its keys.
struct place_to_ask {
  std::string bucket, key_prefix;
};
place_to_ask place_to_ask_in(const config& as_seen);

// Asks the store once (see ask_abilities, also for `journal`), for at most ten seconds. `of` must be in S3.
task<aws_result<store_abilities>> ask_abilities_of(const config& as_seen, storage& of,
                                                   multipart_journal* journal = nullptr);

// The ways and checks as words, for log lines: "form, put, multipart", "none".
std::string ways_shown(const store_abilities& a);
std::string checksums_shown(const store_abilities& a);

class known_abilities {
public:
  // `as_seen`: the configuration as the store sees it (by_store). It must outlive this.
  explicit known_abilities(const config& as_seen);
  known_abilities(const known_abilities&) = delete;
  known_abilities& operator=(const known_abilities&) = delete;

  // The answer of the store within the settings; before there is one, assumed_abilities. A file store has none. Any
  // thread.
  store_abilities now() const { return *now_.load(std::memory_order_acquire); }

  // Asks until the store has answered, logs what was found, and ends. On the home thread.
  task<> learn(storage& of, multipart_journal* journal = nullptr);
  void stop(); // learn ends soon. On the home thread

private:
  void log_found() const;

  const config& config_;
  const store_abilities assumed_;
  store_abilities found_; // is written once, before now_ leads to it
  std::atomic<const store_abilities*> now_;
  std::optional<timer> sleep_;
  bool is_stopped_ = false;
};

} // namespace postern::app
