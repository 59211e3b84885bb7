#include "node_options.hpp"
#include "start_log.hpp"
#include <postern/app/admission.hpp>
#include <postern/app/capacity.hpp>
#include <postern/app/config/changes.hpp>
#include <postern/app/heap_trim.hpp>
#include <postern/app/node.hpp>
#include <postern/app/secret_watch.hpp>
#include <postern/app/server_tls.hpp>
#include <postern/app/stores/store_watch.hpp>
#include <postern/app/webhooks/accept_hooks.hpp>
#include <postern/app/webhooks/webhooks.hpp>
#include <postern/app/workers.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/uuid.hpp>
#include <postern/flow/admission/rate_exchange.hpp>
#include <postern/flow/admission/request_limits.hpp>
#include <postern/flow/completion/complete.hpp>
#include <postern/flow/completion/probe.hpp>
#include <postern/flow/completion/receive_events.hpp>
#include <postern/flow/completion/sweep.hpp>
#include <postern/flow/completion/verify.hpp>
#include <postern/flow/direct/abandoned_multiparts.hpp>
#include <postern/flow/direct/direct_multiparts.hpp>
#include <postern/flow/direct/ledger_journal.hpp>
#include <postern/flow/direct/ways.hpp>
#include <postern/flow/notify.hpp>
#include <postern/flow/read_form.hpp>
#include <postern/flow/resume/resumable_uploads.hpp>
#include <postern/flow/upload_feed.hpp>
#include <postern/front/http_server.hpp>
#include <postern/front/listen_address.hpp>
#include <postern/front/routes.hpp>
#include <postern/io/ledger/make_ledger.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>

#include <chrono>
#include <csignal>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace postern::app {

using namespace std::chrono_literals;

namespace {

metrics::gauge build_info("postern_build_info", "The running version", "version=\"" POSTERN_VERSION "\"");

std::unique_ptr<server_tls> tls_of(const config::server_section& s) {
  return s.tls_certificate.empty() ? nullptr : std::make_unique<server_tls>(s.tls_certificate, s.tls_key);
}

// --- the node ---------------------------------------------------------------------------------------

using signal_set = asio::basic_signal_set<io_executor>;

class node {
public:
  // `load` reads the configuration anew, for SIGHUP.
  node(const config& c, std::function<config()> load);
  int run();

private:
  void listen();
  task<> reload_on_signal();
  void reload();
  task<result<void>> check_signing();
  task<result<void>> check_stores();
  std::vector<front::readiness_part> readiness_parts();
  task<> record_progress();
  task<> sweep();
  task<> extend_journal();
  task<> trim_heap();
  task<> drain_on_signal();
  task<> drain_webhooks();
  void note_drained();
  void stop_background_tasks();

  // In dependency order: an object uses those above it and is destroyed before them.
  const config& config_; // of the start
  config in_force_;      // with the settings that were reloaded; home thread only
  const std::function<config()> load_;
  const capacity capacity_;            // what the system allows
  upload_feed feed_;                   // tells event streams about changes
  form_service service_;               // signer, stores and ledger
  ledger_journal journal_;             // of the multipart uploads that this node sends
  const std::unique_ptr<store> store_; // all stores as one
  store_watches store_watches_;
  std::unique_ptr<magic_type_finder> types_; // none: no profile looks at bytes
  const verifier verifier_;
  resources shared_; // memory and requests to the store, which all uploads share
  const recorder recorder_;
  const remover remover_;
  transfers transfers_; // the uploads that this process receives
  form_reader form_reader_;
  completer completer_;
  const way_planner ways_;
  direct_multiparts multiparts_;
  resumable_uploads resumables_;
  const accept_hooks accept_hooks_;
  acceptor acceptor_;
  http_client sns_http_; // trusts events.ca_file
  const std::unique_ptr<sns> sns_;
  event_receiver event_receiver_;

