// The stores of the configuration: [store] and each of [[stores]]. An object's bucket says which of them has it. The
// node and `postern sign` own one; `postern setup` and the doctor look at each store by itself.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/app/stores/known_abilities.hpp>
#include <postern/app/stores/storage.hpp>
#include <postern/flow/form_store.hpp>
#include <postern/io/store.hpp>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace postern::app {

// The configuration as each store sees it, [store] first: `store` is that one, `profiles` are its own (also "default"
// may be missing), and `stores` is empty.
std::vector<config> by_store(const config& c);

// The buckets that profiles of this configuration write to, and store.bucket.
std::set<std::string> buckets_of(const config& c);

// "the store" or "the store archive", for people.
std::string shown_name(const config::store_section& s);

class stores {
public:
  // Connects to nothing. `c` must outlive this. Throws std::runtime_error that names the setting.
  stores(const config& c, const signer& own);
  stores(const stores&) = delete;
  stores& operator=(const stores&) = delete;

  struct one {
    one(config as_seen, const signer& own);
    const config settings; // see by_store
    storage backend;
    known_abilities abilities;
    const form_store forms;
    store* objects = nullptr; // after open
  };
  const std::vector<std::unique_ptr<one>>& all() const { return all_; }

  // All of them as one store. The file stores create their folders. Destroy the store before this object. To be called
  // once. `journal`: see make_s3_store.
  std::unique_ptr<store> open(multipart_journal* journal = nullptr);
  const form_store* find(const std::string& bucket) const;
  std::vector<std::string> buckets() const;     // of all stores; "*": any bucket
  std::vector<std::string> direct_urls() const; // to which browsers post; empty with file stores alone

  // Fetches the first credentials of all stores, on an io_context of its own, and waits for them. Returns what went
  // wrong, with the store's metric_name.
  std::vector<std::pair<std::string, failure>> fetch_credentials() const;
  // The same for the store that has this bucket. The failure names the setting.
  result<void> fetch_credentials(const std::string& bucket) const;
  bool any_has_credentials() const; // now
  void join() const;                // see storage::join

private:
  std::size_t index_of(const std::string& bucket) const; // all_.size(): none has it

  const config& config_;
  std::vector<std::unique_ptr<one>> all_;
};

} // namespace postern::app
