#include <postern/app/secret_watch.hpp>
#include <postern/base/log.hpp>

#include <algorithm>

namespace postern::app {

using namespace std::chrono_literals;

task<result<std::vector<std::string>>> find_other_secrets(ledger& records, std::vector<std::string> own,
                                                          millis_clock since) {
  auto found = co_await records.list_secrets(since);
  if (found)
    std::erase_if(*found, [&](const auto& one) { return std::find(own.begin(), own.end(), one) != own.end(); });
  co_return found;
}

std::chrono::milliseconds lifetime_of_secrets(std::chrono::milliseconds claim_lifetime) {
  return std::max<std::chrono::milliseconds>(claim_lifetime, 5min);
}

task<> secret_watch::run_round() {
  const auto now = now_millis();
  auto noted = co_await ledger_.note_secret(own_.front(), now);
  if (!noted) co_return;
  auto others = co_await find_other_secrets(ledger_, own_, now - lifetime_);
  if (!others) co_return;
  for (const auto& one : *others)
    if (known_.insert(one).second)
      log::warning("another node has other secrets",
                   {{"fingerprint", one},
                    {"own", own_.front()},
                    {"setting", "server.secrets"},
                    {"why", "this node refuses what that secret signed; give every node the same secrets"}});
}

} // namespace postern::app
