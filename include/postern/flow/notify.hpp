// Delivers the webhooks that the ledger says are due (CONTRACT §2.5; Standard Webhooks 1.0). Several go out at once, a
// few to each endpoint, and each endpoint has its own line: one that is slow holds up nobody else. A message is held in
// the ledger for longer than a try can last, so that no other node sends it too; what this process cannot finish is due
// again when that time is over. Lives on one thread.
#pragma once

#include <postern/base/log.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/net/http_client.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct webhook_target {
  std::string url; // as it stands in the ledger
  http_url at;
  std::vector<secret> keys; // of webhook_key. Each signs, so that receivers may know either while one replaces another.
  // Sends a request with this body, both of which outlive the task: http_client::send in the program.
  std::function<task<result<http_response>>(const http_request&, std::string_view)> send;
};

struct notifier_options {
  std::vector<webhook_target> endpoints;
  std::function<millis_clock()> clock;
  std::function<double()> chance; // 0 to 1, new each time
  std::string user_agent = "Postern";
  std::chrono::milliseconds patience{15'000}; // for one try, from its name's resolution to its answer
  std::chrono::milliseconds hold{60'000};     // of what was taken from the ledger
  std::chrono::milliseconds poll{1'000};
  std::size_t at_once = 4;   // to one endpoint
  std::size_t max = 64;      // taken from the ledger in one go
  std::size_t in_line = 128; // for one endpoint; what comes above that waits in the ledger
};

class notifier {
public:
  notifier(notifier_options options, ledger& from, io_executor on);

  task<> run(); // takes and delivers, until stop
  void stop();  // takes no more and begins no more
  // Stops, and lets what runs be finished, for at most so long; then `cut` is called to end it. From the stop on, what
  // got no answer counts as never tried.
  task<> drain(std::chrono::milliseconds max, std::function<void()> cut);

private:
  struct held {
    webhook what;
    millis_clock until;
  };
  struct line {
    const webhook_target* to = nullptr;
    std::deque<held> waiting;
    std::size_t running = 0;
  };

  task<bool> take();
  task<> serve(line& l);
  task<> deliver(line& l, webhook w);
  task<> record_failure(line& l, webhook w, std::string why, std::chrono::milliseconds at_least);
  void measure_age(millis_clock now);
  bool has_room() const;

  const notifier_options options_;
  ledger& ledger_;
  std::map<std::string, line, std::less<>> lines_; // by URL
  std::map<std::string, millis_clock> due_;        // of those in lines or under way: since when, by id
  group running_;
  timer wakes_;
  bool more_ = false; // did the ledger have more than was asked for?
  bool stopped_ = false;
};

// Sends a signed {"type":"postern.test",…} and answers what comes back, or http_client's failure: for postern doctor.
task<result<http_response>> send_test_webhook(const webhook_target& to, std::string user_agent, millis_clock now);

} // namespace postern
