// One store of the configuration, with the credentials and HTTP clients that it needs. Serving, `postern sign`,
// `postern setup` and the doctor all begin with it. Also the functions that turn the configuration into the options of
// the io units. They all look at config::store and config::profiles; `stores` has one such configuration for each
// store.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/core/claim.hpp>
#include <postern/io/aws/credentials.hpp>
#include <postern/io/ledger/ledger_options.hpp>
#include <postern/io/multipart_journal.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/s3/s3_client.hpp>
#include <postern/io/store.hpp>

#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace postern::app {

utc_clock system_clock_in_seconds();

class storage {
public:
  // Connects to nothing and keeps no reference. Throws std::runtime_error that names the setting.
  storage(const config& c, const signer& own);

  http_client http;
  store_clock clock{system_clock_in_seconds()};
  credential_cache credentials;
  const std::unique_ptr<s3_client> s3;           // nullptr with the file store
  const std::unique_ptr<asio::thread_pool> disk; // for the blocking calls of the file store; nullptr with S3
  // Opens the store. The file store creates its folder. Destroy the store before this object. `journal`: see
  // make_s3_store.
  std::unique_ptr<store> open(const config& c, multipart_journal* journal = nullptr);

  // Waits for the threads of `disk`, before the loops to which they answer are destroyed.
  void join();
};

ledger_options ledger_options_of(const config& c);
std::string metric_name(const config::store_section& s); // the value of the label "store": "default", "archive"

// The URL to which browsers post, by bucket, for the buckets of all profiles. Empty with the file store.
std::map<std::string, std::string> direct_urls(const config& c);

// Logs a warning for each profile that allows larger files than S3 takes from a form. The fallback takes such a file
// only if its size was declared, or if all files of the profile are that large.
void log_sizes_beyond_a_form(const config& c);

// Runs one task on an io_context of its own, on this thread, until the task ends. For the command line.
template <class T> T run_alone(task<T> t) {
  asio::io_context loop{1};
  std::optional<T> value;
  std::exception_ptr bug;
  asio::co_spawn(loop.get_executor(), std::move(t), [&](std::exception_ptr e, T returned) {
    bug = e;
    if (!e) value.emplace(std::move(returned));
  });
  loop.run();
  if (bug) std::rethrow_exception(bug);
  return std::move(*value);
}

// A client with these options. An error names `setting`, which gave the CA file.
http_client make_http_client(const std::string& setting, http_client_options options);

s3_options s3_options_of(const config& c);
sts_options sts_of(const config& c);
role_options role_of(const config& c);
// The credentials that the configuration or the AWS chain gives, before a role is assumed with them.
credential_source_ptr own_source_of(const config& c, const signer& own, http_client& http);

} // namespace postern::app
