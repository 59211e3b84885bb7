#include <postern/app/config/text_file.hpp>
#include <postern/app/node.hpp>
#include <postern/app/webhooks/webhooks.hpp>
#include <postern/app/workers.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/core/http/url.hpp>
#include <postern/flow/admit.hpp>
#include <postern/flow/api_keys.hpp>
#include <postern/flow/complete.hpp>
#include <postern/flow/notify.hpp>
#include <postern/flow/rate_limiter.hpp>
#include <postern/flow/read_form.hpp>
#include <postern/flow/receive_events.hpp>
#include <postern/flow/sweep.hpp>
#include <postern/flow/upload_feed.hpp>
#include <postern/front/http_server.hpp>
#include <postern/front/listen_address.hpp>
#include <postern/front/routes.hpp>
#include <postern/io/ledger/make_ledger.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl/context.hpp>
#include <openssl/err.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace postern::app {

using namespace std::chrono_literals;

namespace {

// --- the options of each object, from the configuration ---------------------------------------------------

metrics::gauge build_info("postern_build_info", "The running version", "version=\"" POSTERN_VERSION "\"");

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

admitter admitter_of(const config::auth_section& auth) {
  std::vector<admission_link_ptr> links;
  std::vector<api_key> keys;
  for (const auto& k : auth.api_keys) keys.push_back({k.name, k.sha256, k.profiles});
  links.push_back(make_api_key_link(std::move(keys)));
  if (auth.anonymous) links.push_back(make_anonymous_link());
  return admitter(std::move(links));
}

front::pages_options pages_options_of(const config& c) {
  front::pages_options o;
  o.demo = c.server.demo;
  o.version = version();
  for (auto& [bucket, url] : direct_urls(c)) o.direct_urls.push_back(url);
  return o;
}

// The buckets of forms and of events.
std::vector<std::string> served_buckets(const config& c) {
  auto buckets = c.store.other_buckets;
  buckets.push_back(c.store.bucket);
  return buckets;
}

form_reader_options form_reader_options_of(const config& c, const form_signer_options& s) {
  form_reader_options o;
  o.buckets = served_buckets(c);
  o.region = s.region;
  o.credentials = s.credentials;
  o.limits.max_before_file = c.limits.form_fields ? c.limits.form_fields : 16 << 20;
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

std::unique_ptr<asio::ssl::context> tls_of(const config& c) {
  if (c.server.tls_certificate.empty()) return nullptr;
  auto tls = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                   asio::ssl::context::no_tlsv1_1);
  use_certificate(*tls, c.server.tls_certificate);
  use_key(*tls, c.server.tls_key, c.server.tls_certificate);
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

// Limits that are switched off still bound memory.
std::size_t max_json_of(const config& c) { return c.limits.json_body ? c.limits.json_body : 16 << 20; }
// SNS sends messages of up to 256 KiB.
std::size_t max_event_of(const config& c) { return c.limits.json_body ? c.limits.json_body * 4 : 16 << 20; }

std::size_t threads_of(const config& c) {
  return c.server.threads ? c.server.threads : std::max(1u, std::thread::hardware_concurrency());
}

// --- the node ---------------------------------------------------------------------------------------

using signal_set = asio::basic_signal_set<io_executor>;

class node {
public:
  explicit node(const config& c);
  int run();

private:
  void listen();
  void log_start() const;
  task<> record_progress();
  task<> drain_on_signal();
  task<> drain_webhooks();
  void note_drained();
  void stop_background_tasks();

  // In dependency order: an object uses those above it and is destroyed before them.
  const config& config_;
  upload_feed feed_;                   // tells event streams about changes
  form_service service_;               // signer, storage and ledger
  const std::unique_ptr<store> store_; // S3 or the file store
  byte_budget buffers_;                // memory of all transfers
  transfers transfers_;                // the uploads that this process receives
  form_reader form_reader_;
  completer completer_;
  http_client sns_http_; // trusts events.ca_file
  const std::unique_ptr<sns> sns_;
  event_receiver event_receiver_;

  const admitter admitter_; // credentials to callers
  const front::cors_rules cors_;
  rate_limiter signing_rate_;
  const front::signing_gate gate_;
  front::uploads_endpoint uploads_;
  front::fallback_endpoint fallback_;
  front::complete_endpoint complete_;
  front::events_endpoint events_;
  front::pages_endpoint pages_;
  front::admin_endpoint admin_;
  front::router public_router_, admin_router_;

  const std::unique_ptr<asio::ssl::context> tls_; // empty: plain HTTP
  front::connection_count connections_, admin_connections_;
  workers workers_;
  signal_set signals_; // exists before the ports are open, so that an early signal drains too
  std::unique_ptr<front::http_server> admin_server_;

  // Background tasks, on the home worker.
  sweeper sweeper_;
  periodic_task sweep_, progress_, changes_;
  const webhook_clients webhook_clients_;
  notifier notifier_;
  std::size_t draining_ = 0; // workers and webhooks that still drain; home worker only
};

node::node(const config& c)
    : config_(c), service_(c, [this](const upload& u) { feed_.publish(u); }), store_(service_.backend.open(c)),
      buffers_(c.limits.buffers), transfers_(*store_, *service_.records, buffers_, now_millis),
      form_reader_(form_reader_options_of(c, service_.options), service_.own, *service_.records, transfers_),
      completer_(service_.own, *store_, *service_.records, c.ledger.retention),
      sns_http_(make_http_client("events.ca_file", sns_client_options_of(c.events))),
      sns_(make_sns(sns_http_, trusted_issuers_of(c.events))),
      event_receiver_({c.events.token, c.events.sns_topics, served_buckets(c)}, completer_, *sns_),
      admitter_(admitter_of(c.auth)), cors_(c.server.public_url, c.server.allowed_origins),
      signing_rate_(c.limits.sign_rate, c.limits.sign_burst), gate_(admitter_, cors_, signing_rate_),
      uploads_(max_json_of(c), gate_, service_.forms, *service_.records, transfers_, feed_),
      fallback_(c.server.public_url, form_reader_), complete_(completer_), events_(max_event_of(c), event_receiver_),
      pages_(pages_options_of(c), gate_, service_.forms), admin_(*service_.records, transfers_),
      public_router_(front::public_routes({uploads_, fallback_, complete_, events_, pages_}), cors_),
      admin_router_(front::admin_routes(admin_), cors_), tls_(tls_of(c)),
      connections_(c.limits.connections, c.limits.connections_per_address), admin_connections_(1000, 0),
      workers_(threads_of(c)), signals_(workers_.home().get_executor(), SIGTERM, SIGINT),
      sweeper_(sweeper_options_of(c), completer_, *service_.records),
      sweep_(workers_.home().get_executor(), c.sweep.interval, [this] { return sweeper_.run_round(); }),
      progress_(workers_.home().get_executor(), 1s, [this] { return record_progress(); }),
      // Progress seen through another node is at most two seconds old: the sum of both pauses and periodic_task's
      // jitter.
      changes_(workers_.home().get_executor(), 750ms, [this] { return feed_.poll(*service_.records); }),
      webhook_clients_(c), notifier_(webhook_clients_.options(), *service_.records, workers_.home().get_executor()) {
  log_start();
  if (auto first = service_.backend.first_credentials(); !first)
    log::error("no form can be signed until there are credentials",
               {{"why", describe(first.error())}, {"see", "postern doctor"}});
  listen();
}

int node::run() {
  build_info.set(1);
  auto& tasks = workers_.home_tasks();
  if (admin_server_) tasks.start(admin_server_->run());
  tasks.start(drain_on_signal());
  tasks.start(service_.backend.credentials.keep_fresh());
  tasks.start(sweep_.run());
  tasks.start(progress_.run());
  tasks.start(changes_.run());
  tasks.start(notifier_.run());
  workers_.run();
  // The threads of the disk pool and of the ledger post to the loops, so they end before the loops are destroyed.
  service_.backend.disk.join();
  service_.records.reset();
  log::info("stopped");
  return 0;
}

void node::listen() {
  workers_.listen(config_.server.listen, server_options_of(config_, tls_.get()), connections_,
                  [this](front::request& r) { return public_router_.answer(r); });
  if (config_.server.admin_listen.empty()) return;
  const auto at = front::parse_listen_address(config_.server.admin_listen);
  front::require_free_port(at);
  admin_server_ =
      std::make_unique<front::http_server>(workers_.home(), at, server_options_of(config_, nullptr), admin_connections_,
                                           [this](front::request& r) { return admin_router_.answer(r); });
  log::info("listening", {{"kind", "admin"}, {"address", front::to_text(admin_server_->local_endpoint())}});
}

void node::log_start() const {
  const auto& s = config_.store;
  log::info("starting",
            {{"version", version()},
             {"public_url", config_.server.public_url},
             {"store", s.type == "file" ? "file:" + s.path.string()
                                        : "s3:" + s.bucket + " at " + (s.endpoint.empty() ? s.region : s.endpoint)},
             {"ledger", ledger_shown(config_.ledger.url)},
             {"threads", workers_.size()},
             {"profiles", config_.profiles.size()},
             {"webhooks", config_.webhooks.size()}});
  if (config_.auth.anonymous)
    log::warning("anyone may sign: auth.anonymous is true");
  else if (config_.auth.api_keys.empty())
    log::warning("nobody may sign: set auth.api_keys or auth.anonymous");
}

// Other nodes show the progress of this node's uploads from the ledger.
task<> node::record_progress() {
  if (auto received = transfers_.list_received(); !received.empty())
    service_.records->record_progress(std::move(received), now_millis() + 1min);
  co_return;
}

// The first SIGTERM or SIGINT begins the drain, the second one cuts it short. Ends when all workers have drained.
task<> node::drain_on_signal() {
  const auto name_of = [](int number) { return number == SIGTERM ? "SIGTERM" : "SIGINT"; };
  boost::system::error_code ec;
  int number = co_await signals_.async_wait(asio::redirect_error(use_task, ec));
  log::info("draining", {{"signal", name_of(number)}});
  admin_.start_draining();
  draining_ = workers_.size() + 1;
  workers_.drain(config_.server.drain, [this] { asio::post(workers_.home(), [this] { note_drained(); }); });
  workers_.home_tasks().start(drain_webhooks());
  while (draining_ > 0) {
    number = co_await signals_.async_wait(asio::redirect_error(use_task, ec)); // note_drained cancels the wait
    if (draining_ == 0) break;
    log::warning("drain cut short", {{"signal", name_of(number)}});
    workers_.cut();
  }
  stop_background_tasks();
  // The admin listener ends last, so that a load balancer sees the drain in /readyz.
  if (admin_server_) co_await admin_server_->drain(std::chrono::steady_clock::now() + 1s);
}

task<> node::drain_webhooks() {
  const std::function<void()> cut = [this] { http_client::stop(workers_.home()); };
  co_await notifier_.drain(config_.server.drain, cut);
  note_drained();
}

void node::note_drained() {
  if (--draining_ == 0) signals_.cancel();
}

void node::stop_background_tasks() {
  sweep_.stop();
  progress_.stop();
  changes_.stop();
  service_.backend.credentials.stop();
}

} // namespace

form_service::form_service(const config& c, std::function<void(const upload&)> on_change)
    : own(c.server.secrets), backend(c, own), records(make_ledger(ledger_options_of(c, std::move(on_change)))),
      options(form_signer_options_of(c, backend)),
      forms(options, own, [this](upload u) { records->issue(std::move(u)); }) {}

int serve(const config& c) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN); // a file beyond the limit of the process is an error of that write
  return node(c).run();
}

} // namespace postern::app
