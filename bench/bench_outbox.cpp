// What does a receiver that hangs cost the others, when 100 000 messages for it are queued? Measures durable
// completions a second with 1 000 callers waiting, each announced to a receiver that answers; and how long the message
// of a single completion takes to arrive there. Each is measured in a ledger without and in one with the queue,
// alternating. The ledgers have as many uploads, and both know the receiver that accepts connections and never answers.
//   bench_outbox FOLDER ROUNDS                            SQLite, in new files of that folder
//   bench_outbox postgresql://… postgresql://… ROUNDS     PostgreSQL, in two empty databases
#include <postern/base/random.hpp>
#include <postern/base/uuid.hpp>
#include <postern/flow/notify.hpp>
#include <postern/io/ledger/make_ledger.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

using seconds = std::chrono::duration<double>;
using clock_type = std::chrono::steady_clock;

constexpr unsigned queued = 100'000, completions = 10'000, callers = 1'000, single = 10;
constexpr const char* elsewhere = "http://192.0.2.1/hooks"; // the receiver of another node

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "bench_outbox: %s\n", why.c_str());
  std::exit(1);
}

upload new_upload() {
  std::array<unsigned char, 10> chance;
  random_bytes(chance);
  upload u;
  u.created_at = now_millis();
  u.id = uuid_v7(u.created_at, chance);
  u.profile = "default", u.user = "42", u.bucket = "media";
  u.key = "uploads/" + u.id + "/IMG_20261123_181500.jpg";
  u.metadata = {{"order", "4711"}, {"album", "Sommer"}};
  u.max_size = 5ull << 30;
  u.expires_at = u.created_at + 15min;
  return u;
}

std::string url_of(const tcp_acceptor& at) {
  return "http://127.0.0.1:" + std::to_string(at.local_endpoint().port()) + "/hooks";
}

completion completion_of(upload u) {
  completion c;
  c.at = u.created_at;
  c.of = std::move(u);
  c.size = 1'234'567;
  c.etag = "9b2cf535f27731c974343645a3985328";
  return c;
}

// Records `queued` completed uploads, and for each a message to each of these receivers.
void fill(const std::string& url, const std::vector<webhook_endpoint>& receivers) {
  ledger_options options;
  options.url = url;
  options.endpoints = receivers;
  asio::io_context loop{1};
  const auto records = make_ledger(options);
  unsigned left = queued;
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the lambda lives until the loop has ended
  const auto calls = [&]() -> task<> {
    while (left > 0) {
      --left;
      auto done = completion_of(new_upload());
      auto recorded = co_await records->confirm(std::move(done));
      if (!recorded) die(describe(recorded.error()));
    }
  };
  group running(loop.get_executor());
  for (unsigned n = 0; n < callers; ++n) running.start(calls());
  loop.run();
}

// An application that answers each webhook at once, and counts them.
class receiver {
public:
  explicit receiver(io_executor home)
      : acceptor_(home, {asio::ip::address_v4::loopback(), 0}), sessions_(home), arrived_(home) {}

  std::string url() const { return url_of(acceptor_); }
  std::size_t count() const { return count_; }
  void stop() { acceptor_.close(); }

  task<> run() {
    boost::system::error_code ec;
    while (acceptor_.is_open()) {
      tcp_socket socket(acceptor_.get_executor());
      co_await acceptor_.async_accept(socket, asio::redirect_error(use_task, ec));
      if (!ec) sessions_.start(serve(std::move(socket)));
    }
  }
  task<> wait_for(std::size_t count) {
    boost::system::error_code ec;
    while (count_ < count) {
      arrived_.expires_after(60s);
      co_await arrived_.async_wait(asio::redirect_error(use_task, ec));
      if (!ec) die("no message arrived for a minute");
    }
  }

private:
  task<> serve(tcp_socket socket) {
    boost::system::error_code ec;
    std::string in;
    while (!ec) {
      const auto head = co_await asio::async_read_until(socket, asio::dynamic_buffer(in), "\r\n\r\n",
                                                        asio::redirect_error(use_task, ec));
      if (ec) break;
      const auto length = head + length_in(std::string_view(in).substr(0, head));
      if (in.size() < length)
        co_await asio::async_read(socket, asio::dynamic_buffer(in), asio::transfer_exactly(length - in.size()),
                                  asio::redirect_error(use_task, ec));
      if (ec) break;
      in.erase(0, length);
      ++count_;
      arrived_.cancel();
      co_await asio::async_write(socket, asio::buffer(answer), asio::redirect_error(use_task, ec));
    }
  }
  static std::size_t length_in(std::string_view head) {
    constexpr std::string_view name = "Content-Length: ";
    const auto at = head.find(name);
    return at == head.npos ? 0 : std::strtoull(head.data() + at + name.size(), nullptr, 10);
  }

