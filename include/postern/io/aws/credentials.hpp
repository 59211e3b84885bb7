// S3 credentials: where they come from, and the cache that the rest of the program asks. Each source knows one place;
// make_credential_chain and make_assumed_role combine sources. `storage` owns the cache, which every thread uses.
// Secrets are never logged: a log line names the access key's source only.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/base/metrics.hpp>
#include <postern/core/s3/sigv4.hpp>
#include <postern/io/aws/aws_error.hpp>
#include <postern/io/aws/store_clock.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace postern {

// Credentials with their end and their source.
struct held_credentials {
  sigv4::credentials keys;
  std::optional<seconds_clock> expires; // std::nullopt: never
  std::string source;                   // for people: "environment", "role arn:aws:iam::1:role/x by environment"
};
using credentials_ptr = std::shared_ptr<const held_credentials>;

// One place that can have credentials. Used on one thread at a time.
class credential_source {
public:
  virtual ~credential_source() = default;
  // errc::not_found: this place has none, so the next one is asked. Every other failure means that the place is
  // configured and does not work: the failure says what is wrong and what to do, and no other place is asked.
  virtual task<result<held_credentials>> fetch() = 0;
};
using credential_source_ptr = std::unique_ptr<credential_source>;

// Environment variables by name. A parameter of the sources, so that tests can have their own.
using variables = std::map<std::string, std::string>;

// --- the places, in the order of the AWS SDKs -------------------------------------------------------

// The credentials in the configuration. Never fails.
credential_source_ptr make_static_credentials(sigv4::credentials keys);

// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
credential_source_ptr make_environment_credentials(const variables& v);

// ~/.aws/credentials and ~/.aws/config (or AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE). The profile is `profile`,
// else AWS_PROFILE, else "default". Both files are read at each fetch. A profile that was named but is missing is
// errc::invalid_argument.
credential_source_ptr make_shared_file_credentials(const variables& v, std::string profile);

// STS (AWS Security Token Service API Reference, AssumeRole and AssumeRoleWithWebIdentity).
struct sts_options {
  std::string endpoint; // URL
  std::string region;
};
struct role_options {
  std::string arn;
  std::string external_id; // may be empty
  std::string session_name = "postern";
  std::chrono::seconds duration{3600};
};

// AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, as Kubernetes sets them. The token file is read at each fetch, because
// Kubernetes replaces it.
credential_source_ptr make_web_identity_credentials(const variables& v, http_client& http, sts_options sts);

// The endpoint that ECS and EKS give to a container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI, with
// AWS_CONTAINER_AUTHORIZATION_TOKEN(_FILE). A full URI must be https, loopback or the address of an agent.
credential_source_ptr make_container_credentials(const variables& v, http_client& http);

// The metadata service of an EC2 instance, version 2 only (AWS, "Use IMDSv2"): it asks for a token first.
// AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_EC2_METADATA_DISABLED. errc::not_found when it does not answer in a second.
credential_source_ptr make_imds_credentials(const variables& v, http_client& http);

// --- combinations -----------------------------------------------------------------------------------

// Asks one source after the other until one has credentials. When none has, errc::not_found lists the places.
credential_source_ptr make_credential_chain(std::vector<credential_source_ptr> sources);

// Credentials of a role, which STS gives to the credentials of `caller`. AWS limits a role that was assumed with
// temporary credentials to one hour (role chaining), so no longer duration is asked for then. When STS refuses the time
// of the request, `clock`, which must outlive this, adopts the time of STS, and the request is sent once more.
credential_source_ptr make_assumed_role(credential_source_ptr caller, http_client& http, sts_options sts,
                                        role_options role, store_clock& clock);

// One AssumeRole request. The error is what STS answered, for the doctor to explain.
task<aws_result<held_credentials>> assume_role(http_client& http, const sts_options& sts, const role_options& role,
                                               const held_credentials& caller, seconds_clock now);

// The ARN of the user or role that owns these credentials. AWS allows this request to every caller; Ceph RGW has no
// such operation.
task<aws_result<std::string>> caller_identity(http_client& http, const sts_options& sts, const held_credentials& caller,
                                              seconds_clock now);

// --- the cache --------------------------------------------------------------------------------------

// The credentials of the process. Every thread may use it. One fetch at a time: calls that arrive during a fetch share
// its result.
class credential_cache {
public:
  // keep_fresh renews credentials when `spare` or half of their lifetime is left, whichever is shorter.
  // `store`: whose they are, in metrics.
  credential_cache(credential_source_ptr source, std::chrono::seconds spare, utc_clock clock,
                   const std::string& store = "default");

  // The credentials that are valid now, without waiting. nullptr: there are none.
  credentials_ptr current() const;

  // The credentials that are valid now; fetched when there are none. Fails as the source does; errc::unavailable when
  // the fetch has not ended at `by`. It goes on then, for later calls.
  task<result<credentials_ptr>> get(clock_point by = clock_point::max());

  // Fetches new credentials after the server rejected those with this access key. Returns the cached credentials when
  // they have another access key already. `by` as above.
  task<result<credentials_ptr>> renew(std::string access_key, clock_point by = clock_point::max());

  // Renews early, with jitter, until stop. After a failure it logs, waits and tries again; the old credentials stay in
  // use until they expire. Run it once.
  task<> keep_fresh();
  void stop(); // on the thread of keep_fresh

private:
  credentials_ptr usable(const std::string& rejected_key) const; // mutex_ is held
  task<result<credentials_ptr>> get_other_than(std::string rejected_key, clock_point by);
  task<> fetch();
  void finish_fetch(const result<credentials_ptr>& fetched);
  void give_up(const void* id);
  seconds_clock renew_at(const held_credentials& h) const;

  const credential_source_ptr source_;
  const std::chrono::seconds spare_;
  const utc_clock clock_;
  const std::string store_;
  metrics::gauge expiry_;
  metrics::counter renewed_, failed_;
  mutable std::mutex mutex_;
  credentials_ptr current_;
  seconds_clock fetched_at_{};
  bool is_fetching_ = false;
  struct waiter {
    const void* id; // unique among the waiters
    std::function<void(result<credentials_ptr>)> reply;
  };
  std::vector<waiter> waiting_; // for the fetch that runs
  bool is_stopped_ = false;
  std::optional<timer> sleep_;
};

} // namespace postern
