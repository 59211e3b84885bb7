// How long do completions take beside 5 000 status reads a second of random ids and 500 event streams? A load program
// for a running Postern whose store is a discarding_s3. Rounds without and with the reads alternate. A completion is
// the redirect of a browser: Postern reads the claim, asks the store for the object, and commits.
//   bench_reads POSTERN_PORT S3_PORT SECONDS ROUNDS
// All requests follow a schedule. A latency counts from the time at which the request was due, so a slow server cannot
// slow the load down.
#include <postern/base/dates.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/uuid.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

using clock_type = std::chrono::steady_clock;
using seconds = std::chrono::duration<double>;

constexpr unsigned reads_per_second = 5'000, completions_per_second = 100, streams = 500;
constexpr unsigned read_connections = 64, completion_connections = 16;

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "bench_reads: %s\n", why.c_str());
  std::exit(1);
}

// One keep-alive connection; requests one after the other.
class client {
public:
  client(io_executor home, unsigned short port) : socket_(home) {
    socket_.connect({asio::ip::address_v4::loopback(), port});
    socket_.set_option(asio::ip::tcp::no_delay(true));
  }

  // The status; the body is in body(). `field`: one more line of the header.
  task<int> request(std::string_view method, std::string_view target, std::string_view body = {},
                    std::string_view field = {}) {
    out_.assign(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\n");
    if (!body.empty()) out_.append("Content-Type: application/json\r\n");
    if (!field.empty()) out_.append(field).append("\r\n");
    out_.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n").append(body);
    co_await asio::async_write(socket_, asio::buffer(out_), use_task);
    const auto head = co_await asio::async_read_until(socket_, asio::dynamic_buffer(in_), "\r\n\r\n", use_task);
    const auto length = length_in(std::string_view(in_).substr(0, head));
    if (in_.size() < head + length)
      co_await asio::async_read(socket_, asio::dynamic_buffer(in_), asio::transfer_exactly(head + length - in_.size()),
                                use_task);
    const int status = std::stoi(in_.substr(9, 3));
    body_.assign(in_, head, length);
    in_.erase(0, head + length);
    co_return status;
  }
  const std::string& body() const { return body_; }

private:
  static std::size_t length_in(std::string_view head) {
    constexpr std::string_view name = "Content-Length: ";
    const auto at = head.find(name);
    return at == head.npos ? 0 : std::strtoull(head.data() + at + name.size(), nullptr, 10);
  }

  tcp_socket socket_;
  std::string out_, in_, body_;
};

// An upload that is signed and whose object exists.
struct stored_upload {
  std::string id, completion; // the path and query that completes it
};

struct latencies {
  std::vector<double> all;
  double share(double part) {
    if (all.empty()) return 0;
    std::sort(all.begin(), all.end());
    return 1e3 * all[static_cast<std::size_t>(static_cast<double>(all.size() - 1) * part)];
  }
};

class bench {
public:
  bench(unsigned short port, unsigned short s3_port, double length) : port_(port), s3_port_(s3_port), length_(length) {}

  // Opens Postern's connections, and makes the database's first pages.
  void warm_up() {
    const auto uploads = store_uploads(200);
    loop_.restart();
    group running(loop_.get_executor());
    running.start(complete_all(uploads));
    loop_.run();
  }

  void round(bool with_reads) {
    auto uploads = store_uploads(static_cast<std::size_t>(completions_per_second * length_));
    std::vector<stored_upload> watched;
    std::size_t ended_streams = 0;
    if (with_reads) watched = store_uploads(streams);
    loop_.restart();
    group running(loop_.get_executor());
    stop_ = false;
    for (const auto& u : watched) running.start(watch(u.id, ended_streams));
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the lambda lives until the loop has ended
    const auto play = [&]() -> task<> {
      while (subscribed_ < watched.size()) co_await pause(5ms);
      const auto begin = clock_type::now() + 100ms;
      group load(loop_.get_executor());
      next_completion_ = next_read_ = 0;
      for (unsigned n = 0; n < completion_connections; ++n) load.start(complete(uploads, begin, with_reads));
      for (unsigned n = 0; with_reads && n < read_connections; ++n) load.start(read_status(begin));
      co_await load.wait(1h);
      if (with_reads) read_seconds_ += seconds(clock_type::now() - begin).count();
      co_await complete_all(watched); // each stream must end with this event
      co_await pause(2s);
      stop_ = true;
    };
    running.start(play());
    loop_.run();
    if (ended_streams != watched.size())
      die(std::to_string(ended_streams) + " of " + std::to_string(watched.size()) + " streams ended");
    subscribed_ = 0;
  }

  void print() {
    const auto line = [](const char* what, latencies& l) {
      std::printf("%-34s %6zu   p50 %7.2f ms   p99 %7.2f ms\n", what, l.all.size(), l.share(0.5), l.share(0.99));
    };
    line("completions without reads", without_);
    line("completions beside reads", beside_);
    line("status reads", reads_);
    std::printf("%u event streams, %.0f status reads a second; p99 of completions beside / without: %.2f\n", streams,
                static_cast<double>(reads_.all.size()) / read_seconds_, beside_.share(0.99) / without_.share(0.99));
  }

private:
  task<> pause(clock_type::duration d) {
    timer t(loop_.get_executor(), d);
    co_await t.async_wait(use_task);
  }
  task<> until(clock_type::time_point t) {
    timer due(loop_.get_executor(), t);
    if (t > clock_type::now()) co_await due.async_wait(use_task);
  }

