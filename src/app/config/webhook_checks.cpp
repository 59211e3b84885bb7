#include <postern/app/config/settings.hpp>
#include <postern/app/config/webhook_checks.hpp>
#include <postern/core/events/webhook.hpp>
#include <postern/core/http/address_rules.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/ip/address.hpp>

#include <algorithm>

namespace postern::app {
namespace {

[[noreturn]] void wrong(std::size_t number, const std::string& what) {
  throw config_error(setting_of_webhook(number + 1, what));
}

const std::vector<std::string>& known_types() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names{"*", "upload.*"};
    for (const auto t :
         {webhook_type::completed, webhook_type::failed, webhook_type::expired, webhook_type::overwritten})
      names.emplace_back(name_of(t));
    return names;
  }();
  return all;
}

// An address that stands in the URL itself is judged now rather than at each try.
std::string complaint_about_address(const config::webhook_section& w, const web_url& url) {
  const auto host = url.server.bare_host();
  boost::system::error_code ec;
  const auto a = asio::ip::make_address(host, ec);
  if (ec) return {};
  const auto verdict = a.is_v4() ? judge_address(a.to_v4().to_bytes()) : judge_address(a.to_v6().to_bytes());
  if (may_dial(w.allow_private ? reach::internal : reach::open, verdict.kind)) return {};
  const auto what = host + " is " + std::string(verdict.what);
  return verdict.kind == address_kind::metadata ? what + ", and no webhook goes there"
                                                : what + "; allow_private = true allows it";
}

void check_url(const config::webhook_section& w, std::size_t n) {
  if (w.url.empty()) wrong(n, "url: is missing; where are the messages to go?");
  if (w.url.find('#') != w.url.npos) wrong(n, "url: must have no fragment (#…), which is never sent");
  const auto url = parse_web_url(w.url);
  if (!url) wrong(n, "url: " + url.error().on + "; it must be like https://app.example.com/hooks/uploads");
  if (!url->server.tls && !w.allow_private)
    wrong(n, "url: " + quote(w.url) +
                 " must begin with https://, since messages would cross the internet for all to read; with "
                 "allow_private = true http:// is taken too");
  if (const auto complaint = complaint_about_address(w, *url); !complaint.empty()) wrong(n, "url: " + complaint);
}

void check_types(const config::webhook_section& w, std::size_t n) {
  if (w.types.empty()) wrong(n, "types: is empty, so nothing would be sent; [\"*\"] is all");
  for (const auto& t : w.types) {
    const auto& known = known_types();
    if (std::find(known.begin(), known.end(), t) != known.end()) continue;
    const auto near = nearest(t, known);
    wrong(n, "types: there is no " + quote(t) +
                 (near.empty() ? "; *, upload.completed, .failed, .expired and .overwritten are known"
                               : "; did you mean " + near + "?"));
  }
}

void check_secrets(const config::webhook_section& w, std::size_t n) {
  constexpr const char* make_one = ": echo whsec_$(openssl rand -base64 24)";
  if (w.secrets.empty()) wrong(n, std::string("secret: is missing; messages are signed with it") + make_one);
  for (const auto& s : w.secrets)
    if (const auto key = webhook_key(s); !key) wrong(n, "secret: " + key.error().on + make_one);
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
    if (!all[n].ca_file.empty() && all[n].url.starts_with("http://")) wrong(n, "ca_file: is for https only");
    for (std::size_t before = 0; before < n; ++before)
      if (all[before].url == all[n].url)
        wrong(n, "url: is that of number " + std::to_string(before + 1) + " too; join their types");
  }
}

} // namespace postern::app
