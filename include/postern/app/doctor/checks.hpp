// The doctor's checks. Each tests one thing that Postern needs. They share an examination, in which a check stores what
// later checks need. A check never throws, and removes what it creates.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/app/doctor/findings.hpp>
#include <postern/app/stores/known_abilities.hpp>
#include <postern/app/stores/storage.hpp>
#include <postern/app/webhooks/webhooks.hpp>
#include <postern/core/claim.hpp>
#include <postern/io/aws/credentials.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/net/http_client.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::app {

// One store in a run of the doctor: the configuration as the store sees it (by_store), the clients that the checks use,
// and what the checks have found out.
struct examination {
  // Throws std::runtime_error that names the setting, as `storage` does.
  examination(config of, report& to, std::string config_option_of, const std::string& store_option);
  examination(const examination&) = delete;
  examination& operator=(const examination&) = delete;

  const config c;
  report& out;                     // also gets the texts that it must hide
  const std::string config_option; // " --config F" or empty
  const std::string setup_options; // the same, and " --store NAME" if there are several
  const signer server_signer;
  storage backend;
  http_client browser; // trusts the issuers that browsers trust
  const webhook_clients webhooks;

  std::optional<std::chrono::seconds> clock_ahead; // by how much the store's clock is ahead
  std::optional<held_credentials> caller;          // the credentials that were found, before a role is assumed
  credentials_ptr keys;                            // for the store
  std::unique_ptr<ledger> records;                 // empty: it cannot be used
  bool is_served = false;                          // Postern answers at server.public_url
  bool has_shown_cors = false;                     // the CORS document was printed
  std::optional<store_abilities> seen;             // what the store can do; nothing: it did not say
  store_abilities used = assumed_abilities;        // of it, within the settings
  bool exposes_etag_of_put = false;                // to pages: the answer to the presigned PUT
};

bool is_s3(const examination& exam);

// In the order in which they run. With the file store, the checks that concern only S3 are skipped.
task<finding> check_store(examination& exam); // does the store answer? Sets clock_ahead
finding check_clock(const examination& exam);
task<finding> check_credentials(examination& exam);
task<finding> check_role(examination& exam);
task<finding> check_bucket(examination& exam, std::string bucket);
task<finding> check_probe(examination& exam, const profile& rules);         // put, head and delete an object
task<std::vector<finding>> check_abilities(examination& exam);              // what the store can do. Sets seen and used
task<finding> check_form(examination& exam, const profile& rules);          // post a form as a browser does
task<finding> check_presigned_put(examination& exam, const profile& rules); // where there are no forms
task<finding> check_lifecycle(examination& exam, std::string bucket);       // are multipart uploads aborted?
task<finding> check_origin(examination& exam, std::string bucket, std::string origin);
task<finding> check_ledger(examination& exam);                     // opens exam.records
task<finding> check_secrets(examination& exam);                    // do the nodes have these server.secrets?
task<finding> check_webhook(examination& exam, std::size_t index); // in config::webhooks
task<finding> check_public_url(examination& exam);
task<finding> check_large_form(examination& exam); // post more than 1 MiB to public_url, through its proxy

bool takes_large_form(const config& c); // one of its profiles

// May pages read the ETag of this answer?
bool exposes_etag(const http_response& answer);

// The ledger's URL without a password, for printing.
std::string without_password(const std::string& url);

// Defers SIGINT and SIGTERM while one exists, so that an object that a check has put is removed before the program
// ends.
class deferred_signals {
public:
  deferred_signals();
  deferred_signals(const deferred_signals&) = delete;
  deferred_signals& operator=(const deferred_signals&) = delete;
  ~deferred_signals();
};

} // namespace postern::app
