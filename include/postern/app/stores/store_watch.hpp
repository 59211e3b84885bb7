// Watches whether the stores let this node in. Asks each at the start and every 15 seconds, and keeps its last answer
// for /readyz and metrics. Logs what an operator must repair: also when a request of an upload is refused, once a
// minute at most. Owned by the node; it asks on the home thread.
#pragma once

#include <postern/app/stores/stores.hpp>
#include <postern/base/metrics.hpp>

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

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

// Watches one store.
class store_watch {
public:
  // `of` must outlive this. Before the first operation of its client.
  explicit store_watch(stores::one& of);

  task<> run_round();
  // The last answer, and whether what is stored now would stay (store::check). errc::unavailable: the store was not
  // asked yet. Any thread.
  task<result<void>> check() const;

private:
  task<result<void>> ask_all();
  task<result<void>> ask(std::string bucket);
  result<void> examine_folder() const;
  std::string remedy_for(const aws_error& e) const;
  void note(const result<void>& answer);
  void note_refusal(const aws_error& e);

  result<void> last() const;

  stores::one& of_;
  storage& backend_;
  const std::string name_; // in metrics and log lines
  metrics::gauge is_up_;
  const std::set<std::string> buckets_;
  const std::filesystem::path folder_; // of the file store
  const std::string path_setting_;     // the setting of folder_
  minute_limit refusals_, failures_;
  mutable std::mutex mutex_; // guards last_
  result<void> last_;
  std::string remedy_; // of the last answer; home thread only, like the next ones
  std::string told_;   // why the store could not be used, as it was logged; empty: it could be used
  bool has_told_of_permission_ = false;
};

// Watches all stores.
class store_watches {
public:
  explicit store_watches(const stores& all);

  task<> run_round();
  // Success when at least one store can be used, by its watch and by store::check: the node still serves its uploads.
  // Else why the last one cannot. Any thread.
  task<result<void>> check() const;

private:
  std::vector<std::unique_ptr<store_watch>> all_;
};

} // namespace postern::app
