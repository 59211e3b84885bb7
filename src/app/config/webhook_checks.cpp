#include <postern/app/config/spelling.hpp>
#include <postern/app/config/units.hpp>
#include <postern/app/config/webhook_checks.hpp>
#include <postern/base/text.hpp>
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
    for (const auto t :
         {webhook_type::completed, webhook_type::failed, webhook_type::expired, webhook_type::overwritten,
          webhook_type::removed, webhook_type::checking, webhook_type::rejected})
      names.emplace_back(name_of(t));
    return names;
  }();
  return all;
}

std::string listed(const std::vector<std::string>& names) {
  std::string all;
  for (const auto& name : names) all.append(all.empty() ? "" : ", ").append(name);
  return all;
}

// Judges an IP address in the URL now instead of at each delivery. Returns what is wrong, or nothing.
std::string address_fault(const web_url& url, bool allow_private) {
  const auto host = url.server.bare_host();
  boost::system::error_code ec;
  const auto a = asio::ip::make_address(host, ec);
  if (ec) return {};
  const auto verdict = a.is_v4() ? judge_address(a.to_v4().to_bytes()) : judge_address(a.to_v6().to_bytes());
  if (may_connect(allow_private ? reach::internal : reach::open, verdict.kind)) return {};
  const auto what = host + " is " + std::string(verdict.what);
  return verdict.kind == address_kind::metadata ? what + "; webhooks are never sent there"
                                                : what + "; allow_private = true allows it";
}

// What is wrong with a URL that receives messages, or nothing.
std::string url_fault(const std::string& text, bool allow_private) {
  if (text.find('#') != text.npos) return "has a fragment (#…), which HTTP never sends; remove it";
  const auto url = parse_web_url(text);
  if (!url) return url.error().on + "; write it like https://app.example.com/hooks/uploads";
  if (!url->server.tls && !allow_private)
    return quote(text) + " does not begin with https://, so messages would cross the network unencrypted; "
                         "allow_private = true allows http://";
  return address_fault(*url, allow_private);
}

constexpr const char* make_a_secret = "; make one with: echo whsec_$(openssl rand -base64 24)";

void check_url(const config::webhook_section& w, std::size_t n) {
  if (w.url.empty()) reject(n, "url: is missing; set it to the URL that receives the messages");
  if (const auto fault = url_fault(w.url, w.allow_private); !fault.empty()) reject(n, "url: " + fault);
}

void check_types(const config::webhook_section& w, std::size_t n) {
  if (w.types.empty()) reject(n, "types: is empty, so nothing would be sent; [\"*\"] sends all");
  for (const auto& t : w.types) {
    const auto& known = known_types();
    if (std::find(known.begin(), known.end(), t) != known.end()) continue;
    const auto near = nearest(t, known);
    reject(n, "types: unknown type " + quote(t) +
                  (near.empty() ? "; the types are " + listed(known) : "; did you mean " + near + "?"));
  }
}

void check_secrets(const config::webhook_section& w, std::size_t n) {
  if (w.secrets.empty()) reject(n, std::string("secret: is missing, and messages are signed with it") + make_a_secret);
  for (const auto& s : w.secrets)
    if (const auto key = webhook_key(s); !key) reject(n, "secret: " + key.error().on + make_a_secret);
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

void check_accept_hook(const profile& p) {
  using namespace std::chrono_literals;
  const auto& hook = p.accept;
  if (!hook.exists()) return;
  const auto require = [&](bool holds, const char* key, const std::string& otherwise) {
    if (!holds) throw config_error("profiles." + p.name + ".accept." + key + ": " + otherwise);
  };
  const auto fault = url_fault(hook.url, hook.allow_private);
  require(fault.empty(), "url", fault);
  require(!hook.key.empty(), "secret", std::string("is missing, and questions are signed with it") + make_a_secret);
  const auto key = webhook_key(hook.key);
  require(key.has_value(), "secret", (key ? "" : key.error().on) + make_a_secret);
  require(hook.timeout >= 1s && hook.timeout <= 2min, "timeout",
          time_text(hook.timeout) + " is out of range; it must be 1s to 2m");
  require(hook.deadline >= 10s && hook.deadline <= std::chrono::days(30), "deadline",
          time_text(hook.deadline) + " is out of range; it must be 10s to 30d");
  require(hook.ca_file.empty() || hook.url.starts_with("https://"), "ca_file",
          "is set but the URL is not https; remove it");
  require(
      p.acl.empty() && p.storage_class.empty() && p.sse.empty() && p.sse_kms_key.empty(), "url",
      "cannot be combined with acl, storage_class, sse or sse_kms_key of the profile, because S3 does not keep them "
      "when it copies an accepted object; set a default on the bucket instead");
  require(!p.overwrite, "url",
          "cannot be combined with overwrite = true: uploads would replace each other's objects while they are judged");
  const auto& prefix = hook.quarantine;
  require(!prefix.empty(), "quarantine",
          "is empty, but a form can be posted again while its object is judged, so objects must be stored apart until "
          "they are accepted; set it to a prefix such as \"quarantine/\"");
  require(prefix.size() <= 200 && prefix.ends_with('/') && !prefix.starts_with('/') &&
              prefix.find("//") == prefix.npos && prefix.find("./") == prefix.npos &&
              prefix.find("${") == prefix.npos && is_utf8(prefix),
          "quarantine", quote(prefix) + " is not a prefix of keys that ends in a slash, such as \"quarantine/\"");
  require(!p.key.starts_with(prefix), "quarantine",
          "the profile's key begins with it too, so accepted objects would be in quarantine");
}

} // namespace postern::app
