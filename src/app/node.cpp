#include <postern/app/node.hpp>
#include <postern/app/webhooks/webhooks.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/core/http/url.hpp>
#include <postern/flow/complete.hpp>
#include <postern/flow/form_ingest.hpp>
#include <postern/flow/notify.hpp>
#include <postern/flow/receive_events.hpp>
#include <postern/flow/sweep.hpp>
#include <postern/flow/upload_feed.hpp>
#include <postern/front/http_server.hpp>
#include <postern/front/routes.hpp>
#include <postern/io/ledger/make_ledger.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl/context.hpp>

#include <chrono>
#include <csignal>
#include <functional>
#include <stdexcept>
#include <thread>

namespace postern::app {

using namespace std::chrono_literals;

namespace {

metrics::gauge build_info("postern_build_info", "The version that runs", "version=\"" POSTERN_VERSION "\"");

form_signer_options form_signer_options_of(const config& c, const storage& backend) {
  return {c.profiles,
          c.server.public_url,
          direct_urls(c),
          c.store.region,
          [&backend] { return backend.credentials.current(); },
          c.sweep.claim_lifetime,
          c.limits.form_fields,
          c.store.type == "file" ? 255u : 0u};
}

front::routes_options routes_options_of(const config& c) {
  front::routes_options r;
  r.admit.anonymous = c.auth.anonymous;
  for (const auto& k : c.auth.api_keys) r.admit.api_keys.push_back({k.name, k.sha256, k.profiles});
  r.admit.public_url = c.server.public_url;
  r.admit.allowed_origins = c.server.allowed_origins;
  r.admit.sign_rate = c.limits.sign_rate;
  r.admit.sign_burst = c.limits.sign_burst;
  r.public_url = c.server.public_url;
  r.json_body = c.limits.json_body;
  for (auto& [bucket, url] : direct_urls(c)) r.direct_urls.push_back(url);
  r.demo = c.server.demo;
  r.version = version();
  return r;
}

form_ingest_options form_ingest_options_of(const config& c, const form_signer_options& s) {
  form_ingest_options o;
  o.buckets = c.store.other_buckets;
  o.buckets.push_back(c.store.bucket);
  o.region = s.region;
  o.credentials = s.credentials;
  o.limits.before_file = c.limits.form_fields ? c.limits.form_fields : 16 << 20;
  o.clock = now_millis;
  return o;
}

sweeper_options sweeper_options_of(const config& c) {
  sweeper_options o;
  o.retention = c.retention;
  o.clock = now_millis;
  return o;
}

front::server_options server_options_of(const config& c, asio::ssl::context* tls) {
  const auto& l = c.limits;
  front::server_options o;
  o.limits = {l.request_header, l.header_timeout,         l.idle_timeout, {l.body_silence, l.min_body_rate},
              l.connections,    l.connections_per_address};
  o.tls = tls;
  o.trusted_proxies = c.server.trusted_proxies;
  return o;
}

std::unique_ptr<asio::ssl::context> tls_of(const config& c) {
  if (c.server.tls_certificate.empty()) return nullptr;
  auto tls = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  try {
    tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                     asio::ssl::context::no_tlsv1_1);
    tls->use_certificate_chain_file(c.server.tls_certificate);
    tls->use_private_key_file(c.server.tls_key, asio::ssl::context::pem);
  } catch (const boost::system::system_error& e) {
    throw std::runtime_error("server.tls: certificate or key cannot be used: " + e.code().message() +
                             ". Both must be PEM files that this user may read");
  }
  return tls;
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

// One thread: its loop and what listens on it.
struct worker {
  asio::io_context loop{1};
  group running{loop.get_executor()};
  std::vector<std::unique_ptr<front::http_server>> servers;
  std::thread thread;

  void run() {
    for (auto& s : servers) running.start(s->run());
    for (;;) {
      try {
        loop.run();
        return;
      } catch (const std::exception& e) {
        log::error("bug: an exception reached the loop", {{"what", e.what()}});
      }
    }
  }

