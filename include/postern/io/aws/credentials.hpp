// Where the keys of S3 come from. Each source knows one place; first_of and assume_role compose them; credential_cache
// keeps what they gave, renews it early, and is what the rest of the program asks. Nothing here is ever printed but the
// name of the place.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/s3/sigv4.hpp>
#include <postern/io/aws/aws_error.hpp>
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

struct held_credentials {
  sigv4::credentials keys;
  std::optional<seconds_clock> expires; // nothing: never
  std::string source;                   // "environment", "role arn:aws:iam::1:role/x by environment"
};
using credentials_ptr = std::shared_ptr<const held_credentials>;

// errc::not_found: this place has none, ask the next. All other failures are faults of a place that was configured, and
// say what and how to mend it.
class credential_source {
public:
  virtual ~credential_source() = default;
  virtual task<result<held_credentials>> fetch() = 0;
};
using credential_source_ptr = std::unique_ptr<credential_source>;

// The environment variables that AWS's tools know, by name. Given, not read, so that tests have their own.
using variables = std::map<std::string, std::string>;
using utc_clock = std::function<seconds_clock()>;

credential_source_ptr make_static_credentials(sigv4::credentials keys);

// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
credential_source_ptr make_environment_credentials(const variables& v);

// ~/.aws/credentials and ~/.aws/config (AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE), the profile that is named, else
// AWS_PROFILE, else "default". Read at each fetch. A profile that was named and is not there is errc::invalid_argument.
credential_source_ptr make_shared_file_credentials(const variables& v, std::string profile);

// The endpoint that ECS and EKS give a container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, or _FULL_URI (https,
// loopback, or the two agents' addresses only), with AWS_CONTAINER_AUTHORIZATION_TOKEN(_FILE).
credential_source_ptr make_container_credentials(const variables& v, http_client& http);

// The instance's metadata, version 2 only (AWS, "Use IMDSv2"): a token first. AWS_EC2_METADATA_SERVICE_ENDPOINT,
// AWS_EC2_METADATA_DISABLED. Where nobody answers within a second: errc::not_found.
credential_source_ptr make_imds_credentials(const variables& v, http_client& http);

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

// AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, as Kubernetes sets them. The file is read at each fetch, because it is
// renewed too.
credential_source_ptr make_web_identity_credentials(const variables& v, http_client& http, sts_options sts);

// Keys of the role, asked for with the keys of `by`. Where those are temporary themselves AWS grants one hour at most
// (role chaining), so no more is asked for.
credential_source_ptr make_assumed_role(credential_source_ptr by, http_client& http, sts_options sts, role_options role,
                                        utc_clock clock);

// One AssumeRole with the keys of `by`, and what STS says to it in its own words; for whoever explains them.
task<aws_result<held_credentials>> assume_role(http_client& http, const sts_options& sts, const role_options& role,
                                               const held_credentials& by, seconds_clock now);

// The ARN of whoever holds these keys. AWS tells it to everyone; Ceph RGW does not know the question.
task<aws_result<std::string>> caller_identity(http_client& http, const sts_options& sts, const held_credentials& by,
                                              seconds_clock now);

// The first that has any. When none has, errc::not_found lists the places.
credential_source_ptr first_of(std::vector<credential_source_ptr> sources);

// The process's credentials. Any thread. Single flight: however many ask, the source is asked once at a time.
class credential_cache {
public:
  // They are renewed while more than `spare` of their life is left, or half of it where it is not that long.
  credential_cache(credential_source_ptr source, std::chrono::seconds spare, utc_clock clock);

  // What is valid now, without waiting; nullptr when there is nothing.
  credentials_ptr current() const;

  // What is valid now, else what the source gives. Its failures.
  task<result<credentials_ptr>> get();

  // The server says that this key is no longer good: others, unless someone else has got them already.
  task<result<credentials_ptr>> renew(std::string access_key);

  // Renews early, with jitter, until stop; a failure is logged and tried again, and the old ones serve until they truly
  // end. Run it once.
  task<> keep_fresh();
  void stop(); // on the thread of keep_fresh

private:
  credentials_ptr usable(const std::string& unwanted) const; // mutex_ is held
  task<result<credentials_ptr>> fly(std::string unwanted);
  void land(const result<credentials_ptr>& got);
  seconds_clock renew_at(const held_credentials& h) const;

  const credential_source_ptr source_;
  const std::chrono::seconds spare_;
  const utc_clock clock_;
  mutable std::mutex mutex_;
  credentials_ptr current_;
  seconds_clock fetched_at_{};
  bool flying_ = false;
  std::vector<std::function<void(result<credentials_ptr>)>> waiting_;
  bool stopped_ = false;
  std::optional<timer> sleep_;
};

} // namespace postern
