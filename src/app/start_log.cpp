#include "start_log.hpp"

#include <postern/app/node.hpp>
#include <postern/base/log.hpp>
#include <postern/io/ledger/make_ledger.hpp>

namespace postern::app {

std::string listed(const std::vector<std::string>& names) {
  std::string all;
  for (const auto& name : names) all.append(all.empty() ? "" : ", ").append(name);
  return all;
}

namespace {

std::vector<std::string> stores_shown(const config& c) {
  const auto shown = [](const config::store_section& s) {
    const auto at = s.type == "file" ? "file:" + s.path.string()
                                     : "s3:" + s.bucket + " at " + (s.endpoint.empty() ? s.region : s.endpoint);
    return (s.name.empty() ? "" : s.name + "=") + at;
  };
  std::vector<std::string> all{shown(c.store)};
  for (const auto& s : c.stores) all.push_back(shown(s));
  return all;
}

} // namespace

void log_who_may_sign(const config& c) {
  if (c.auth.anonymous)
    log::warning("anyone may sign: auth.anonymous is true");
  else if (c.admits_nobody())
    log::warning("nobody may sign: set auth.api_keys, auth.jwt, auth.forward or auth.anonymous");
  if (!c.jwt.keys.empty() && c.jwt.audience.empty())
    log::warning("tokens for any audience are accepted: set auth.jwt.audience");
}

void log_start(const config& c, std::size_t threads, const stores& backends) {
  log::info("starting", {{"version", version()},
                         {"public_url", c.server.public_url},
                         {"store", listed(stores_shown(c))},
                         {"ledger", ledger_shown(c.ledger.url)},
                         {"threads", threads},
                         {"profiles", c.profiles.size()},
                         {"webhooks", c.webhooks.size()}});
  if (!c.other_variables.empty())
    log::warning("environment variables are ignored",
                 {{"names", listed(c.other_variables)},
                  {"why", "a setting's name has two underscores, as in POSTERN_STORE__BUCKET"}});
  for (const auto& each : backends.all()) log_sizes_beyond_a_form(each->settings);
  log_who_may_sign(c);
}

} // namespace postern::app
