// An HTTP server on loopback that plays a script: one step for each request, in the order of arrival. It runs on its
// own thread and records the requests. Its destructor checks that the script was played to the end.
#pragma once

#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace postern::test {

// A request as it arrived.
struct received_request {
  std::string line;                                        // "PUT /key HTTP/1.1"
  std::vector<std::pair<std::string, std::string>> fields; // names in lower case
  std::string body;                                        // as many bytes as the step reads
  std::size_t connection = 0;                              // its number, from 0
  std::string server_name;                                 // of the TLS handshake (SNI)

  std::string_view field(std::string_view lower_case_name) const {
    for (const auto& [name, value] : fields)
      if (name == lower_case_name) return value;
    return {};
  }
  bool has(std::string_view lower_case_name) const {
    return std::any_of(fields.begin(), fields.end(), [&](const auto& f) { return f.first == lower_case_name; });
  }
  std::string method() const { return line.substr(0, line.find(' ')); }
  std::string target() const {
    const auto begin = line.find(' ') + 1;
    return line.substr(begin, line.find(' ', begin) - begin);
  }
};

// What the peer does with one request.
class step {
public:
  enum class place { never, head, body, answer, middle };

  explicit step(std::string as_it_goes_over_the_wire) : bytes(std::move(as_it_goes_over_the_wire)) {}

  // The request line must begin like this.
  step& wants(std::string beginning) { return line = std::move(beginning), *this; }
  // Waits before the answer.
  step& after(std::chrono::milliseconds d) { return delay = d, *this; }
  // Sends 100 Continue if the request expects it.
  step& sends_continue() { return continues = true, *this; }
  // Answers after `max` bytes of the body.
  step& reads(std::size_t max) { return body_bytes = max, *this; }
  // Closes the connection after the response, without announcing it.
  step& closes(std::chrono::milliseconds later = {}) { return ends = later, *this; }
  // Never answers.
  step& stays_silent() { return silent = true, *this; }
  // Sends the answer byte by byte, with a pause between the bytes.
  step& in_pieces(std::chrono::milliseconds between = {}) { return gap = between, *this; }
  // Resets the connection: after the head, after half of the body, before the answer, or after half of the answer.
  step& cut(place at) { return cut_at = at, *this; }

  std::string bytes, line;
  std::chrono::milliseconds delay{};
  std::size_t body_bytes = std::numeric_limits<std::size_t>::max();
  bool continues = false, silent = false;
  std::optional<std::chrono::milliseconds> ends, gap;
  place cut_at = place::never;
};

using header_fields = std::vector<std::pair<std::string, std::string>>;

// An answer with its Content-Length.
inline step answers(int status, std::string_view body = {}, const header_fields& fields = {}) {
  auto bytes = "HTTP/1.1 " + std::to_string(status) + " Whatever\r\n";
  for (const auto& [name, value] : fields) bytes += name + ": " + value + "\r\n";
  bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  return step(bytes.append(body));
}

struct peer_options {
  asio::ssl::context* tls = nullptr; // must outlive the peer
  std::string address = "127.0.0.1";
  std::uint16_t port = 0; // chosen by the system
};

class scripted_peer {
public:
  using script = std::function<step(const received_request&)>;

  explicit scripted_peer(std::vector<step> steps, peer_options o = {})
      : steps_(std::move(steps)), options_(std::move(o)) {
    begin();
  }
  // `s` returns the step for each request. It is called on the peer's thread when the head has arrived.
  explicit scripted_peer(script s, peer_options o = {}) : script_(std::move(s)), options_(std::move(o)) { begin(); }
  scripted_peer(const scripted_peer&) = delete;
  scripted_peer& operator=(const scripted_peer&) = delete;

  ~scripted_peer() {
    loop_.stop();
    thread_.join();
    BOOST_TEST(faults_ == "", "the peer: " << faults_);
    BOOST_TEST(played_ == steps_.size(), "the peer was asked " << played_ << " times of " << steps_.size());
  }

