// A store whose Nth call fails, sinks included; all other calls go to the real store, and those
// of resumable uploads in any case.
#pragma once

#include "faults.hpp"
#include <postern/io/store.hpp>

namespace postern::test {

class faulty_store final : public store {
public:
  // The references must outlive this.
  faulty_store(store& real, faults& when) : real_(real), faults_(when) {}

  task<result<std::unique_ptr<sink>>> open(object_name name, object_meta meta, std::optional<expected_size> size,
                                           allowance* from) override {
    auto opening = real_.open(std::move(name), std::move(meta), size, from);
    auto opened = co_await faults_.around("open", errc::store_failed, std::move(opening));
    if (!opened) co_return opened.error();
    co_return std::make_unique<faulty_sink>(std::move(*opened), faults_);
  }
  std::uint64_t max_memory() const override { return real_.max_memory(); }
  task<result<stored_object>> head(object_name name) override {
    return faults_.around("head", errc::store_failed, real_.head(std::move(name)));
  }
  task<result<std::vector<std::string>>> list(std::string bucket, std::string prefix, std::size_t max) override {
    // errc::store_failed would be a lasting refusal.
    return faults_.around("list", errc::unavailable, real_.list(std::move(bucket), std::move(prefix), max));
  }
  task<result<void>> remove(object_name name) override {
    return faults_.around("remove", errc::store_failed, real_.remove(std::move(name)));
  }
  task<result<void>> remove_if_match(object_name name, std::string etag) override {
    return faults_.around("remove_if_match", errc::store_failed,
                          real_.remove_if_match(std::move(name), std::move(etag)));
  }
  task<result<std::string>> read_some(object_name name, std::string etag, std::uint64_t offset,
                                      std::size_t max) override {
    return faults_.around("read_some", errc::store_failed,
                          real_.read_some(std::move(name), std::move(etag), offset, max));
  }
  task<result<stored_object>> copy(object_name from, std::string etag, object_name to) override {
    return faults_.around("copy", errc::store_failed, real_.copy(std::move(from), std::move(etag), std::move(to)));
  }
  resumable_store* as_resumable_store() override { return real_.as_resumable_store(); }
  task<result<void>> check() override { return faults_.around("check", errc::unavailable, real_.check()); }

private:
  class faulty_sink final : public sink {
  public:
    faulty_sink(std::unique_ptr<sink> real, faults& when) : real_(std::move(real)), faults_(when) {}
    task<result<void>> write(std::span<const char> bytes) override {
      return faults_.around("write", errc::store_failed, real_->write(bytes));
    }
    task<result<stored_object>> finish() override {
      return faults_.around("finish", errc::store_failed, real_->finish());
    }
    task<> abandon() override {
      const auto now = faults_.next("abandon");
      faults::throw_if(now);
      if (now) co_await faults::wait(); // it never fails
      co_await real_->abandon();
    }

  private:
    const std::unique_ptr<sink> real_;
    faults& faults_;
  };

  store& real_;
  faults& faults_;
};

} // namespace postern::test
