// The store that the configuration names, with the credentials and clients that it needs, made in the order of
// dependence. Serving, signing by hand and the doctor all begin with this.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/core/claim.hpp>
#include <postern/io/aws/credentials.hpp>
#include <postern/io/ledger/ledger_options.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/s3/s3_client.hpp>
#include <postern/io/store.hpp>

#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace postern::app {

class storage {
public:
  // Asks nobody yet. Throws std::runtime_error naming the setting.
  storage(const config& c, const signer& own);

  http_client http;
  credential_cache credentials;
  const std::unique_ptr<s3_client> s3; // nullptr with the file store
  asio::thread_pool disk{4};

  // The store itself. With files, its folder is made now. What it needs is in here, so it must go first.
  std::unique_ptr<store> open(const config& c);

  // Fetches the first credentials on a loop of its own, and waits for them.
  result<credentials_ptr> first_credentials();
};

// What make_ledger wants of the configuration.
ledger_options ledger_options_of(const config& c, std::function<void(const upload&)> on_change = {});

// How browsers post to the bucket; by bucket, for all buckets of all profiles. Empty with the file store.
std::map<std::string, std::string> direct_urls(const config& c);

// Runs one task on a loop of its own, on this thread, until it is done: for the command line.
template <class T> T run_alone(task<T> t) {
  asio::io_context loop{1};
  std::optional<T> answer;
  std::exception_ptr bug;
  asio::co_spawn(loop.get_executor(), std::move(t), [&](std::exception_ptr e, T value) {
    bug = e;
    if (!e) answer.emplace(std::move(value));
  });
  loop.run();
  if (bug) std::rethrow_exception(bug);
  return std::move(*answer);
}

s3_options s3_options_of(const config& c);
sts_options sts_of(const config& c);
role_options role_of(const config& c);
// The keys that the configuration or AWS's places give, before any role is assumed with them.
credential_source_ptr own_source_of(const config& c, const signer& own, http_client& http);
utc_clock system_clock_in_seconds();

} // namespace postern::app