  static constexpr std::string_view answer = "HTTP/1.1 204 No Content\r\n\r\n";
  tcp_acceptor acceptor_;
  group sessions_;
  timer arrived_;
  std::size_t count_ = 0;
};

double quantile(std::vector<double> of, double part) {
  std::sort(of.begin(), of.end());
  return of[static_cast<std::size_t>(static_cast<double>(of.size() - 1) * part)];
}

// Bytes that this process has written so far, to whatever (proc(5), io).
double bytes_written() {
  std::ifstream io("/proc/self/io");
  std::string name;
  double bytes = 0;
  while (io >> name >> bytes && name != "wchar:") {
  }
  return bytes;
}

// A ledger, the notifier that delivers its messages, and the receiver that answers. Its time stands still between
// rounds, so that it costs the other house nothing.
class house {
public:
  house(const std::string& ledger_url, const std::string& silent)
      : answers_(loop_.get_executor()), records_(make_ledger(ledger_of(ledger_url, silent, answers_.url()))),
        notifier_(notifier_of({silent, answers_.url()}), *records_, loop_.get_executor()),
        running_(loop_.get_executor()) {
    running_.start(answers_.run());
    running_.start(notifier_.run());
  }

  void round() { run(measure()); }
  void end() {
    run(leave());
    loop_.restart();
    loop_.run();
  }
  double completions_per_second() const { return quantile(rates_, 0.5); }
  double cpu_seconds() const { return quantile(cpu_, 0.5); } // of this process, for one completion
  double written() const { return quantile(written_, 0.5); } // bytes, for one completion
  double arrival(double part) const { return quantile(arrivals_, part); }

private:
  static ledger_options ledger_of(const std::string& url, const std::string& silent, const std::string& answering) {
    ledger_options o;
    o.url = url;
    // The silent one gets no more than is queued. Nobody delivers to the other node's.
    o.endpoints = {{silent, {"upload.expired"}}, {elsewhere, {"upload.completed"}}, {answering, {"upload.failed"}}};
    return o;
  }
  notifier_options notifier_of(const std::vector<std::string>& urls) {
    notifier_options o;
    for (const auto& url : urls) {
      webhook_target t;
      t.url = url;
      t.at = parse_web_url(url).value();
      t.keys.push_back(webhook_key(secret("a secret for measuring only")).value());
      t.send = [this](const http_request& r, std::string_view body) { return client_.send(r, body); };
      o.endpoints.push_back(std::move(t));
    }
    o.clock = now_millis;
    o.random = [] { return 0.5; };
    return o;
  }

  // Runs the loop until `work` has ended.
  void run(task<> work) {
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the lambda lives until the loop has stopped
    const auto play = [&]() -> task<> {
      co_await std::move(work);
      loop_.stop();
    };
    loop_.restart();
    running_.start(play());
    loop_.run();
  }