  std::vector<stored_upload> store_uploads(std::size_t count) {
    std::vector<stored_upload> made;
    loop_.restart();
    group running(loop_.get_executor());
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the lambda lives until the loop has ended
    const auto store = [&]() -> task<> {
      client to_postern(loop_.get_executor(), port_), to_s3(loop_.get_executor(), s3_port_);
      while (made.size() < count) {
        const int status = co_await to_postern.request("POST", "/v1/uploads", R"({"filename":"cat.jpg"})");
        if (status != 201) die("signing is answered " + std::to_string(status) + ": " + to_postern.body());
        const auto form = read_json(to_postern.body()).value();
        const auto text = [&](const json_value& of, std::string_view name) { return *of.find(name)->if_string(); };
        const auto key = text(form, "key"), claim = text(*form.find("fields"), "success_action_redirect");
        const auto put = "/media/" + uri_encode(key, true);
        const auto id = text(form, "id"), owner = "x-amz-meta-postern-id: " + id;
        const int stored = co_await to_s3.request("PUT", put, "", owner);
        if (stored != 200) die("the store does not take an object");
        made.push_back({id, claim.substr(claim.find("/v1/")) + "?bucket=media&key=" + uri_encode(key) +
                                "&etag=%2200000000000000000000000000000000%22"});
      }
    };
    for (unsigned n = 0; n < completion_connections; ++n) running.start(store());
    loop_.run();
    made.resize(count);
    return made;
  }

  task<> complete(const std::vector<stored_upload>& uploads, clock_type::time_point begin, bool with_reads) {
    client to_postern(loop_.get_executor(), port_);
    while (next_completion_ < uploads.size()) {
      const auto n = next_completion_++;
      const auto due = begin + std::chrono::microseconds(1'000'000 * n / completions_per_second);
      co_await until(due);
      const int status = co_await to_postern.request("GET", uploads[n].completion);
      if (status != 200) die("a completion is answered " + std::to_string(status) + ": " + to_postern.body());
      (with_reads ? beside_ : without_).all.push_back(seconds(clock_type::now() - due).count());
    }
  }

  task<> complete_all(const std::vector<stored_upload>& uploads) {
    client to_postern(loop_.get_executor(), port_);
    for (const auto& u : uploads) {
      const int status = co_await to_postern.request("GET", u.completion);
      if (status != 200) die("a completion is answered " + std::to_string(status) + ": " + to_postern.body());
    }
  }

  task<> read_status(clock_type::time_point begin) {
    client to_postern(loop_.get_executor(), port_);
    const auto count = static_cast<std::size_t>(reads_per_second * length_);
    while (next_read_ < count) {
      const auto n = next_read_++;
      const auto due = begin + std::chrono::microseconds(1'000'000 * n / reads_per_second);
      co_await until(due);
      const auto target = "/v1/uploads/" + new_uuid_v7(now_millis());
      const int status = co_await to_postern.request("GET", target);
      if (status != 404) die("a random id is answered " + std::to_string(status) + ": " + to_postern.body());
      reads_.all.push_back(seconds(clock_type::now() - due).count());
    }
  }

  // Counts the stream in `ended_streams` when its last event says that the upload is completed.
  task<> watch(std::string id, std::size_t& ended_streams) {
    tcp_socket socket(loop_.get_executor());
    socket.connect({asio::ip::address_v4::loopback(), port_});
    const auto ask = "GET /v1/uploads/" + id + " HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n";
    co_await asio::async_write(socket, asio::buffer(ask), use_task);
    std::string in;
    bool is_subscribed = false;
    for (boost::system::error_code ec; !ec && !stop_;) {
      std::array<char, 4096> piece;
      const auto n = co_await socket.async_read_some(asio::buffer(piece), asio::redirect_error(use_task, ec));
      in.append(piece.data(), n);
      if (!is_subscribed && in.find("event: upload") != in.npos) is_subscribed = true, ++subscribed_;
      if (in.find("id: completed") == in.npos) continue;
      ++ended_streams;
      co_return;
    }
  }

  const unsigned short port_, s3_port_;
  const double length_;
  asio::io_context loop_{1};
  std::size_t next_completion_ = 0, next_read_ = 0, subscribed_ = 0;
  bool stop_ = false;
  double read_seconds_ = 0;
  latencies without_, beside_, reads_;
};

} // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): an exception ends the measurement
int main(int argc, char** argv) {
  if (argc != 5) die("usage: bench_reads POSTERN_PORT S3_PORT SECONDS ROUNDS");
  const auto port = [&](int n) { return static_cast<unsigned short>(std::stoi(argv[n])); };
  bench b(port(1), port(2), std::stod(argv[3]));
  b.warm_up();
  for (int n = std::stoi(argv[4]); n > 0; --n) {
    b.round(false);
    b.round(true);
  }
  b.print();
}
