// The addresses of server.listen and server.admin_listen, and the listening sockets on them. Used at start-up.
#pragma once

#include <postern/io/tasks.hpp>

#include <string>

namespace postern::front {

// Reads "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses, IPv4 and IPv6) or "localhost:8080". Port 0: the system
// chooses. Throws std::runtime_error that quotes the text.
asio::ip::tcp::endpoint parse_listen_address(const std::string& text);

// "127.0.0.1:8080", "[::1]:8080".
std::string to_text(const asio::ip::tcp::endpoint& at);

// Binds and listens with SO_REUSEPORT, so that each thread can have its own socket on the same port. Throws
// std::runtime_error with the address, the reason and the settings.
void listen_on(tcp_acceptor& acceptor, const asio::ip::tcp::endpoint& at);

// Throws like listen_on when another program uses the port. SO_REUSEPORT would let a second server start unnoticed, so
// this is called before the first listen_on.
void require_free_port(const asio::ip::tcp::endpoint& at);

} // namespace postern::front
