#include "node_options.hpp"

#include <postern/app/node.hpp>
#include <postern/core/http/url.hpp>

#include <algorithm>
#include <stdexcept>
#include <thread>
#include <utility>

namespace postern::app {

namespace {

// A claim comes back in a URL with a key, which may have 3 KiB there, and beside the fields that the browser adds.
std::size_t max_claim_of(const config& c) {
  const auto header = c.limits.request_header;
  return header ? std::min<std::size_t>(signer::max_token, header / 2 - (2 << 10)) : signer::max_token;
}

} // namespace

form_signer_options form_signer_options_of(const config& c, const stores& backends) {
  return {c.profiles,
          c.server.public_url,
          [&backends](const std::string& bucket) { return backends.find(bucket); },
          c.sweep.claim_lifetime,
          c.limits.form_fields,
          max_claim_of(c)};
}

// A node that starts before its database signs meanwhile, and records later.
ledger_options node_ledger_options_of(const config& c, upload_feed& feed) {
  auto o = ledger_options_of(c);
  o.may_connect_later = true;
  o.on_change = [&feed](const upload& u) { feed.publish(u); };
  return o;
}

front::pages_options pages_options_of(const config& c, const stores& backends) {
  front::pages_options o;
  o.demo = c.server.demo;
  o.version = version();
  o.direct_urls = backends.direct_urls();
  return o;
}

form_limits form_limits_of(const config& c) {
  form_limits l;
  l.max_before_file = c.limits.form_fields ? c.limits.form_fields : 16 << 20;
  return l;
}

form_reader_options form_reader_options_of(const config& c, const form_signer_options& s) {
  form_reader_options o;
  o.find_store = s.find_store;
  o.limits = form_limits_of(c);
  o.clock = now_millis;
  return o;
}

way_options way_options_of(const config& c, const form_signer_options& s) {
  return {c.profiles, c.server.public_url, s.find_store};
}

direct_multipart_options direct_multipart_options_of(const config& c, const form_signer_options& s) {
  return {c.profiles, s.find_store, c.sweep.multipart_grace};
}

resumable_options resumable_options_of(const config& c, const form_signer_options& s) {
  return {c.profiles, s.public_url, s.find_store, c.sweep.multipart_grace, now_millis};
}

std::chrono::milliseconds lease_of_multiparts(const config& c) {
  using namespace std::chrono_literals;
  return std::clamp<std::chrono::milliseconds>(2 * c.sweep.interval, 4s, 2min);
}

prober_options prober_options_of(const config& c) {
  prober_options o;
  o.max_at_once = c.sweep.probe_rate;
  o.grace = c.sweep.grace;
  o.clock = now_millis;
  return o;
}

sweeper_options sweeper_options_of(const config& c) {
  sweeper_options o;
  o.retention = c.ledger.retention;
  o.clock = now_millis;
  return o;
}

front::server_options server_options_of(const config& c, asio::ssl::context* tls) {
  const auto& l = c.limits;
  front::server_options o;
  o.limits = {l.request_header, l.header_timeout, l.idle_timeout, {l.body_silence, l.min_body_rate}};
  o.tls = tls;
  o.proxies = front::trusted_proxies(c.server.trusted_proxies);
  return o;
}

http_client_options sns_client_options_of(const config::events_section& e) {
  http_client_options o;
  o.ca_file = e.ca_file;
  if (!e.sns_connect_to.empty()) o.connect_to = parse_web_url("http://" + e.sns_connect_to).value().server;
  return o;
}

trusted_issuers trusted_issuers_of(const config::events_section& e) {
  try {
    return trusted_issuers(e.ca_file);
  } catch (const std::runtime_error& why) {
    throw std::runtime_error(std::string("events.ca_file: ") + why.what());
  }
}

request_rates request_rates_of(const config& c) {
  const auto& l = c.limits;
  request_rates r;
  r.sign = l.sign_rate, r.sign_burst = l.sign_burst;
  r.status = l.status_rate, r.status_burst = l.status_burst;
  r.stream = l.event_stream_rate, r.stream_burst = l.event_stream_burst;
  r.streams = l.event_streams;
  return r;
}

std::unique_ptr<magic_type_finder> type_finder_of(const config& c) {
  const auto asks = std::find_if(c.profiles.begin(), c.profiles.end(),
                                 [](const auto& named) { return named.second.checks(profile_check::type); });
  if (asks == c.profiles.end()) return nullptr;
  auto finder = make_magic_type_finder({});
  if (auto ready = finder->check(); !ready)
    throw std::runtime_error("profiles." + asks->first + ".verify: " + ready.error().on);
  return finder;
}

// Limits that are switched off still bound memory.
std::size_t max_json_of(const config& c) { return c.limits.json_body ? c.limits.json_body : 16 << 20; }
// SNS sends messages of up to 256 KiB.
std::size_t max_event_of(const config& c) { return c.limits.json_body ? c.limits.json_body * 4 : 16 << 20; }

resource_limits resource_limits_of(const config& c, const capacity& possible, const store& objects) {
  resource_limits r;
  r.memory = c.limits.buffers;
  r.store_requests = possible.store_requests;
  const auto max_header = c.limits.request_header ? c.limits.request_header : front::session_limits::max_header;
  const auto max_form = transfers::max_memory(objects) + form_reader::max_memory(form_limits_of(c));
  r.max_need = max_header + std::max<std::uint64_t>(max_form, max_event_of(c));
  return r;
}

std::size_t threads_of(const config& c) {
  return c.server.threads ? c.server.threads : std::max(1u, std::thread::hardware_concurrency());
}

} // namespace postern::app