  http_address at() const { return {options_.tls != nullptr, host(), port_}; }
  std::string url() const { return at().origin(); }
  std::uint16_t port() const { return port_; }

  std::vector<received_request> requests() const {
    std::lock_guard lock(mutex_);
    return received_;
  }
  std::size_t accepted() const { return accepted_; }
  std::size_t open() const { return open_; } // connections that are not closed
  // Resets the next `n` connections before it reads a byte.
  void cut_on_accept(std::size_t n) { cut_first_ = n; }

private:
  struct wire {
    explicit wire(tcp_socket s, asio::ssl::context* context) : socket(std::move(s)) {
      if (context) tls.emplace(socket, *context);
    }
    task<std::size_t> read(char* into, std::size_t max) {
      const auto buffer = asio::mutable_buffer(into, max);
      if (tls) co_return co_await tls->async_read_some(buffer, asio::redirect_error(use_task, ec));
      co_return co_await socket.async_read_some(buffer, asio::redirect_error(use_task, ec));
    }
    task<> write(std::string_view bytes) {
      const auto buffer = asio::const_buffer(bytes.data(), bytes.size());
      if (tls)
        co_await asio::async_write(*tls, buffer, asio::redirect_error(use_task, ec));
      else
        co_await asio::async_write(socket, buffer, asio::redirect_error(use_task, ec));
    }
    void reset() {
      boost::system::error_code ignored;
      socket.set_option(asio::socket_base::linger(true, 0), ignored);
      socket.close(ignored);
    }
    tcp_socket socket;
    std::optional<asio::ssl::stream<tcp_socket&>> tls;
    boost::system::error_code ec;
  };

  std::string host() const {
    return options_.address.find(':') == options_.address.npos ? options_.address : "[" + options_.address + "]";
  }

  void begin() {
    const asio::ip::tcp::endpoint here(asio::ip::make_address(options_.address), options_.port);
    acceptor_.open(here.protocol());
    acceptor_.set_option(asio::socket_base::reuse_address(true));
    acceptor_.bind(here);
    acceptor_.listen();
    port_ = acceptor_.local_endpoint().port();
    serving_.start(accept());
    thread_ = std::thread([this] { loop_.run(); });
  }

  task<> accept() {
    for (;;) {
      tcp_socket socket(loop_.get_executor());
      boost::system::error_code ec;
      co_await acceptor_.async_accept(socket, asio::redirect_error(use_task, ec));
      if (ec) co_return;
      const auto number = accepted_++;
      auto w = std::make_unique<wire>(std::move(socket), options_.tls);
      if (cut_first_ > 0) {
        --cut_first_;
        w->reset();
        continue;
      }
      serving_.start(serve(std::move(w), number));
    }
  }

  task<> serve(std::unique_ptr<wire> w, std::size_t number) {
    ++open_;
    co_await converse(*w, number);
    --open_;
  }

  task<> converse(wire& w, std::size_t number) {
    w.socket.set_option(asio::ip::tcp::no_delay(true), w.ec);
    std::string server_name;
    if (w.tls) {
      co_await w.tls->async_handshake(asio::ssl::stream_base::server, asio::redirect_error(use_task, w.ec));
      if (w.ec) co_return;
      if (const char* sent_name = SSL_get_servername(w.tls->native_handle(), TLSEXT_NAMETYPE_host_name))
        server_name = sent_name;
    }
    std::string ahead;
    for (;;) {
      received_request r;
      r.connection = number;
      r.server_name = server_name;
      std::size_t end = 0;
      while ((end = ahead.find("\r\n\r\n")) == ahead.npos) {
        if (!co_await more(w, ahead)) co_return;
      }
      read_head(r, std::string_view(ahead).substr(0, end + 2));
      ahead.erase(0, end + 4);
      const auto does = next(r);
      const auto index = remember(r);
      if (!co_await play(w, does, r, ahead, index)) co_return;
    }
  }

