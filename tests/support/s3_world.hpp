// An S3 client against a scripted peer, and check_signed, which verifies a request as an S3 server does.
#pragma once

#include "run_task.hpp"
#include "scripted_peer.hpp"
#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/io/s3/presign.hpp>
#include <postern/io/s3/s3_client.hpp>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace postern::test {

inline const seconds_clock now = parse_iso8601("2026-11-23T18:15:00Z").value();
inline constexpr const char *access_key = "AKIDEXAMPLE", *hidden = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

// A source that returns these credentials, one at each fetch.
struct listed_source final : credential_source {
  explicit listed_source(std::vector<held_credentials> all) : given(std::move(all)) {}
  task<result<held_credentials>> fetch() override {
    if (fetched == given.size()) co_return failure{errc::unavailable, "no more keys"};
    co_return given[fetched++];
  }
  const std::vector<held_credentials> given;
  std::size_t fetched = 0;
};

inline held_credentials keys(std::string name = access_key, std::string session = "",
                             std::optional<seconds_clock> end = {}) {
  return {{std::move(name), secret(hidden), std::move(session)}, end, "a test"};
}

// An S3 client with its HTTP client, credentials and clock. `passed` moves the clock, in seconds.
struct s3_fixture {
  explicit s3_fixture(s3_options o, std::vector<held_credentials> all = {keys()}, std::string ca_file = "")
      : http(http_client_options{std::move(ca_file)}),
        credentials(std::make_unique<listed_source>(std::move(all)), std::chrono::seconds(60),
                    [this] { return clock.now(); }),
        s3(std::move(o), http, credentials, clock) {}
  http_client http;
  std::atomic<std::int64_t> passed{0};
  store_clock clock{[this] { return now + std::chrono::seconds(passed); }};
  credential_cache credentials;
  s3_client s3;
  s3_presigner presigner{s3};
  asio::io_context loop{1};

  template <class T> T run(task<T> t) { return run_on(loop, std::move(t)); }
};

inline s3_options by_path(const scripted_peer& peer) {
  s3_options o;
  o.endpoint = peer.url();
  o.region = "eu-west-1";
  o.path_style = true;
  o.timeout = std::chrono::seconds(5);
  return o;
}

inline step xml(int status, const std::string& body, header_fields fields = {}) {
  fields.emplace_back("Content-Type", "application/xml");
  return answers(status, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>" + body, fields);
}
inline step error(int status, const std::string& code, const std::string& more = "", header_fields fields = {}) {
  return xml(status, "<Error><Code>" + code + "</Code><Message>about " + code + "</Message>" + more + "</Error>",
             std::move(fields));
}

template <class T> aws_error error_of(const aws_result<T>& r) {
  BOOST_TEST_REQUIRE(!r.has_value());
  return r.error();
}

template <class T> T value_of(aws_result<T> r) {
  BOOST_TEST_REQUIRE(r.has_value(), (r ? "" : describe(to_failure(r.error()))));
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

// --- signatures -----------------------------------------------------------------------------------------

inline std::string_view signed_headers_of(const received_request& r) {
  auto text = r.field("authorization");
  text.remove_prefix(text.find("SignedHeaders=") + 14);
  return text.substr(0, text.find(','));
}

// Computes the signature as a server does, from the request alone, and compares it.
inline void check_signed(const received_request& r, const std::string& region = "eu-west-1",
                         const held_credentials& by = keys(), const std::string& date = "20261123T181500Z") {
  sigv4::request s;
  s.method = r.method();
  const auto target = r.target();
  const auto mark = target.find('?');
  s.path = uri_decode(target.substr(0, mark)).value();
  for (auto query = mark == target.npos ? "" : target.substr(mark + 1); !query.empty();) {
    const auto pair = query.substr(0, query.find('&'));
    query.erase(0, pair.size() + 1);
    s.query.emplace_back(uri_decode(pair.substr(0, pair.find('='))).value(),
                         uri_decode(pair.substr(pair.find('=') + 1)).value());
  }
  const auto names = ";" + std::string(signed_headers_of(r)) + ";";
  for (const auto& [name, value] : r.fields) {
    const bool is_signed = names.find(";" + name + ";") != names.npos;
    if (is_signed) s.headers.emplace_back(name, value);
    // A change of these fields on the way must break the signature.
    BOOST_TEST((is_signed || !(name == "host" || name.starts_with("x-amz-") || name.starts_with("content-")) ||
                name == "content-length"),
               name << " is not signed");
  }
  s.payload_hash = r.field("x-amz-content-sha256");
  BOOST_TEST(r.field("x-amz-date") == date);
  BOOST_TEST(r.field("authorization") == sigv4::authorization(s, by.keys, {date, region, "s3"}), r.line);
  if (s.payload_hash.size() == 64) BOOST_TEST(s.payload_hash == sha256_hex(r.body));
}

} // namespace postern::test
