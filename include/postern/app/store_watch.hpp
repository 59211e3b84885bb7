// Watches whether the store lets this node in. Asks it at the start and every 15 seconds, and keeps the last answer for
// /readyz. Logs what an operator must repair: also when a request of an upload is refused, once a minute at most. Owned
// by the node; it asks on the home thread.
#pragma once

#include <postern/app/storage.hpp>

#include <chrono>
#include <filesystem>
#include <mutex>
#include <set>
#include <string>

namespace postern::app {

// At most one line a minute about one subject. Any thread.
class minute_limit {
public:
  // Whether a line may be logged now. If so, `left_out` is how many were not since the last one.
  bool take(std::chrono::steady_clock::time_point now, std::size_t& left_out);

private:
  std::mutex mutex_;
  std::chrono::steady_clock::time_point last_{};
  std::size_t left_out_ = 0;
};

class store_watch {
public:
  // `backend` must outlive this. Before the first operation of its client.
  store_watch(const config& c, storage& backend);

  task<> run_round();
  // The last answer. errc::unavailable: it was not asked yet. Any thread.
  result<void> last() const;

private:
  task<result<void>> ask_all();
  task<result<void>> ask(std::string bucket);
  result<void> examine_folder() const;
  void note(const result<void>& answer);
  void note_refusal(const aws_error& e);

  storage& backend_;
  const std::set<std::string> buckets_;
  const std::filesystem::path folder_; // of the file store
  minute_limit refusals_, failures_;
  mutable std::mutex mutex_; // guards last_
  result<void> last_;
  std::string remedy_; // of the last answer; home thread only, like the next ones
  std::string told_;   // why the store could not be used, as it was logged; empty: it could be used
  bool has_told_of_permission_ = false;
};

} // namespace postern::app
