// The stores of the configuration: [store] and each of [[stores]]. An object's bucket says which of them has it. The
// node and `postern sign` own one; `postern setup` and the doctor look at each store by itself.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/app/stores/storage.hpp>
#include <postern/flow/form_store.hpp>
#include <postern/io/store.hpp>

#include <memory>
#include <string>
#include <vector>

namespace postern::app {

// The configuration as each store sees it, [store] first: `store` is that one, `profiles` are its own, and there are no
// further `stores`.
std::vector<config> by_store(const config& c);

// "the store" or "the store archive", for people.
std::string shown_name(const config::store_section& s);

class stores {
public:
  // Connects to nothing. `c` must outlive this. Throws std::runtime_error that names the setting.
  stores(const config& c, const signer& own);

  struct one {
    one(config as_seen, const signer& own);
    const config settings; // see by_store
    storage backend;
    const form_store forms;
  };
  const std::vector<std::unique_ptr<one>>& all() const { return all_; }

  // All of them as one store. The file stores create their folders. Destroy the store before this object.
  std::unique_ptr<store> open();
  const form_store* find(const std::string& bucket) const;
  std::vector<std::string> buckets() const; // of all; "*" among them: any
  // The URLs to which browsers post. Empty with file stores alone.
  std::vector<std::string> direct_urls() const;

  // Fetches the first credentials of all, on an io_context of its own, and waits for them. Returns what went wrong,
  // with each store's shown name.
  std::vector<std::pair<std::string, failure>> first_credentials();
  // The store has credentials now; with several, at least one has.
  bool has_credentials() const;
  void join() const; // see storage::join

private:
  std::size_t index_of(const std::string& bucket) const; // all_.size(): none has it

  const config& config_;
  std::vector<std::unique_ptr<one>> all_;
};

} // namespace postern::app