  task<> measure() {
    left_ = completions;
    const auto begin = clock_type::now();
    const std::function<task<>()> completing = [this] { return complete(); };
    const auto cpu = std::clock();
    const auto written = bytes_written();
    co_await by_callers(completing);
    written_.push_back((bytes_written() - written) / completions);
    cpu_.push_back(static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC / completions);
    rates_.push_back(completions / seconds(clock_type::now() - begin).count());
    co_await remove_new_messages();
    for (unsigned n = 0; n < single; ++n) {
      timer pause(loop_.get_executor(), std::chrono::milliseconds(137 * n % 500)); // at any moment of a notifier's poll
      co_await pause.async_wait(use_task);
      co_await send_one();
    }
  }
  task<> by_callers(const std::function<task<>()>& work) {
    group load(loop_.get_executor());
    for (unsigned n = 0; n < callers; ++n) load.start(work());
    co_await load.wait(1h);
  }
  task<> complete() {
    while (left_ > 0) {
      --left_;
      auto done = completion_of(new_upload());
      auto recorded = co_await records_->confirm(std::move(done));
      if (!recorded) die(describe(recorded.error()));
    }
  }
  // Each round begins with the same queue.
  task<> remove_new_messages() {
    const std::function<task<>()> removing = [this] { return remove(); };
    for (;;) {
      webhook_filter added;
      added.url = elsewhere;
      added.limit = completions;
      auto found = co_await records_->list_webhooks(std::move(added));
      if (!found) die(describe(found.error()));
      if (found->empty()) co_return;
      messages_ = std::move(*found);
      co_await by_callers(removing);
    }
  }
  task<> remove() {
    while (!messages_.empty()) {
      auto id = std::move(messages_.back().id);
      messages_.pop_back();
      auto removed = co_await records_->record_delivery(std::move(id));
      if (!removed) die(describe(removed.error()));
    }
  }
  // An upload fails, and the receiver that answers is told so.
  task<> send_one() {
    const auto expected = answers_.count() + 1;
    const auto begin = clock_type::now();
    auto rejected = new_upload();
    std::string attempt = "attempt", code = "EntityTooLarge";
    auto failed = co_await records_->fail(std::move(rejected), std::move(attempt), std::move(code), now_millis());
    if (!failed) die(describe(failed.error()));
    co_await answers_.wait_for(expected);
    arrivals_.push_back(seconds(clock_type::now() - begin).count());
  }
  task<> leave() {
    const std::function<void()> cut = [this] { http_client::stop(loop_); };
    co_await notifier_.drain(100ms, cut);
    http_client::stop(loop_);
    answers_.stop();
  }

  asio::io_context loop_{1}; // outlives the ledger, whose thread posts to it
  http_client client_;
  receiver answers_;
  const std::unique_ptr<ledger> records_;
  notifier notifier_;
  group running_;
  unsigned left_ = 0;
  std::vector<webhook> messages_;
  std::vector<double> rates_, cpu_, written_, arrivals_;
};

void measure(const std::string& url_without, const std::string& url_with, int rounds) {
  asio::io_context none;
  const tcp_acceptor silent(none.get_executor(), {asio::ip::address_v4::loopback(), 0}); // nobody accepts
  fill(url_without, {});
  fill(url_with, {{url_of(silent)}});
  house without(url_without, url_of(silent)), with(url_with, url_of(silent));
  for (int n = 0; n < rounds; ++n) {
    without.round();
    with.round();
  }
  const auto line = [](const char* what, const house& h) {
    std::printf("%-8s %6.0f completions a second, %4.0f CPU us and %4.1f KiB written each   a message arrives after "
                "%4.0f ms, at most %4.0f ms\n",
                what, h.completions_per_second(), 1e6 * h.cpu_seconds(), h.written() / 1024, 1e3 * h.arrival(0.5),
                1e3 * h.arrival(1));
  };
  line("without", without);
  line("with", with);
  std::printf("with / without: %.2f of the completions a second, %.2f of the CPU\n",
              with.completions_per_second() / without.completions_per_second(),
              with.cpu_seconds() / without.cpu_seconds());
  without.end();
  with.end();
}

} // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): an exception ends the measurement
int main(int argc, char** argv) {
  log::set_up(log::level::error, log::format::logfmt); // without a warning for each message that is not delivered
  if (argc == 4) {
    std::printf("PostgreSQL\n");
    measure(argv[1], argv[2], std::stoi(argv[3]));
  } else if (argc == 3) {
    std::printf("SQLite\n");
    const auto folder = std::filesystem::path(argv[1]) / "bench_outbox";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    measure("sqlite:" + (folder / "without.db").string(), "sqlite:" + (folder / "with.db").string(),
            std::stoi(argv[2]));
    std::filesystem::remove_all(folder);
  } else {
    die("usage: bench_outbox FOLDER ROUNDS, or bench_outbox URL URL ROUNDS");
  }
}
