// A node in the test's own process: the server, the routes and the flows as app/node assembles them, on one thread,
// with the file store and an SQLite ledger in a temporary folder. Store, ledger, clock and memory fail when the test
// says so. Webhooks go to the object itself. Include it in one source of a test only, as it takes the place of the
// system's clock, of operator new and of fsync.
#pragma once

#include "faulty_clock.hpp"
#include "faulty_ledger.hpp"
#include "faulty_memory.hpp"
#include "faulty_store.hpp"
#include "temporary_folder.hpp"
#include <postern/base/digest.hpp>
#include <postern/core/http/url.hpp>
#include <postern/flow/admission/api_keys.hpp>
#include <postern/flow/completion/sweep.hpp>
#include <postern/flow/notify.hpp>
#include <postern/front/http_server.hpp>
#include <postern/front/listen_address.hpp>
#include <postern/front/routes.hpp>
#include <postern/io/files/file_store.hpp>
#include <postern/io/ledger/sqlite_ledger.hpp>

#include <atomic>
#include <fstream>
#include <future>
#include <iterator>
#include <set>
#include <thread>

namespace postern::test {

class whole_node {
public:
  static constexpr const char* url = "http://up.example.com"; // server.public_url
  static constexpr const char* api_key = "an API key for the tests only";
  static constexpr const char* event_token = "an event token for the tests only";
  static constexpr const char* bucket = "media";
  static constexpr std::uint64_t memory = 64 << 20;

  faults store_faults, ledger_faults, outbox_faults; // outbox: the calls of the notifier

  whole_node() {
    server_tasks_.start(server_.run());
    thread_ = std::thread([this] { run_loop(); });
  }
  whole_node(const whole_node&) = delete;
  whole_node& operator=(const whole_node&) = delete;
  ~whole_node() {
    asio::post(loop_, [this] { server_tasks_.start(stop()); });
    thread_.join();
    disk_.join();
    real_ledger_.reset();
  }

  std::uint16_t port() const { return server_.local_endpoint().port(); }

  // --- what it has, read without faults

