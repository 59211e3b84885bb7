// The notifier delivers the webhooks that are due in the ledger (Standard Webhooks 1.0). It sends several at once, a
// few to each endpoint. Each endpoint has a queue of its own, so a slow endpoint delays no other. The ledger leases a
// message to this node for longer than one try can last, so that no other node sends it too. A message whose lease ends
// undelivered is due again. Owned by the node; lives on one thread.
//
// An endpoint that gives no answer several times in a row is paused: its messages stay untouched in the ledger, and one
// of them is tried after each pause. Pauses grow until the endpoint answers, whatever it answers. A message that has
// been due for longer than all its retries would have taken becomes a dead letter.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/flow/webhook_post.hpp>
#include <postern/io/ledger.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct notifier_options {
  std::vector<webhook_target> endpoints;
  std::function<millis_clock()> clock;
  std::function<double()> random; // from 0 to 1
  std::string user_agent = "Postern";
  std::chrono::milliseconds try_timeout{15'000}; // from the name's resolution to the answer
  std::chrono::milliseconds lease{60'000};       // of a message that was taken from the ledger
  std::chrono::milliseconds poll{1'000};
  std::size_t max_in_flight = 4; // to one endpoint
  std::size_t batch = 64;        // messages taken from the ledger at once
  std::size_t max_queue = 128;   // messages of one endpoint in memory; others wait in the ledger
  std::chrono::milliseconds first_pause{5'000}, max_pause{300'000}; // of a silent endpoint
  std::chrono::milliseconds max_silence = std::chrono::hours(72);   // then its messages become dead letters
};

class notifier {
public:
  notifier(notifier_options options, ledger& from, io_executor on);

  task<> run(); // takes messages and delivers them, until stop
  void stop();  // begins no further try
  // Stops and waits until the tries in flight have ended, for at most `max`; then calls `cut` to end them. A try that
  // gets no answer after the stop is not counted.
  task<> drain(std::chrono::milliseconds max, std::function<void()> cut);

private:
  struct leased {
    webhook message;
    millis_clock until;
  };
  struct queue {
    const webhook_target* target = nullptr;
    std::deque<leased> waiting;
    std::size_t in_flight = 0;
    bool has_more = false;    // the ledger has further messages that are due
    std::size_t silences = 0; // tries without an answer since the last answer
    millis_clock paused_until{};
  };

  task<bool> run_round();
  task<bool> take();
  void enqueue(webhook w, millis_clock until);
  task<> serve(queue& q);
  task<> deliver(queue& q, webhook w);
  task<> record_failure(queue& q, webhook w, std::string why, std::chrono::milliseconds min_pause);
  task<> measure_age();
  task<> note_answer(queue& q, bool is_answered);
  void pause(queue& q);
  void drop_waiting(queue& q);
  bool is_paused(const queue& q) const;
  bool is_silent(const queue& q) const { return q.silences >= options_.max_in_flight; }
  std::size_t room(const queue& q) const;

  const notifier_options options_;
  ledger& ledger_;
  std::map<std::string, queue, std::less<>> queues_; // by URL
  std::set<std::string> in_hand_;                    // ids of the messages that wait here or are in flight
  millis_clock measure_at_{};                        // when the oldest message is looked for again
  group running_;
  timer wakes_;
  bool is_stopped_ = false;
};

// Sends a signed {"type":"postern.test",…} and returns the answer, or http_client's failure. For postern doctor.
task<result<http_response>> send_test_webhook(const webhook_target& to, std::string user_agent, millis_clock now);

} // namespace postern
