// Several stores as one: the bucket of an object says which of them has it. Callers need not know how many there are.
#pragma once

#include <postern/io/store.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace postern {

class stores_by_bucket final : public store {
public:
  // `index_of`: which of `all` has the bucket; all.size(): none has it.
  using find_index = std::function<std::size_t(const std::string& bucket)>;
  stores_by_bucket(std::vector<std::unique_ptr<store>> all, find_index index_of);

  // The operations of store. errc::no_such_bucket: no store has the bucket. copy: errc::invalid_argument, unless one
  // store has both buckets.
  task<result<std::unique_ptr<sink>>> open(object_name name, object_meta meta, std::optional<expected_size> size,
                                           allowance* from) override;
  std::uint64_t max_memory() const override;
  task<result<stored_object>> head(object_name name) override;
  task<result<std::vector<std::string>>> list(std::string bucket, std::string prefix, std::size_t max) override;
  task<result<std::string>> read_some(object_name name, std::string etag, std::uint64_t offset,
                                      std::size_t max) override;
  task<result<stored_object>> copy(object_name from, std::string etag, object_name to) override;
  task<result<void>> remove(object_name name) override;
  task<result<void>> remove_if_match(object_name name, std::string etag) override;
  // Fails only when all fail: uploads to the others can go on.
  task<result<void>> check() override;
  store& for_bucket(const std::string& bucket) override;
  std::size_t count() const override { return all_.size(); }

private:
  // Stands for the store of a bucket that none of them has.
  class no_store;

  const std::vector<std::unique_ptr<store>> all_;
  const find_index index_of_;
  const std::unique_ptr<store> none_;
};

} // namespace postern
