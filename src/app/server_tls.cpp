#include <postern/app/config/text_file.hpp>
#include <postern/app/server_tls.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <fstream>
#include <stdexcept>
#include <utility>

namespace postern::app {

namespace asio = boost::asio;

namespace {

// Throws with the system's reason, which OpenSSL does not give.
void require_readable(const std::string& setting, const std::string& file) {
  std::ifstream in;
  if (const auto why = open_to_read(in, file); !why.empty())
    throw std::runtime_error(setting + ": the file " + file + " cannot be read: " + why +
                             "; name a PEM file that this user may read");
}

void use_certificate(asio::ssl::context& tls, const std::string& file) {
  require_readable("server.tls.certificate", file);
  boost::system::error_code ec;
  tls.use_certificate_chain_file(file, ec);
  if (ec)
    throw std::runtime_error("server.tls.certificate: the file " + file + " holds no certificate: " + ec.message() +
                             "; name a PEM file with the certificate and its chain");
}

void use_key(asio::ssl::context& tls, const std::string& file, const std::string& certificate) {
  require_readable("server.tls.key", file);
  boost::system::error_code ec;
  tls.use_private_key_file(file, asio::ssl::context::pem, ec);
  // A key of another kind than the certificate's is accepted alone, and fails only the check.
  if (ERR_GET_LIB(static_cast<unsigned long>(ec.value())) == ERR_LIB_X509 ||
      (!ec && SSL_CTX_check_private_key(tls.native_handle()) != 1))
    throw std::runtime_error("server.tls.key: the key in " + file + " does not belong to the certificate in " +
                             certificate + "; name the key for which the certificate was issued");
  if (ec)
    throw std::runtime_error("server.tls.key: the file " + file + " holds no private key: " + ec.message() +
                             "; name a PEM file with the key");
}

void set_options(asio::ssl::context& tls) {
  tls.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                  asio::ssl::context::no_tlsv1_1);
}

} // namespace

server_tls::server_tls(const std::string& certificate, const std::string& key)
    : context_(asio::ssl::context::tls_server), current_(read(certificate, key)) {
  set_options(context_);
  SSL_CTX_set_cert_cb(context_.native_handle(), &server_tls::choose, this);
}

server_tls::pair server_tls::read(const std::string& certificate, const std::string& key) {
  auto made = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  set_options(*made);
  use_certificate(*made, certificate);
  use_key(*made, key, certificate);
  return made;
}

void server_tls::replace(pair with) {
  std::lock_guard lock(mutex_);
  current_.swap(with);
}

server_tls::pair server_tls::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

// OpenSSL calls this in each handshake before it needs the certificate (SSL_CTX_set_cert_cb). The connection then holds
// a reference to the pair.
int server_tls::choose(SSL* for_handshake, void* of) {
  const auto now = static_cast<server_tls*>(of)->current();
  return SSL_set_SSL_CTX(for_handshake, now->native_handle()) ? 1 : 0;
}

} // namespace postern::app