  // Returns whether the connection can carry another request.
  task<bool> play(wire& w, const step& does, const received_request& r, std::string& ahead, std::size_t index) {
    using enum step::place;
    if (does.cut_at == head) co_return w.reset(), false;
    if (does.continues && r.field("expect") == "100-continue") co_await w.write("HTTP/1.1 100 Continue\r\n\r\n");
    const std::string length(r.field("content-length"));
    auto wanted = std::min<std::size_t>(length.empty() ? 0 : std::stoull(length), does.body_bytes);
    if (does.cut_at == body) wanted /= 2;
    while (ahead.size() < wanted && !w.ec)
      if (!co_await more(w, ahead)) break;
    {
      std::lock_guard lock(mutex_);
      received_[index].body = ahead.substr(0, wanted);
    }
    ahead.erase(0, wanted);
    if (does.cut_at == body || does.cut_at == answer) co_return w.reset(), false;
    if (does.silent) {
      while (co_await more(w, ahead)) {
      }
      co_return false;
    }
    if (does.delay.count() > 0) co_await pause(does.delay);
    if (does.cut_at == middle) {
      co_await w.write(std::string_view(does.bytes).substr(0, does.bytes.size() / 2));
      co_await pause(std::chrono::milliseconds(20)); // the client must read it before the reset arrives
      co_return w.reset(), false;
    }
    for (std::size_t n = 0; does.gap && n < does.bytes.size() && !w.ec; ++n) {
      co_await w.write(std::string_view(does.bytes).substr(n, 1));
      if (does.gap->count() > 0) co_await pause(*does.gap);
    }
    if (!does.gap) co_await w.write(does.bytes);
    if (does.ends) {
      co_await pause(*does.ends);
      boost::system::error_code ignored;
      w.socket.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
      co_return false;
    }
    co_return !w.ec;
  }

  task<> pause(std::chrono::milliseconds d) {
    timer t(loop_.get_executor(), d);
    co_await t.async_wait(use_task);
  }

  static task<bool> more(wire& w, std::string& into) {
    const auto size = into.size();
    into.resize(size + (64 << 10));
    const auto n = co_await w.read(into.data() + size, 64 << 10);
    into.resize(size + (w.ec ? 0 : n));
    co_return !w.ec;
  }

  static void read_head(received_request& r, std::string_view text) {
    for (bool first = true; !text.empty(); first = false) {
      const auto line = text.substr(0, text.find("\r\n"));
      text.remove_prefix(line.size() + 2);
      const auto colon = line.find(": ");
      if (first)
        r.line = line;
      else if (colon != line.npos)
        r.fields.emplace_back(lower(line.substr(0, colon)), line.substr(colon + 2));
    }
  }

  step next(const received_request& r) {
    if (script_) return script_(r);
    if (played_ == steps_.size()) {
      faults_ += "not in the script: " + r.line + "; ";
      return step("").cut(step::place::head);
    }
    const auto& s = steps_[played_++];
    if (!r.line.starts_with(s.line)) faults_ += "\"" + r.line + "\" instead of \"" + s.line + "\"; ";
    return s;
  }

  std::size_t remember(const received_request& r) {
    std::lock_guard lock(mutex_);
    received_.push_back(r);
    return received_.size() - 1;
  }

  const std::vector<step> steps_;
  const script script_;
  const peer_options options_;
  asio::io_context loop_{1};
  tcp_acceptor acceptor_{loop_.get_executor()};
  group serving_{loop_.get_executor()};
  std::uint16_t port_ = 0;
  std::size_t played_ = 0; // played_ and faults_: the peer's thread only, until it has ended
  std::string faults_;
  std::atomic<std::size_t> accepted_{0}, open_{0}, cut_first_{0};
  mutable std::mutex mutex_;
  std::vector<received_request> received_;
  std::thread thread_;
};

} // namespace postern::test
