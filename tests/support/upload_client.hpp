// An application and its browser, on plain connections to a node on this machine: they sign a form, post it, and follow
// its redirect. Each request has a connection of its own.
#pragma once

#include "raw_client.hpp"
#include <postern/base/json.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::test {

// A signed form, as the response to POST /v1/uploads has it. The paths are those of the URLs.
struct client_form {
  std::string id, key;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string complete_path, status_path;
};

class upload_client {
public:
  // `origin`: server.public_url, with which the URLs of a form begin.
  upload_client(std::uint16_t port, std::string origin) : port_(port), origin_(std::move(origin)) {}

  raw_response get(const std::string& path) const {
    return raw_client(port_).ask("GET " + path + " HTTP/1.1\r\nHost: test\r\nAccept: application/json\r\n\r\n");
  }
  raw_response post_json(const std::string& path, const std::string& authorization, const std::string& json) const {
    return raw_client(port_).ask(
        "POST " + path + " HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer " + authorization +
        "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(json.size()) + "\r\n\r\n" + json);
  }
  raw_response post_form(const client_form& form, const std::string& path, const std::string& content) const {
    const auto body = body_of(form, content);
    return raw_client(port_).ask(sized_header(path, body.size()) + body);
  }
  // In chunks, so that nobody knows the length before the end.
  raw_response post_chunked(const client_form& form, const std::string& path, const std::string& content) const {
    auto body = body_of(form, content);
    std::string chunks;
    for (std::string_view rest = body; !rest.empty();) {
      const auto piece = rest.substr(0, 7'000);
      char size[16];
      std::snprintf(size, sizeof size, "%zx", piece.size());
      chunks.append(size).append("\r\n").append(piece).append("\r\n");
      rest.remove_prefix(piece.size());
    }
    return raw_client(port_).ask(header(path) + "Transfer-Encoding: chunked\r\n\r\n" + chunks + "0\r\n\r\n");
  }
  // Sends the fields and the first `sent` bytes of the file. Then sends nothing more, or ends its side of the
  // connection.
  raw_response post_part(const client_form& form, const std::string& path, const std::string& content, std::size_t sent,
                         bool ends) const {
    const auto body = body_of(form, content);
    const auto left = content.size() - sent + ending.size();
    raw_client client(port_);
    client.send(sized_header(path, body.size()) + body.substr(0, body.size() - left));
    if (ends) client.end();
    return client.read();
  }

  // The form in that JSON document. Throws if it has none.
  client_form form_in(const std::string& json) const {
    const auto document = read_json(json).value();
    client_form form{
        text(document, "id"), text(document, "key"), {}, path(document, "complete_url"), path(document, "status_url")};
    for (const auto& [name, value] : *member(document, "fields").if_object())
      form.fields.emplace_back(name, *value.if_string());
    return form;
  }
  // The path of a URL of the node.
  std::string path_of(const std::string& url) const {
    if (!url.starts_with(origin_)) throw std::runtime_error("a URL of another origin: " + url);
    return url.substr(origin_.size());
  }

private:
  static constexpr std::string_view ending = "\r\n--frontier--\r\n";

  static std::string header(const std::string& path) {
    return "POST " + path + " HTTP/1.1\r\nHost: test\r\nContent-Type: multipart/form-data; boundary=frontier\r\n";
  }
  static std::string sized_header(const std::string& path, std::size_t length) {
    return header(path) + "Content-Length: " + std::to_string(length) + "\r\n\r\n";
  }
  static std::string body_of(const client_form& form, const std::string& content) {
    std::string body;
    for (const auto& [name, value] : form.fields)
      body += "--frontier\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n";
    body += "--frontier\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n" + content;
    return body.append(ending);
  }
  static const json_value& member(const json_value& of, std::string_view name) {
    const auto* found = of.find(name);
    if (!found) throw std::runtime_error("no member " + std::string(name));
    return *found;
  }
  static std::string text(const json_value& of, std::string_view name) { return *member(of, name).if_string(); }
  std::string path(const json_value& of, std::string_view name) const { return path_of(text(of, name)); }

  const std::uint16_t port_;
  const std::string origin_;
};

} // namespace postern::test
