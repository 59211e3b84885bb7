#include <postern/app/stores/stores.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/io/stores_by_bucket.hpp>

#include <algorithm>
#include <utility>

namespace postern::app {
namespace {

config as_seen_by(const config& c, const config::store_section& one) {
  auto seen = c;
  seen.store = one;
  seen.stores.clear();
  std::erase_if(seen.profiles, [&](const auto& named) { return named.second.store != one.name; });
  return seen;
}

form_store form_store_of(const config& c, const storage& backend, const known_abilities& abilities) {
  form_store f;
  f.region = c.store.region;
  f.credentials = [&backend] { return backend.credentials.current(); };
  f.ahead = [&backend] { return backend.clock.ahead(); };
  f.direct_urls = direct_urls(c);
  f.max_key_part = c.store.type == "file" ? 255 : 0;
  f.abilities = [&abilities] { return abilities.now(); };
  return f;
}

} // namespace

std::vector<config> by_store(const config& c) {
  std::vector<config> all{as_seen_by(c, c.store)};
  for (const auto& s : c.stores) all.push_back(as_seen_by(c, s));
  return all;
}

std::set<std::string> buckets_of(const config& c) {
  std::set<std::string> out{c.store.bucket};
  for (const auto& [name, p] : c.profiles) out.insert(p.bucket);
  return out;
}

std::string shown_name(const config::store_section& s) { return s.name.empty() ? "the store" : "the store " + s.name; }

stores::one::one(config as_seen, const signer& own)
    : settings(std::move(as_seen)), backend(settings, own), abilities(settings),
      forms(form_store_of(settings, backend, abilities)) {}

stores::stores(const config& c, const signer& own) : config_(c) {
  for (auto& seen : by_store(c)) all_.push_back(std::make_unique<one>(std::move(seen), own));
}

std::unique_ptr<store> stores::open(multipart_journal* journal) {
  std::vector<std::unique_ptr<store>> opened;
  for (const auto& each : all_) {
    opened.push_back(each->backend.open(each->settings, journal));
    each->objects = opened.back().get();
  }
  return std::make_unique<stores_by_bucket>(std::move(opened),
                                            [this](const std::string& bucket) { return index_of(bucket); });
}

std::size_t stores::index_of(const std::string& bucket) const {
  const auto* found = config_.find_store_of_bucket(bucket);
  if (!found) return all_.size();
  return found == &config_.store ? 0 : 1 + static_cast<std::size_t>(found - config_.stores.data());
}

const form_store* stores::find(const std::string& bucket) const {
  const auto index = is_bucket_name(bucket) ? index_of(bucket) : all_.size();
  return index < all_.size() ? &all_[index]->forms : nullptr;
}

std::vector<std::string> stores::buckets() const {
  std::vector<std::string> names;
  for (const auto& each : all_) {
    const auto& s = each->settings.store;
    names.push_back(s.bucket);
    names.insert(names.end(), s.other_buckets.begin(), s.other_buckets.end());
  }
  return names;
}

std::vector<std::string> stores::direct_urls() const {
  std::vector<std::string> urls;
  for (const auto& each : all_)
    for (const auto& [bucket, url] : each->forms.direct_urls) urls.push_back(url);
  return urls;
}

std::vector<std::pair<std::string, failure>> stores::fetch_credentials() const {
  std::vector<std::pair<std::string, failure>> missing;
  asio::io_context loop{1};
  group fetches(loop.get_executor());
  const auto fetch = [](one& from, decltype(missing)& failed) -> task<> {
    auto got = co_await from.backend.credentials.get();
    if (!got) failed.emplace_back(metric_name(from.settings.store), got.error());
  };
  for (const auto& each : all_) fetches.start(fetch(*each, missing));
  loop.run();
  return missing;
}

result<void> stores::fetch_credentials(const std::string& bucket) const {
  const auto index = index_of(bucket);
  if (index >= all_.size()) return failure{errc::no_such_bucket, quote(bucket)};
  const auto got = run_alone(all_[index]->backend.credentials.get());
  if (got) return {};
  const auto& why = got.error();
  return failure{why.code,
                 all_[index]->settings.store.setting("credentials") + ": " + (why.on.empty() ? describe(why) : why.on)};
}

bool stores::any_has_credentials() const {
  return std::any_of(all_.begin(), all_.end(), [](const auto& each) { return each->forms.credentials() != nullptr; });
}

void stores::join() const {
  for (const auto& each : all_) each->backend.join();
}

} // namespace postern::app
