// The doctor's checks, each a question to one neighbour. They share a patient, in which a check leaves what later ones
// need. A check never throws; what it makes it removes.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/app/doctor/findings.hpp>
#include <postern/app/storage.hpp>
#include <postern/app/webhooks/webhooks.hpp>
#include <postern/core/claim.hpp>
#include <postern/io/aws/credentials.hpp>
#include <postern/io/net/http_client.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace postern::app {

struct patient {
  // Throws std::runtime_error naming the setting, as storage does.
  patient(config of, report& to, std::string with);
  patient(const patient&) = delete;
  patient& operator=(const patient&) = delete;

  const config c;
  report& out; // for what must not be printed
  const std::string with_config;
  const signer own;
  storage backend;
  http_client web; // trusts whom browsers trust
  const webhook_clients hooks;

  std::optional<std::chrono::seconds> ahead; // the store's clock
  std::optional<held_credentials> base;      // the caller's own
  credentials_ptr keys;                      // with which the store is asked
  bool served = false;                       // public_url is answered by Postern
  bool shown_cors = false;                   // the document stands above already
};

bool is_s3(const patient& p);

// In the order in which they are done. With a directory as the store, only those that concern it ask anything.
task<finding> check_store(patient& p); // it answers at all; its clock is noted
finding check_clock(const patient& p);
task<finding> check_credentials(patient& p);
task<finding> check_role(patient& p);
task<finding> check_bucket(patient& p, std::string bucket);
task<finding> check_probe(patient& p, const profile& rules); // put, head, delete
task<finding> check_form(patient& p, const profile& rules);
task<finding> check_origin(patient& p, std::string bucket, std::string origin);
task<finding> check_ledger(patient& p);
task<finding> check_webhook(patient& p, std::size_t which); // of config::webhooks
task<finding> check_public_url(patient& p);

// The URL of a database as it may be shown.
std::string without_password(const std::string& url);

// While one stands, SIGINT and SIGTERM wait: what was put into the store is first removed again.
class unbroken {
public:
  unbroken();
  unbroken(const unbroken&) = delete;
  unbroken& operator=(const unbroken&) = delete;
  ~unbroken();
};

} // namespace postern::app