  admission admission_; // credentials to callers
  const front::cors_rules cors_;
  request_limits limits_;
  const front::signing_gate gate_;
  front::uploads_endpoint uploads_;
  front::fallback_endpoint fallback_;
  front::complete_endpoint complete_;
  front::events_endpoint events_;
  front::pages_endpoint pages_;
  front::usage_endpoint usage_;
  front::manage_endpoint manage_;
  downloads downloads_;
  front::download_endpoint download_;
  front::parts_endpoint parts_;
  front::files_endpoint files_;
  front::admin_endpoint admin_;
  front::router public_router_, admin_router_;

  const std::unique_ptr<server_tls> tls_; // empty: plain HTTP
  front::connection_count connections_, admin_connections_;
  workers workers_;
  signal_set signals_; // exists before the ports are open, so that an early signal drains too
  signal_set hangups_;
  std::unique_ptr<front::http_server> admin_server_;

  // Background tasks, on the home worker.
  sweeper sweeper_;
  abandoned_multiparts abandoned_;
  prober prober_;
  secret_watch secret_watch_;
  heap_trim heap_trim_;
  rate_exchange rate_exchange_;
  periodic_task sweep_, probes_, verdicts_, progress_, changes_, secrets_, store_rounds_, token_keys_, trims_, rates_,
      journal_rounds_;
  const webhook_clients webhook_clients_;
  notifier notifier_;
  std::size_t draining_ = 0; // workers and webhooks that still drain; home worker only
};

node::node(const config& c, std::function<config()> load)
    : config_(c), in_force_(c), load_(std::move(load)), capacity_(plan_capacity(c, raise_descriptor_limit())),
      service_(c, node_ledger_options_of(c, feed_)), journal_(*service_.records, lease_of_multiparts(c), now_millis),
      store_(service_.backends.open(&journal_)), store_watches_(service_.backends), types_(type_finder_of(c)),
      verifier_(config_.profiles, types_.get(), *store_, *service_.records, now_millis),
      shared_(resource_limits_of(c, capacity_, *store_)), recorder_(*service_.records, *store_, config_.profiles),
      remover_({}, *store_, *service_.records),
      transfers_(*store_, *service_.records, recorder_, now_millis, types_ ? &verifier_ : nullptr),
      form_reader_(form_reader_options_of(c, service_.options), service_.own, transfers_),
      completer_(service_.own, *store_, *service_.records, recorder_, c.ledger.retention,
                 types_ ? &verifier_ : nullptr),
      ways_(way_options_of(c, service_.options), service_.own, *store_),
      multiparts_(direct_multipart_options_of(c, service_.options), service_.own, *store_, *service_.records,
                  completer_),
      resumables_(resumable_options_of(c, service_.options), service_.own, service_.issuer, *store_, *service_.records,
                  transfers_, completer_),
      accept_hooks_(c), acceptor_(accept_hooks_.options(), *store_, *service_.records, completer_),
      sns_http_(make_http_client("events.ca_file", sns_client_options_of(c.events))),
      sns_(make_sns(sns_http_, trusted_issuers_of(c.events))),
      event_receiver_({c.events.token, c.events.sns_topics, service_.backends.buckets()}, completer_, *sns_,
                      *service_.records),
      admission_(c), cors_(c.server.public_url, c.server.allowed_origins), limits_(request_rates_of(c)),
      gate_(admission_.callers(), cors_, limits_),
      uploads_(max_json_of(c), gate_, service_.issuer, ways_, *service_.records, transfers_, feed_),
      fallback_(c.server.public_url, form_reader_), complete_(completer_), events_(max_event_of(c), event_receiver_),
      pages_(pages_options_of(c, service_.backends), gate_, service_.issuer),
      usage_(gate_, service_.forms, *service_.records), manage_(gate_, *service_.records, remover_, acceptor_),
      downloads_(*store_, *service_.records, service_.forms), download_(gate_, downloads_, shared_),
      parts_(gate_, service_.own, *service_.records, multiparts_), files_(gate_, resumables_, config_.profiles),
      admin_(*service_.records, transfers_, readiness_parts(), c.server.admin_hosts),
      public_router_(front::public_routes(
                         {uploads_, fallback_, complete_, events_, pages_, usage_, manage_, download_, parts_, files_}),
                     cors_),
      admin_router_(front::admin_routes(admin_), cors_), tls_(tls_of(c.server)),
      connections_(capacity_.connections, c.limits.connections_per_address), admin_connections_(1000, 0),
      workers_(threads_of(c), capacity_.sockets()), signals_(workers_.home().get_executor(), SIGTERM, SIGINT),
      hangups_(workers_.home().get_executor(), SIGHUP),
      sweeper_(sweeper_options_of(c), completer_, remover_, *service_.records),
      abandoned_(*store_, *service_.records, now_millis), prober_(prober_options_of(c), completer_, *service_.records),
      secret_watch_(service_.own.fingerprints(), *service_.records, c.sweep.claim_lifetime),
      rate_exchange_({{"sign", &limits_.sign}, {"status", &limits_.status}, {"stream", &limits_.stream}},
                     new_uuid_v7(now_millis()), [] { return std::chrono::steady_clock::now(); }),
      sweep_(workers_.home().get_executor(), c.sweep.interval, [this] { return sweep(); }),
      probes_(workers_.home().get_executor(), 1s, [this] { return prober_.run_round(); }),
      verdicts_(workers_.home().get_executor(), 1s, [this] { return acceptor_.run_round(workers_.home_tasks()); }),
      progress_(workers_.home().get_executor(), 1s, [this] { return record_progress(); }),
      // Progress seen through another node is at most two seconds old: the sum of both pauses and periodic_task's
      // jitter.
      changes_(workers_.home().get_executor(), 750ms, [this] { return feed_.poll(*service_.records); }),
      secrets_(workers_.home().get_executor(), 1min, [this] { return secret_watch_.run_round(); }),
      store_rounds_(workers_.home().get_executor(), 15s, [this] { return store_watches_.run_round(); }),
      token_keys_(workers_.home().get_executor(), 5s, [this] { return admission_.keep_fresh(); }),
      trims_(workers_.home().get_executor(), 3s, [this] { return trim_heap(); }),
      rates_(workers_.home().get_executor(), 1s,
             [this] { return rate_exchange_.run_round(*service_.records, now_millis()); }),
      journal_rounds_(workers_.home().get_executor(), lease_of_multiparts(c) / 4, [this] { return extend_journal(); }),
      webhook_clients_(c), notifier_(webhook_clients_.options(), *service_.records, workers_.home().get_executor()) {
  log_start(c, workers_.size(), service_.backends);
  for (const auto& [name, why] : service_.backends.fetch_credentials())
    log::error("no form can be signed until there are credentials",
               {{"store", name}, {"why", describe(why)}, {"see", "postern doctor"}});
  listen();
}

int node::run() {
  build_info.set(1);
  auto& tasks = workers_.home_tasks();
  if (admin_server_) tasks.start(admin_server_->run());
  tasks.start(drain_on_signal());
  tasks.start(reload_on_signal());
  for (const auto& each : service_.backends.all()) {
    tasks.start(each->backend.credentials.keep_fresh());
    tasks.start(each->abilities.learn(each->backend, &journal_));
  }
  tasks.start(sweep_.run());
  if (config_.sweep.probe) tasks.start(probes_.run());
  tasks.start(verdicts_.run()); // also without a hook: uploads may still wait for one that was removed
  tasks.start(progress_.run());
  tasks.start(changes_.run());
  tasks.start(secrets_.run());
  tasks.start(store_rounds_.run());
  tasks.start(token_keys_.run());
  tasks.start(trims_.run());
  tasks.start(rates_.run());
  tasks.start(journal_rounds_.run());
  tasks.start(notifier_.run());
  workers_.run();
  // The threads of the disk pool and of the ledger post to the loops, so they end before the loops are destroyed.
  service_.backends.join();
  types_.reset();
  service_.records.reset();
  log::info("stopped");
  return 0;
}

void node::listen() {
  workers_.listen(config_.server.listen, server_options_of(config_, tls_ ? &tls_->context() : nullptr), connections_,
                  shared_, [this](front::request& r) { return public_router_.answer(r); });
  if (config_.server.admin_listen.empty()) return;
  const auto at = front::parse_listen_address(config_.server.admin_listen);
  front::require_free_port(at);
  admin_server_ =
      std::make_unique<front::http_server>(workers_.home(), at, server_options_of(config_, nullptr), admin_connections_,
                                           shared_, [this](front::request& r) { return admin_router_.answer(r); });
  log::info("listening", {{"kind", "admin"}, {"address", front::to_text(admin_server_->local_endpoint())}});
}

// --- SIGHUP ---

task<> node::reload_on_signal() {
  boost::system::error_code ec;
  for (;;) {
    co_await hangups_.async_wait(asio::redirect_error(use_task, ec));
    if (ec) co_return;
    reload();
  }
}

// Takes all that a running node can take from the new configuration, or nothing where something in it is wrong.
void node::reload() {
  config next;
  server_tls::pair certificate;
  try {
    next = load_();
    if (tls_ && !next.server.tls_certificate.empty())
      certificate = server_tls::read(next.server.tls_certificate, next.server.tls_key);
    admission_.reload(next);
  } catch (const std::exception& e) {
    log::error("reload failed: the old settings stay in force", {{"why", with_variable(next, e.what())}});
    return;
  }
  if (certificate) tls_->replace(std::move(certificate));
  token_keys_.wake(); // a new URL is fetched before the first token comes
  log::set_up(next.logging.level, next.logging.format);
  log::info("reloaded", {{"changed", listed(find_changes(in_force_, next).reloadable)}});
  if (const auto waiting = find_changes(config_, next).need_restart; !waiting.empty())
    log::warning("settings need a restart", {{"names", listed(waiting)}});
  log_who_may_sign(next);
  in_force_ = std::move(next);
}

// --- /readyz ---

std::vector<front::readiness_part> node::readiness_parts() {
  return {{"sign", [this] { return check_signing(); }},
          {"record", [this] { return service_.records->flush(); }},
          {"store", [this] { return check_stores(); }}};
}

task<result<void>> node::check_signing() {
  if (service_.backends.any_has_credentials()) co_return result<void>{};
  co_return failure{errc::unavailable, "there are no credentials for the store"};
}

task<result<void>> node::check_stores() { co_return co_await store_watches_.check(); }

// --- background tasks ---

// Other nodes show the progress of this node's uploads from the ledger.
task<> node::record_progress() {
  if (auto received = transfers_.list_received(); !received.empty())
    service_.records->record_progress(std::move(received), now_millis() + 1min);
  co_return;
}

task<> node::sweep() {
  co_await sweeper_.run_round();
  co_await abandoned_.run_round();
}

task<> node::extend_journal() {
  journal_.extend();
  co_return;
}

task<> node::trim_heap() {
  heap_trim_.look(shared_.memory_taken());
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
  probes_.stop();
  verdicts_.stop();
  progress_.stop();
  changes_.stop();
  secrets_.stop();
  store_rounds_.stop();
  token_keys_.stop();
  trims_.stop();
  rates_.stop();
  journal_rounds_.stop();
  hangups_.cancel();
  for (const auto& each : service_.backends.all()) {
    each->backend.credentials.stop();
    each->abilities.stop();
  }
  http_client::stop(workers_.home()); // a question to an accept hook may last for a minute; it is asked again
}

} // namespace

form_service::form_service(const config& c, const ledger_options& records_with)
    : own(c.server.secrets), backends(c, own), records(make_ledger(records_with)),
      options(form_signer_options_of(c, backends)), forms(options, own), issuer(forms, *records) {}

int serve(const config& c, std::function<config()> load) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);  // until the node listens for it
  std::signal(SIGXFSZ, SIG_IGN); // a file beyond the limit of the process is an error of that write
  try {
    return node(c, std::move(load)).run();
  } catch (const std::runtime_error& e) {
    throw std::runtime_error(with_variable(c, e.what()));
  }
}

} // namespace postern::app