  result<upload> find(const std::string& id) { return run(real_ledger_->find(id)); }
  std::optional<std::string> object(const std::string& key) const {
    std::ifstream in(folder_.path() / "store" / bucket / key, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  std::size_t temporary_files() const {
    std::size_t n = 0;
    for (const auto& e : std::filesystem::recursive_directory_iterator(folder_.path() / "store" / ".postern" / "tmp"))
      n += e.is_regular_file();
    return n;
  }
  std::uint64_t memory_taken() const { return shared_.memory_taken(); }
  int escaped_exceptions() const { return escaped_; }
  // The ids of the messages of this type about this upload that have arrived.
  std::set<std::string> webhooks(const std::string& upload_id, std::string_view type) const {
    std::lock_guard lock(mutex_);
    std::set<std::string> ids;
    for (const auto& [id, body] : arrivals_)
      if (body.find("\"type\":\"" + std::string(type) + "\"") != body.npos && body.find(upload_id) != body.npos)
        ids.insert(id);
    return ids;
  }

  // --- what happens beside the requests

  // An object comes straight into the store, as a direct upload does.
  void store_directly(const std::string& id, std::string key, const std::string& content) {
    object_meta meta;
    meta.user.emplace_back("postern-id", id);
    if (!run(put({bucket, std::move(key)}, std::move(meta), content))) throw std::runtime_error("cannot store");
  }
  // A form whose file name is not known yet, as the page /form has it.
  signed_form sign_blank() {
    caller who;
    who.name = who.user = "app";
    who.profiles = {"*"};
    auto form = forms_.sign_blank("default", "", who, now_millis()).value();
    ledger_.issue(*form.row);
    return form;
  }
  // One round of the sweep, three days later: every policy has ended.
  void sweep() {
    faulty_clock::advance(std::chrono::hours(72));
    run(sweep_round());
  }
  // Delivers webhooks until none is due. False: that takes too long.
  bool deliver() { return run(deliver_all()); }

  // Takes so much memory that only `left` bytes are free for the next request, or gives it back.
  void leave_memory(std::uint64_t left) {
    ballast_.emplace(shared_, loop_.get_executor(), "ballast");
    run(ballast_->take_memory(memory - front::http_server::connection_memory - left)).value();
  }
  void free_memory() { ballast_.reset(); }

  // Runs `t` on the node's thread. Throws if it has not ended within 30 s.
  template <class T> T run(task<T> t) {
    auto answer = std::make_shared<std::promise<T>>();
    auto future = answer->get_future();
    asio::co_spawn(loop_, std::move(t), [answer](std::exception_ptr thrown, T value) {
      if (thrown)
        answer->set_exception(thrown);
      else
        answer->set_value(std::move(value));
    });
    if (future.wait_for(std::chrono::seconds(30)) != std::future_status::ready) throw std::runtime_error("it hangs");
    return future.get();
  }

private:
  struct no_sns final : sns {
    task<result<certificate>> signing_certificate(sns_url, seconds_clock) override {
      co_return failure(errc::unavailable, "SNS");
    }
    task<result<void>> confirm(sns_url) override { co_return failure(errc::unavailable, "SNS"); }
  };

  void run_loop() {
    faulty_memory::count_here();
    for (;;) {
      try {
        loop_.run();
        return;
      } catch (const std::exception&) {
        ++escaped_;
      }
    }
  }
  task<> stop() { co_await server_.drain(std::chrono::steady_clock::now()); }

  task<bool> put(object_name name, object_meta meta, std::string content) {
    auto opened = co_await real_store_->open(std::move(name), std::move(meta), content.size(), nullptr);
    if (!opened) co_return false;
    auto written = co_await (*opened)->write(content);
    if (!written) co_return false;
    auto finished = co_await (*opened)->finish();
    co_return finished.has_value();
  }

  task<bool> sweep_round() {
    try {
      co_await sweeper_.run_round();
    } catch (const std::exception&) { // periodic_task logs it, and the next round runs
      co_return false;
    }
    co_return true;
  }

  task<bool> deliver_all() {
    auto home = co_await asio::this_coro::executor;
    notifier deliveries(notifier_options_of(), outbox_, home);
    group running(home);
    running.start(deliveries.run());
    timer tick(home);
    boost::system::error_code ec;
    bool is_empty = false;
    for (int i = 1; i < 500 && !is_empty; ++i) {
      tick.expires_after(std::chrono::milliseconds(2));
      co_await tick.async_wait(asio::redirect_error(use_task, ec));
      auto oldest = co_await real_ledger_->oldest_webhook();
      is_empty = oldest && !*oldest;
      if (i % 10 == 0) faulty_clock::advance(std::chrono::minutes(2)); // leases and pauses end
      if (i == 100) faulty_clock::advance(faulty_clock::jump);         // messages of tomorrow are due, too
    }
    const std::function<void()> cut = [] {};
    co_await deliveries.drain(std::chrono::seconds(1), cut);
    co_await running.wait(std::chrono::seconds(10));
    co_return is_empty;
  }
  notifier_options notifier_options_of() {
    notifier_options o;
    webhook_target to;
    to.url = hook;
    to.at = parse_web_url(hook).value();
    to.keys.emplace_back("0123456789abcdef");
    to.send = [this](const http_request& r, std::string_view body) { return take_webhook(r, body); };
    o.endpoints.push_back(std::move(to));
    o.clock = now_millis;
    o.random = [] { return 0.0; };
    o.poll = std::chrono::milliseconds(3);
    o.max_in_flight = 1; // one delivery that does not end would stop the next one
    return o;
  }
  task<result<http_response>> take_webhook(const http_request& r, std::string_view body) {
    std::string id;
    for (const auto& [name, value] : r.fields)
      if (name == "webhook-id") id = value;
    {
      std::lock_guard lock(mutex_);
      arrivals_.emplace_back(std::move(id), body);
    }
    http_response accepted;
    accepted.status = 204;
    co_return accepted;
  }

  static constexpr const char* hook = "http://app.example.com/hooks";

  ledger_options records_options() {
    ledger_options o;
    o.endpoints.push_back({hook});
    o.on_change = [this](const upload& u) { feed_.publish(u); };
    return o;
  }
  static form_signer_options signer_options() {
    form_signer_options o;
    auto& p = o.profiles["default"];
    p.name = "default";
    p.bucket = bucket;
    o.public_url = url;
    form_store store;
    store.region = "eu-west-1";
    store.credentials = [] {
      return std::make_shared<const held_credentials>(held_credentials{{"AKIA", secret("key"), {}}, {}, "test"});
    };
    o.find_store = only(std::move(store), bucket);
    return o;
  }
  static form_reader_options reader_options(const form_signer_options& s) {
    form_reader_options o;
    o.find_store = s.find_store;
    o.clock = now_millis;
    return o;
  }
  static sweeper_options sweep_options() {
    sweeper_options o;
    o.clock = now_millis;
    return o;
  }
  static std::vector<admission_link_ptr> links() {
    std::vector<admission_link_ptr> all;
    all.push_back(make_api_key_link({{"app", sha256_hex(api_key), {"*"}}}, [] { return seconds_clock{}; }));
    return all;
  }
  resource_limits limits() const {
    return {memory, transfers::max_memory(*real_store_) + form_reader::max_memory({}), 0, std::chrono::milliseconds(1)};
  }

  const temporary_folder folder_;
  mutable std::mutex mutex_;                                  // guards arrivals_
  std::vector<std::pair<std::string, std::string>> arrivals_; // webhooks: id and body
  std::atomic<int> escaped_ = 0;

  // In the order of app/node.
  asio::io_context loop_{1};
  upload_feed feed_;
  const signer own_{{secret("a secret for the tests only")}};
  asio::thread_pool disk_{2};
  const std::unique_ptr<store> real_store_ = make_file_store({folder_.path() / "store"}, disk_);
  std::unique_ptr<ledger> real_ledger_ =
      make_sqlite_ledger({(folder_.path() / "ledger.db").string()}, records_options());
  faulty_store store_{*real_store_, store_faults};
  faulty_ledger ledger_{*real_ledger_, ledger_faults}, outbox_{*real_ledger_, outbox_faults};
  form_signer forms_{signer_options(), own_};
  form_issuer issuer_{forms_, ledger_};
  resources shared_{limits()};
  std::optional<allowance> ballast_;
  std::map<std::string, profile> profiles_;
  recorder recorder_{ledger_, store_, profiles_};
  remover remover_{{}, store_, ledger_};
  transfers transfers_{store_, ledger_, recorder_, now_millis};
  form_reader form_reader_{reader_options(signer_options()), own_, transfers_};
  completer completer_{own_, store_, ledger_, recorder_};
  const way_planner ways_{{signer_options().profiles, url, signer_options().find_store}, own_, store_};
  direct_multiparts multiparts_{
      {signer_options().profiles, signer_options().find_store}, own_, store_, ledger_, completer_};
  resumable_uploads resumables_{
      {signer_options().profiles, url, signer_options().find_store, std::chrono::hours(24), now_millis},
      own_,
      issuer_,
      store_,
      ledger_,
      transfers_,
      completer_};
  acceptor acceptor_{acceptor_options{{}, now_millis, [] { return 0.5; }}, store_, ledger_, completer_};
  no_sns sns_;
  event_receiver events_{{secret(event_token), {}, {bucket}}, completer_, sns_, ledger_};
  admitter admitter_{links()};
  const front::cors_rules cors_{url, {}};
  request_limits limits_{request_rates{}};
  const front::signing_gate gate_{admitter_, cors_, limits_};
  front::uploads_endpoint uploads_endpoint_{64 << 10, gate_, issuer_, ways_, ledger_, transfers_, feed_};
  front::fallback_endpoint fallback_endpoint_{url, form_reader_};
  front::complete_endpoint complete_endpoint_{completer_};
  front::events_endpoint events_endpoint_{256 << 10, events_};
  front::pages_endpoint pages_endpoint_{front::pages_options{}, gate_, issuer_};
  front::usage_endpoint usage_endpoint_{gate_, forms_, ledger_};
  front::manage_endpoint manage_endpoint_{gate_, ledger_, remover_, acceptor_};
  downloads downloads_{store_, ledger_, forms_};
  front::download_endpoint download_endpoint_{gate_, downloads_, shared_};
  front::parts_endpoint parts_endpoint_{gate_, own_, ledger_, multiparts_};
  front::files_endpoint files_endpoint_{gate_, resumables_, profiles_};
  front::router router_{front::public_routes({uploads_endpoint_, fallback_endpoint_, complete_endpoint_,
                                              events_endpoint_, pages_endpoint_, usage_endpoint_, manage_endpoint_,
                                              download_endpoint_, parts_endpoint_, files_endpoint_}),
                        cors_};
  front::connection_count connections_{0, 0};
  group server_tasks_{loop_.get_executor()};
  front::http_server server_{loop_,   front::parse_listen_address("127.0.0.1:0"),
                             {},      connections_,
                             shared_, [this](front::request& r) { return router_.answer(r); }};
  sweeper sweeper_{sweep_options(), completer_, remover_, ledger_};
  std::thread thread_; // last: it uses all members above
};

} // namespace postern::test

// Nothing here outlives the test, so nothing waits for the disk.
extern "C" int fsync(int) { return 0; }
extern "C" int fdatasync(int) { return 0; }
