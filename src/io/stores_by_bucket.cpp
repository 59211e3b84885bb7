#include <postern/io/stores_by_bucket.hpp>

#include <algorithm>
#include <utility>

namespace postern {

class stores_by_bucket::no_store final : public store {
public:
  task<result<std::unique_ptr<sink>>> open(object_name name, object_meta, std::optional<expected_size>,
                                           allowance*) override {
    co_return none(name.bucket);
  }
  std::uint64_t max_memory() const override { return 0; }
  task<result<stored_object>> head(object_name name) override { co_return none(name.bucket); }
  task<result<std::vector<std::string>>> list(std::string bucket, std::string, std::size_t) override {
    co_return none(bucket);
  }
  task<result<std::string>> read_some(object_name name, std::string, std::uint64_t, std::size_t) override {
    co_return none(name.bucket);
  }
  task<result<stored_object>> copy(object_name from, std::string, object_name) override { co_return none(from.bucket); }
  task<result<void>> remove(object_name name) override { co_return none(name.bucket); }
  task<result<void>> remove_if_match(object_name name, std::string) override { co_return none(name.bucket); }

private:
  static failure none(const std::string& bucket) { return {errc::no_such_bucket, "no store has the bucket " + bucket}; }
};

stores_by_bucket::stores_by_bucket(std::vector<std::unique_ptr<store>> all, find_index index_of)
    : all_(std::move(all)), index_of_(std::move(index_of)), none_(std::make_unique<no_store>()) {}

store& stores_by_bucket::for_bucket(const std::string& bucket) {
  const auto index = index_of_(bucket);
  return index < all_.size() ? *all_[index] : *none_;
}

task<result<std::unique_ptr<sink>>> stores_by_bucket::open(object_name name, object_meta meta,
                                                           std::optional<expected_size> size, allowance* from) {
  auto& one = for_bucket(name.bucket);
  if (from && count() > 1) from->set_store(std::to_string(index_of_(name.bucket)));
  return one.open(std::move(name), std::move(meta), size, from);
}

std::uint64_t stores_by_bucket::max_memory() const {
  std::uint64_t most = 0;
  for (const auto& one : all_) most = std::max(most, one->max_memory());
  return most;
}

task<result<stored_object>> stores_by_bucket::head(object_name name) {
  auto& one = for_bucket(name.bucket);
  return one.head(std::move(name));
}

task<result<std::vector<std::string>>> stores_by_bucket::list(std::string bucket, std::string prefix, std::size_t max) {
  auto& one = for_bucket(bucket);
  return one.list(std::move(bucket), std::move(prefix), max);
}

task<result<std::string>> stores_by_bucket::read_some(object_name name, std::string etag, std::uint64_t offset,
                                                      std::size_t max) {
  auto& one = for_bucket(name.bucket);
  return one.read_some(std::move(name), std::move(etag), offset, max);
}

task<result<stored_object>> stores_by_bucket::copy(object_name from, std::string etag, object_name to) {
  auto& one = for_bucket(from.bucket);
  if (&one != &for_bucket(to.bucket))
    co_return failure{errc::invalid_argument, "the buckets " + from.bucket + " and " + to.bucket +
                                                  " are in different stores, between which nothing is copied"};
  co_return co_await one.copy(std::move(from), std::move(etag), std::move(to));
}

task<result<void>> stores_by_bucket::remove(object_name name) {
  auto& one = for_bucket(name.bucket);
  return one.remove(std::move(name));
}

task<result<void>> stores_by_bucket::remove_if_match(object_name name, std::string etag) {
  auto& one = for_bucket(name.bucket);
  return one.remove_if_match(std::move(name), std::move(etag));
}

task<result<void>> stores_by_bucket::check() {
  result<void> last;
  for (const auto& one : all_) {
    last = co_await one->check();
    if (last) break;
  }
  co_return last;
}

} // namespace postern
