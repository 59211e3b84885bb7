// An S3 that discards the bytes, for measuring the programs in front of it. It answers the requests of an upload as S3
// would, and drops bodies inside the kernel. It also accepts any POST, as a proxy forwards it. One thread and epoll.
//   discarding_s3 [--checksums]     prints its port; with --checksums it supports CRC32C, as AWS does
#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <unordered_map>

namespace {

bool knows_checksums = false;
struct object {
  std::uint64_t size = 0;
  std::string upload_id; // x-amz-meta-postern-id
};
std::unordered_map<std::string, object> objects; // by path

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct asked {
  std::string method, path, query, upload_id;
  std::uint64_t length = 0, decoded = 0;
  bool expects = false;
};

std::uint64_t number(std::string_view text) {
  std::uint64_t n = 0;
  std::from_chars(text.data(), text.data() + text.size(), n);
  return n;
}

// The request in one header block. Names are compared case-insensitively.
asked read_head(std::string_view head) {
  asked a;
  const auto first = head.substr(0, head.find("\r\n"));
  const auto space = first.find(' '), end = first.rfind(' ');
  a.method = first.substr(0, space);
  const auto target = first.substr(space + 1, end - space - 1);
  a.path = target.substr(0, target.find('?'));
  if (a.path.size() < target.size()) a.query = target.substr(a.path.size() + 1);
  for (head.remove_prefix(first.size() + 2); !head.empty();) {
    const auto line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(std::min(head.size(), line.size() + 2));
    const auto colon = line.find(": ");
    if (colon == line.npos) continue;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto value = line.substr(colon + 2);
    if (name == "content-length") a.length = number(value);
    if (name == "x-amz-decoded-content-length") a.decoded = number(value);
    if (name == "expect") a.expects = true;
    if (name == "x-amz-meta-postern-id") a.upload_id = value;
  }
  if (a.decoded == 0) a.decoded = a.length;
  return a;
}

std::string answer(std::string_view status, std::string_view fields, std::string_view body = {}, bool head = false) {
  std::string out = "HTTP/1.1 ";
  out.append(status).append("\r\n").append(fields);
  if (!head) out.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  return out.append("\r\n").append(body);
}

constexpr std::string_view etag = "ETag: \"00000000000000000000000000000000\"\r\n";

std::string answer_to(const asked& a) {
  const auto has = [&](std::string_view what) { return a.query.find(what) != std::string::npos; };
  if (a.method == "PUT" && has("partNumber=")) {
    objects[a.path].size += a.decoded;
    return answer("200 OK", etag);
  }
  if (a.method == "PUT") {
    objects[a.path] = {a.decoded, a.upload_id};
    return answer("200 OK", etag);
  }
  if (a.method == "POST" && has("uploads")) {
    objects[a.path] = {0, a.upload_id};
    return answer("200 OK",
                  knows_checksums ? "x-amz-checksum-algorithm: CRC32C\r\nx-amz-checksum-type: FULL_OBJECT\r\n" : "",
                  "<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>");
  }
  if (a.method == "POST" && has("uploadId="))
    return answer("200 OK", "",
                  "<CompleteMultipartUploadResult><ETag>\"00000000000000000000000000000000-1\"</ETag>"
                  "</CompleteMultipartUploadResult>");
  if (a.method == "POST") return answer("200 OK", "");
  if (a.method == "DELETE") return answer("204 No Content", "");
  if (a.method == "HEAD") {
    const auto found = objects.find(a.path);
    if (found == objects.end()) return answer("404 Not Found", "Content-Length: 0\r\n", {}, true);
    auto fields = "Content-Length: " + std::to_string(found->second.size) + "\r\n";
    if (!found->second.upload_id.empty()) fields += "x-amz-meta-postern-id: " + found->second.upload_id + "\r\n";
    return answer("200 OK", fields.append(etag), {}, true);
  }
  return answer("501 Not Implemented", "");
}

class peer {
public:
  explicit peer(int fd) : fd_(fd) {}
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;
  ~peer() { ::close(fd_); }

  // Processes the bytes that have arrived. Returns whether the connection stays open.
  bool serve() {
    for (;;) {
      const auto n = left_ > head_.size() ? discard() : read();
      if (n < 0) return errno == EAGAIN;
      if (n == 0 || !digest()) return false;
    }
  }

private:
  // The bytes of a body are discarded without copying them.
  ssize_t discard() {
    const auto max = std::min<std::uint64_t>(left_ - head_.size(), 16 << 20);
    const auto n = ::recv(fd_, nullptr, max, MSG_TRUNC);
    if (n > 0) left_ -= static_cast<std::uint64_t>(n);
    return n;
  }

  ssize_t read() {
    std::array<char, 16384> piece;
    const auto n = ::recv(fd_, piece.data(), piece.size(), 0);
    if (n > 0) head_.append(piece.data(), static_cast<std::size_t>(n));
    return n;
  }

  bool digest() {
    for (;;) {
      if (in_body_) {
        const auto n = std::min<std::uint64_t>(left_, head_.size());
        head_.erase(0, n);
        left_ -= n;
        if (left_ > 0) return true;
        in_body_ = false;
        if (!say(answer_to(asked_))) return false;
      }
      const auto end = head_.find("\r\n\r\n");
      if (end == head_.npos) return head_.size() < 65536;
      asked_ = read_head(std::string_view(head_).substr(0, end + 2));
      head_.erase(0, end + 4);
      in_body_ = true;
      left_ = asked_.length;
      if (asked_.expects && left_ > head_.size() && !say("HTTP/1.1 100 Continue\r\n\r\n")) return false;
    }
  }

  bool say(std::string_view text) {
    return ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }

  const int fd_;
  std::string head_; // read and not yet used
  asked asked_;
  bool in_body_ = false;
  std::uint64_t left_ = 0; // of the body
};

} // namespace

int main(int argc, char** argv) {
  knows_checksums = argc > 1 && std::string_view(argv[1]) == "--checksums";
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), events = ::epoll_create1(0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  auto* const address = reinterpret_cast<sockaddr*>(&at);
  if (::bind(listener, address, size) < 0 || ::listen(listener, 4096) < 0) die("listen");
  if (::getsockname(listener, address, &size) < 0) die("getsockname");
  std::printf("%d\n", ntohs(at.sin_port));
  std::fflush(stdout);

  std::unordered_map<int, std::unique_ptr<peer>> peers;
  const auto watch = [&](int fd) {
    epoll_event e{};
    e.events = EPOLLIN | EPOLLRDHUP;
    e.data.fd = fd;
    if (::epoll_ctl(events, EPOLL_CTL_ADD, fd, &e) < 0) die("epoll_ctl");
  };
  watch(listener);
  std::array<epoll_event, 64> ready;
  for (;;) {
    const int n = ::epoll_wait(events, ready.data(), static_cast<int>(ready.size()), -1);
    for (int i = 0; i < n; ++i) {
      const int fd = ready[static_cast<std::size_t>(i)].data.fd;
      if (fd != listener) {
        if (!peers.at(fd)->serve()) peers.erase(fd);
        continue;
      }
      const int one = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
      if (one < 0) continue;
      const int on = 1;
      ::setsockopt(one, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      peers.emplace(one, std::make_unique<peer>(one));
      watch(one);
    }
  }
}
