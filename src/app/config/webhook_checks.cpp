#include <postern/app/config/spelling.hpp>
#include <postern/app/config/webhook_checks.hpp>
#include <postern/core/events/webhook.hpp>
#include <postern/core/http/address_rules.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/ip/address.hpp>

#include <algorithm>

namespace postern::app {
namespace {

// `index` counts from 0.
[[noreturn]] void reject(std::size_t index, const std::string& what) {
  throw config_error(setting_of_webhook(index + 1, what));
}

const std::vector<std::string>& known_types() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names{"*", "upload.*"};
    for (const auto t : {webhook_type::completed, webhook_type::failed, webhook_type::expired,
                         webhook_type::overwritten, webhook_type::removed})
      names.emplace_back(name_of(t));
    return names;
  }();
  return all;
}

// Judges an IP address in the URL now instead of at each delivery. Returns what is wrong, or nothing.
std::string address_fault(const config::webhook_section& w, const web_url& url) {
  const auto host = url.server.bare_host();
  boost::system::error_code ec;
  const auto a = asio::ip::make_address(host, ec);
  if (ec) return {};
  const auto verdict = a.is_v4() ? judge_address(a.to_v4().to_bytes()) : judge_address(a.to_v6().to_bytes());
  if (may_connect(w.allow_private ? reach::internal : reach::open, verdict.kind)) return {};
  const auto what = host + " is " + std::string(verdict.what);
  return verdict.kind == address_kind::metadata ? what + "; webhooks are never sent there"
                                                : what + "; allow_private = true allows it";
}

void check_url(const config::webhook_section& w, std::size_t n) {
  if (w.url.empty()) reject(n, "url: is missing; set it to the URL that receives the messages");
  if (w.url.find('#') != w.url.npos) reject(n, "url: has a fragment (#…), which HTTP never sends; remove it");
  const auto url = parse_web_url(w.url);
  if (!url) reject(n, "url: " + url.error().on + "; write it like https://app.example.com/hooks/uploads");
  if (!url->server.tls && !w.allow_private)
    reject(n, "url: " + quote(w.url) +
                  " does not begin with https://, so messages would cross the network unencrypted; "
                  "allow_private = true allows http://");
  if (const auto fault = address_fault(w, *url); !fault.empty()) reject(n, "url: " + fault);
}

void check_types(const config::webhook_section& w, std::size_t n) {
  if (w.types.empty()) reject(n, "types: is empty, so nothing would be sent; [\"*\"] sends all");
  for (const auto& t : w.types) {
    const auto& known = known_types();
    if (std::find(known.begin(), known.end(), t) != known.end()) continue;
    const auto near = nearest(t, known);
    reject(n, "types: unknown type " + quote(t) +
                  (near.empty() ? "; the types are *, upload.completed, .failed, .expired and .overwritten"
                                : "; did you mean " + near + "?"));
  }
}

void check_secrets(const config::webhook_section& w, std::size_t n) {
  constexpr const char* make_one = "; make one with: echo whsec_$(openssl rand -base64 24)";
  if (w.secrets.empty()) reject(n, std::string("secret: is missing, and messages are signed with it") + make_one);
  for (const auto& s : w.secrets)
    if (const auto key = webhook_key(s); !key) reject(n, "secret: " + key.error().on + make_one);
}

} // namespace

std::string setting_of_webhook(std::size_t number, std::string_view key) {
  return "webhooks, number " + std::to_string(number) + ", " + std::string(key);
}

void check_webhooks(const config& c) {
  const auto& all = c.webhooks;
  for (std::size_t n = 0; n < all.size(); ++n) {
    check_url(all[n], n);
    check_types(all[n], n);
    check_secrets(all[n], n);
    if (!all[n].ca_file.empty() && all[n].url.starts_with("http://"))
      reject(n, "ca_file: is set but the URL is not https; remove it");
    for (std::size_t before = 0; before < n; ++before)
      if (all[before].url == all[n].url)
        reject(n,
               "url: is the same as that of number " + std::to_string(before + 1) + "; join the two and their types");
  }
}

} // namespace postern::app