  // On this worker's thread. `done` is called there when nothing runs any more.
  task<> drain(std::chrono::milliseconds max, std::function<void()> done) {
    const std::function<void()> on_cut = [this] { stop_asking(); };
    for (auto& s : servers) s->stop_accepting();
    const auto end = std::chrono::steady_clock::now() + max;
    for (auto& s : servers) co_await s->drain(end, on_cut);
    done();
  }
  void cut() {
    for (auto& s : servers) s->cut();
    stop_asking();
  }
  // Of what waits for the store only the cleaning up goes on.
  void stop_asking() { http_client::stop(loop); }
};

using workers = std::vector<std::unique_ptr<worker>>;

// Every worker gets its own listening socket on each address; the first one's choice of a port (0) is the others' too.
void listen(workers& all, const std::vector<std::string>& addresses, std::string_view kind,
            const front::server_options& options, front::connection_count& counts,
            const front::answer_function& answer) {
  for (const auto& text : addresses) {
    auto at = front::parse_endpoint(text);
    front::require_free_port(at);
    for (auto& w : all) {
      w->servers.push_back(std::make_unique<front::http_server>(w->loop, at, options, counts, answer));
      at = w->servers.back()->endpoint();
    }
    const auto shown = at.address().is_v6() ? "[" + at.address().to_string() + "]" : at.address().to_string();
    log::info("listening", {{"kind", kind}, {"address", shown + ":" + std::to_string(at.port())}});
  }
}

task<> drain_webhooks(notifier& deliveries, asio::io_context& loop, std::chrono::milliseconds max,
                      std::function<void()> done) {
  const std::function<void()> cut = [&loop] { http_client::stop(loop); };
  co_await deliveries.drain(max, cut);
  done();
}

using signal_set = asio::basic_signal_set<io_executor>;

// The first SIGTERM or SIGINT drains, a second one cuts. Ends when every worker has drained.
task<> obey_signals(signal_set& signals, workers& all, front::http_server* admin, front::routes& routes,
                    notifier& deliveries, std::chrono::milliseconds max, std::function<void()> end_rounds) {
  auto& home = all.front()->loop;
  boost::system::error_code ec;
  std::size_t left = all.size() + 1; // and the webhooks, which live at home; counted there only
  const auto one_less = [&] {
    asio::post(home, [&] {
      if (--left == 0) signals.cancel();
    });
  };
  int number = co_await signals.async_wait(asio::redirect_error(use_task, ec));
  log::info("draining", {{"signal", number == SIGTERM ? "SIGTERM" : "SIGINT"}});
  routes.draining();
  for (auto& w : all) {
    auto* one = w.get();
    asio::post(one->loop, [one, max, one_less] { one->running.start(one->drain(max, one_less)); });
  }
  all.front()->running.start(drain_webhooks(deliveries, home, max, one_less));
  while (left > 0) {
    number = co_await signals.async_wait(asio::redirect_error(use_task, ec));
    if (left == 0) break;
    log::warning("cutting", {{"signal", number == SIGTERM ? "SIGTERM" : "SIGINT"}});
    for (auto& w : all) asio::post(w->loop, [one = w.get()] { one->cut(); });
  }
  end_rounds();
  // Last, so that a balancer can be told of the drain while it lasts.
  if (admin) co_await admin->drain(std::chrono::steady_clock::now() + 1s);
}

void say_what_runs(const config& c, std::size_t threads) {
  log::info("starting",
            {{"version", version()},
             {"public_url", c.server.public_url},
             {"store", c.store.type == "file" ? "file:" + c.store.path.string()
                                              : "s3:" + c.store.bucket + " at " +
                                                    (c.store.endpoint.empty() ? c.store.region : c.store.endpoint)},
             {"ledger", ledger_shown(c.ledger_url)},
             {"threads", threads},
             {"profiles", c.profiles.size()},
             {"webhooks", c.webhooks.size()}});
  if (c.auth.anonymous)
    log::warning("anyone may sign: auth.anonymous is true");
  else if (c.auth.api_keys.empty())
    log::warning("nobody may sign: auth names neither api_keys nor anonymous");
}

} // namespace

signing_parts::signing_parts(const config& c, std::function<void(const upload&)> on_change)
    : own(c.server.secrets), backend(c, own), records(make_ledger(ledger_options_of(c, std::move(on_change)))),
      options(form_signer_options_of(c, backend)),
      forms(options, own, [this](upload u) { records->issue(std::move(u)); }) {}

int serve(const config& c) {
  std::signal(SIGPIPE, SIG_IGN);
  const std::size_t threads = c.server.threads ? c.server.threads : std::max(1u, std::thread::hardware_concurrency());
  say_what_runs(c, threads);
  build_info.set(1);

  // In the order of dependence; what is below is destroyed last.
  upload_feed feed;
  signing_parts parts(c, [&feed](const upload& u) { feed.publish(u); });
  auto& backend = parts.backend;
  if (auto first = backend.first_credentials(); !first)
    log::error("no form can be signed until there are credentials",
               {{"why", describe(first.error())}, {"see", "postern doctor"}});
  const auto objects = backend.open(c);
  byte_budget buffers(c.limits.buffers);
  transfers carriers(*objects, *parts.records, buffers, now_millis);
  form_ingest ingest(form_ingest_options_of(c, parts.options), parts.own, *parts.records, carriers);
  completer completions(parts.own, *objects, *parts.records, c.retention);
  http_client sns_http(sns_client_options_of(c.events));
  const auto amazon = make_sns(sns_http, trusted_issuers_of(c.events));
  event_receiver events({c.events.token, c.events.sns_topics}, completions, *amazon);
  front::routes routes(routes_options_of(c), parts.forms, ingest, carriers, completions, events, *parts.records, feed);
  const webhook_clients hooks(c);
  const auto tls = tls_of(c);
  front::connection_count counts(c.limits.connections, c.limits.connections_per_address);

  workers all;
  for (std::size_t i = 0; i < threads; ++i) all.push_back(std::make_unique<worker>());
  // Before anybody is told that we listen: a signal that comes at once is to drain too.
  signal_set signals(all.front()->loop.get_executor(), SIGTERM, SIGINT);
  listen(all, c.server.listen, "public", server_options_of(c, tls.get()), counts,
         [&](front::request& r) { return routes.answer_public(r); });
  front::connection_count admin_counts(1000, 0);
  std::unique_ptr<front::http_server> admin;
  if (!c.server.admin_listen.empty()) {
    // One thread is enough for the operator.
    const auto at = front::parse_endpoint(c.server.admin_listen);
    front::require_free_port(at);
    admin = std::make_unique<front::http_server>(all.front()->loop, at, server_options_of(c, nullptr), admin_counts,
                                                 [&](front::request& r) { return routes.answer_admin(r); });
    all.front()->running.start(admin->run());
    const auto bound = admin->endpoint();
    log::info("listening",
              {{"kind", "admin"}, {"address", bound.address().to_string() + ":" + std::to_string(bound.port())}});
  }

  auto& first_loop = all.front()->loop;
  sweeper sweep_work(sweeper_options_of(c), completions, *parts.records);
  periodic_task sweep(first_loop.get_executor(), c.sweep.interval, [&] { return sweep_work.round(); });
  const auto clock = now_millis;
  // Readers of another node see progress that is at most two seconds old: this pause, the poll's pause on the other
  // node, and what periodic_task adds to both.
  const auto tell_progress = [&]() -> task<> {
    if (auto now = carriers.all(); !now.empty()) parts.records->record_progress(std::move(now), clock() + 1min);
    co_return;
  };
  periodic_task progress(first_loop.get_executor(), 1s, tell_progress);
  const auto poll_changes = [&] { return feed.poll(*parts.records); };
  periodic_task changes(first_loop.get_executor(), 750ms, poll_changes);
  notifier deliveries(hooks.options(), *parts.records, first_loop.get_executor());
  all.front()->running.start(deliveries.run());
  const auto end_rounds = [&] {
    sweep.stop();
    progress.stop();
    changes.stop();
    backend.credentials.stop();
  };
  all.front()->running.start(obey_signals(signals, all, admin.get(), routes, deliveries, c.server.drain, end_rounds));
  all.front()->running.start(backend.credentials.keep_fresh());
  all.front()->running.start(sweep.run());
  all.front()->running.start(progress.run());
  all.front()->running.start(changes.run());
  for (std::size_t i = 1; i < threads; ++i) all[i]->thread = std::thread([w = all[i].get()] { w->run(); });
  all.front()->run();
  for (std::size_t i = 1; i < threads; ++i) all[i]->thread.join();
  // The disk's and the ledger's threads post to the loops: they end before the loops do.
  backend.disk.join();
  parts.records.reset();
  log::info("stopped");
  return 0;
}

} // namespace postern::app
