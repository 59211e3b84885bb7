// A request as an endpoint sees it, made by a test. Chain the calls, then give `made()` to the endpoint.
#pragma once

#include "fake_body.hpp"
#include "run_task.hpp"
#include "test_share.hpp"
#include <postern/front/http_message.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

namespace postern::test {

class test_request {
public:
  test_request(front::http::verb method, std::string target, std::string body = {})
      : method_(method), target_(std::move(target)), body_(std::move(body)) {}

  test_request& with(std::string_view name, std::string_view value) {
    fields_.set(name, value);
    return *this;
  }
  test_request& json() { return with("Content-Type", "application/json"); }
  test_request& from_page(std::string_view origin) { return with("Origin", origin); }
  test_request& from_address(std::string address) { return address_ = std::move(address), *this; }

  front::request made() {
    const std::string_view target = target_;
    const auto question = std::min(target.find('?'), target.size());
    return {method_,
            target.substr(0, question),
            question == target.size() ? std::string_view{} : target.substr(question + 1),
            fields_,
            body_,
            share_->own,
            address_,
            address_,
            "0123",
            false,
            {}};
  }

private:
  const front::http::verb method_;
  const std::string target_;
  front::http::fields fields_;
  fake_body body_;
  std::shared_ptr<test_share> share_ = std::make_shared<test_share>();
  std::string address_ = "192.0.2.1";
};

// The value of a response's field; "(absent)" when there is none.
inline std::string field_of(const front::response& r, std::string_view name) {
  for (const auto& [n, value] : r.fields)
    if (n == name) return value;
  return "(absent)";
}

// Is it a Retry-After that was spread from this base (front::spread_retry_after)?
inline bool is_spread(std::string_view retry_after, unsigned base) {
  for (unsigned n = base; n <= base + std::max(1u, base / 2); ++n)
    if (retry_after == std::to_string(n)) return true;
  return false;
}

// Is it problem+json (RFC 9457) with all members?
inline bool is_problem(const front::response& r, int status, std::string_view code) {
  const auto has = [&](std::string_view text) { return r.body.find(text) != std::string::npos; };
  return r.status == status && r.content_type == "application/problem+json" && has("\"type\":\"about:blank\"") &&
         has("\"title\":\"") && has("\"status\":" + std::to_string(status)) && has("\"detail\":\"") &&
         has("\"code\":\"" + std::string(code) + "\"") && has("\"request_id\":\"0123\"");
}

} // namespace postern::test
