// What one request may use of the resources that all requests share: memory, and requests to the store.
// core/fair_budget has the rules; this adds the waiting, and measures how fast the client sends. The node owns the
// resources; all threads share them. A session makes an allowance for each request and uses it on the connection's
// thread. It must outlive the work that it was given to; its end gives everything back.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/fair_budget.hpp>
#include <postern/io/tasks.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace postern {

class allowance;

struct resource_limits {                      // 0: no limit
  std::uint64_t memory = 0;                   // bytes
  std::uint64_t max_need = 0;                 // the most memory that one upload takes, in bytes
  std::uint64_t store_requests = 0;           // of uploads, at the same time
  std::chrono::milliseconds max_wait{10'000}; // for memory, or for a request
};

class resources {
public:
  explicit resources(resource_limits limits);
  resources(const resources&) = delete;
  resources& operator=(const resources&) = delete;

  std::uint64_t memory_taken() const; // bytes
  std::uint64_t store_requests() const;

  // Memory that is used in any case, such as a connection's own; counted while this lives.
  class fixed_memory {
  public:
    fixed_memory(resources& of, std::uint64_t bytes);
    fixed_memory(const fixed_memory&) = delete;
    fixed_memory& operator=(const fixed_memory&) = delete;
    ~fixed_memory();

  private:
    resources& of_;
    const std::uint64_t bytes_;
  };

private:
  friend class allowance;
  bool take(fair_budget& of, fair_budget::holder& h, std::uint64_t amount);
  void give_back(fair_budget& of, fair_budget::holder& h, std::uint64_t amount);
  void wake_granted(fair_budget& of);
  void show_taken() const;
  void find_leavers();

  const std::chrono::milliseconds max_wait_;
  mutable std::mutex mutex_; // guards the members below, and the holders
  fair_budget memory_, store_;
  std::chrono::steady_clock::time_point next_look_{};
};

class allowance {
public:
  // `counts_in`: the client in whose share it counts; empty: in none.
  allowance(resources& of, io_executor executor, const std::string& counts_in);
  allowance(const allowance&) = delete;
  allowance& operator=(const allowance&) = delete;
  ~allowance();

  // The work is done. What follows, such as waiting for the client to read its answer, holds nothing.
  void give_all_back();

  // In which caller's share it counts too, from now on. Empty: in none.
  void set_caller(const std::string& name);
  // Which of several stores its requests go to, before the first one: one store has half of them.
  void set_store(const std::string& name);

  // Waits until `bytes` of memory are free, and takes them. errc::unavailable: none became free in time, or this
  // request must leave. errc::incomplete_body: the client hung up meanwhile.
  task<result<void>> take_memory(std::uint64_t bytes);
  // Takes them only while there is plenty. For buffers that are larger than necessary.
  bool take_spare_memory(std::uint64_t bytes);
  // Whether spare memory should be given back.
  bool is_memory_scarce() const;
  void release_memory(std::uint64_t bytes);

  // Takes one request to the store. Hold at most one, and take no memory meanwhile: otherwise two uploads could wait
  // for each other. Fails as take_memory does. `by`: when the wait ends; by default after max_wait.
  task<result<void>> take_store_request(std::optional<std::chrono::steady_clock::time_point> by = std::nullopt);
  void release_store_request();

  // --- how fast the client is
  // `left`: bytes that are still to come, or may come.
  void expect(std::uint64_t left) { left_.store(left, std::memory_order_relaxed); }
  void begin_wait(); // from now on it is the client's turn
  void end_wait(std::uint64_t arrived);

  // How to reach the client whose body is being read. Each is called on the executor, and may be empty.
  struct client_hooks {
    std::function<void()> interrupt; // ends a running read, when the upload has to leave
    std::function<bool()> has_hung_up;
  };
  void serve(client_hooks c) { client_ = std::move(c); }

  // Success, or errc::unavailable: this upload must end now, because it is slow and others need what it holds.
  result<void> check() const;

private:
  friend class resources;
  struct part : fair_budget::holder {
    allowance* of = nullptr;
  };
  task<result<void>> take(fair_budget& from, part& p, std::uint64_t amount,
                          std::optional<std::chrono::steady_clock::time_point> by);
  result<bool> look(fair_budget& from, part& p, std::chrono::steady_clock::time_point end);
  std::optional<fair_budget::duration> time_to_end() const;
  void wake(); // on any thread
  void tell_to_leave(const char* what);

  resources& resources_;
  const io_executor executor_;
  client_hooks client_;
  part memory_, store_;
  timer* waits_ = nullptr;                      // set while it waits
  std::shared_ptr<allowance*> self_;            // for what is posted to the executor; null when this is gone
  std::atomic<const char*> short_of_ = nullptr; // what this must leave for
  std::atomic<std::uint64_t> left_ = 0, arrived_ = 0;
  std::atomic<std::int64_t> waited_ = 0, waits_since_ = 0; // nanoseconds; since: 0 when it does not wait for the client
};

} // namespace postern
