// The fuzz target for HTTP framing and chunked bodies: the input is what one client sends on one connection to the real
// server session. core/http/framing, applied to the whole input at once, predicts what the session must see.
#pragma once

#include <postern/base/log.hpp>
#include <postern/core/http/framing.hpp>
#include <postern/front/http_session.hpp>
#include <postern/io/tasks.hpp>

#include <algorithm>
#include <array>
#include <fuzz/require.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <support/socket_pair.hpp>
#include <vector>

namespace postern::fuzz {

constexpr std::size_t max_session_header = 1024;

// --- the prediction ---------------------------------------------------------------------------------

struct predicted_request {
  std::string body; // up to its end, the first fault in its framing, or the end of the input
  bool is_complete = false, keeps_alive = false, is_head = false;
};

struct predicted_session {
  std::vector<predicted_request> requests;
  bool ends_in_refusal = false; // the input goes on with something that is no request
};

inline predicted_request predict_body(const framing& how, std::string_view& rest) {
  predicted_request out;
  out.keeps_alive = how.keep_alive;
  if (how.body == framing::body_kind::sized) {
    out.body = rest.substr(0, how.length);
    out.is_complete = out.body.size() == how.length;
    rest.remove_prefix(out.body.size());
  } else if (how.body == framing::body_kind::chunked) {
    chunk_decoder decoder;
    std::span<const char> raw(rest);
    while (!raw.empty() && !decoder.done()) {
      const auto run = decoder.next(raw);
      if (!run) return out;
      out.body.append(run->data(), run->size());
    }
    out.is_complete = decoder.done();
    rest.remove_prefix(rest.size() - raw.size());
  } else {
    out.is_complete = true;
  }
  return out;
}

inline predicted_session predict(std::string_view input) {
  predicted_session out;
  for (;;) {
    if (input.starts_with("\r\n")) input.remove_prefix(2);
    if (input.empty()) return out;
    const auto end = input.find("\r\n\r\n");
    const auto how = end == input.npos || end + 4 > max_session_header ? result<framing>(failure{errc::bad_request, ""})
                                                                       : examine_header(input.substr(0, end + 4));
    if (!how) {
      out.ends_in_refusal = true;
      return out;
    }
    const bool is_head = input.starts_with("HEAD ");
    input.remove_prefix(end + 4);
    out.requests.push_back(predict_body(*how, input));
    out.requests.back().is_head = is_head;
    if (!out.requests.back().is_complete || !how->keep_alive) return out;
  }
}

// --- the session ------------------------------------------------------------------------------------

struct served_request {
  std::string body;
  bool is_read = false;     // the endpoint read the body to its end or to an error
  bool is_complete = false; // as the session sees it when the response is made
};

// One loop and one endpoint for all inputs; never destroyed.
class session_server {
public:
  static session_server& instance() {
    static auto& only = *new session_server;
    return only;
  }

  // Sends the input in pieces, closes the sending side, and returns what the server sent.
  std::string run(std::string_view input) {
    served.clear();
    test::socket_pair pair(loop_);
    sessions_.start(serve(std::move(pair.server)));
    std::string received;
    const auto turn = [&] {
      loop_.restart();
      loop_.poll();
      received += pair.client.read();
    };
    auto random = seed_of(input);
    const auto way = random % 4;
    while (!input.empty() && !pair.client.is_ended()) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      const std::size_t step = way == 0 ? input.size() : way == 1 ? 1 + input.size() / 256 : 1 + (random >> 33) % 64;
      const auto n = pair.client.write(input.substr(0, step));
      input.remove_prefix(n);
      turn();
      if (n == 0) break;
    }
    pair.client.close_sending();
    for (int turns = 0; turns < 100 && !pair.client.is_ended(); ++turns) turn();
    require(pair.client.is_ended()); // else the session hangs
    return received;
  }

  std::vector<served_request> served; // by the last run

private:
  session_server() {
    limits_.request_header = max_session_header;
    log::set_up(log::level::error, log::format::logfmt);
  }

  task<> serve(tcp_socket socket) {
    connection c(connections_, std::move(socket), nullptr);
    front::http_session session(c, connections_, limits_, proxies_, count_, shared_, answer_);
    co_await session.run();
  }

