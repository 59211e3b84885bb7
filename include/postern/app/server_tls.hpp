// The server's certificate and key, which can be replaced while the server runs. Each handshake takes the newest pair;
// connections that are open keep theirs. Owned by the node; any thread may shake hands.
#pragma once

#include <boost/asio/ssl/context.hpp>

#include <memory>
#include <mutex>
#include <string>

namespace postern::app {

class server_tls {
public:
  // PEM files. Throws std::runtime_error that names the setting, the file, the reason and the remedy.
  server_tls(const std::string& certificate, const std::string& key);
  server_tls(const server_tls&) = delete;
  server_tls& operator=(const server_tls&) = delete;

  // For the listening sockets. Lives as long as this.
  boost::asio::ssl::context& context() { return context_; }

  // A certificate with its key that was read and fits.
  using pair = std::shared_ptr<boost::asio::ssl::context>;
  // Throws like the constructor.
  static pair read(const std::string& certificate, const std::string& key);
  void replace(pair with);

private:
  pair current() const;
  static int choose(SSL* for_handshake, void* of);

  boost::asio::ssl::context context_; // has no certificate of its own
  mutable std::mutex mutex_;          // guards current_
  pair current_;
};

} // namespace postern::app