  static std::uint64_t seed_of(std::string_view input) { // FNV-1a
    std::uint64_t seed = 14695981039346656037u;
    for (const char c : input) seed = (seed ^ static_cast<unsigned char>(c)) * 1099511628211u;
    return seed;
  }

  // Reads the body with a buffer whose size depends on the path, or leaves it, and tells how many bytes there were.
  task<front::response> answer(front::request& r) {
    const auto mine = served.size();
    served.emplace_back();
    if (!r.path.starts_with("/leave")) {
      std::array<char, 4096> buffer;
      const auto size = std::array<std::size_t, 4>{buffer.size(), 1, 7, 100}[r.path.size() % 4];
      for (;;) {
        const auto n = co_await r.body.read_some(std::span(buffer).first(size));
        if (n) served[mine].body.append(buffer.data(), *n);
        if (!n || *n == 0) break;
      }
      served[mine].is_read = true;
    }
    served[mine].is_complete = dynamic_cast<body_reader&>(r.body).is_complete();
    co_return front::make_response(200, "text/plain", std::to_string(served[mine].body.size()) + "\n");
  }

  asio::io_context loop_{1};
  connections connections_{loop_.get_executor()};
  front::session_limits limits_;
  const front::trusted_proxies proxies_;
  front::connection_count count_{0, 0};
  resources shared_{{}};
  const front::endpoint answer_ = [this](front::request& r) { return answer(r); };
  group sessions_{loop_.get_executor()};
};

// --- the comparison ---------------------------------------------------------------------------------

// Takes one response off the front, checks its form, and returns its status; 0 when it is interim.
inline int take_response(std::string_view& bytes, bool to_head, bool& closes) {
  require(bytes.starts_with("HTTP/1.1 ") && bytes.size() > 13);
  const int status = (bytes[9] - '0') * 100 + (bytes[10] - '0') * 10 + (bytes[11] - '0');
  require(status >= 100 && status <= 599 && bytes[12] == ' ');
  const auto end = bytes.find("\r\n\r\n");
  require(end != bytes.npos);
  const auto header = bytes.substr(0, end + 2);
  bytes.remove_prefix(end + 4);
  if (status < 200) return 0;
  closes = header.find("\r\nConnection: close\r\n") != header.npos;
  const std::string_view name = "\r\nContent-Length: ";
  const auto at = header.find(name);
  require(at != header.npos);
  std::size_t length = 0;
  for (auto i = at + name.size(); header[i] != '\r'; ++i) length = length * 10 + static_cast<unsigned>(header[i] - '0');
  if (to_head) length = 0;
  require(bytes.size() >= length);
  bytes.remove_prefix(length);
  return status;
}

// The session serves exactly the predicted requests with the predicted bodies, answers each once and in order, refuses
// what is no request, and then closes.
inline void session(std::string_view input) {
  const auto predicted = predict(input);
  auto& server = session_server::instance();
  const auto received = server.run(input);
  const auto& served = server.served;

  bool is_refused = predicted.ends_in_refusal;
  require(served.size() <= predicted.requests.size());
  for (std::size_t i = 0; i < served.size(); ++i) {
    const auto& wanted = predicted.requests[i];
    require(!served[i].is_complete || wanted.is_complete);
    if (served[i].is_read) {
      require(served[i].is_complete == wanted.is_complete);
      require(wanted.is_complete ? served[i].body == wanted.body : wanted.body.starts_with(served[i].body));
    }
    if (!served[i].is_complete || !wanted.keeps_alive) { // the session must end here
      is_refused = false;
      require(i + 1 == served.size());
    } else if (i + 1 == served.size()) {
      require(served.size() == predicted.requests.size());
    }
  }
  require(!served.empty() || predicted.requests.empty());

  std::string_view rest = received;
  bool closes = false;
  for (std::size_t i = 0; i < served.size(); ++i) {
    int status = 0;
    while (status == 0) {
      require(!closes);
      status = take_response(rest, predicted.requests[i].is_head, closes);
    }
    require(status == 200);
  }
  if (is_refused) {
    require(!closes && take_response(rest, false, closes) >= 400);
    require(closes);
  }
  require(rest.empty());
}

} // namespace postern::fuzz
