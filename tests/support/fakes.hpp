// A store and a ledger in memory, for tests of flows: what they are told they say again, and nothing else.
#pragma once

#include <postern/io/ledger.hpp>
#include <postern/io/store.hpp>

#include <map>

namespace postern::test {

struct fake_store final : store {
  std::map<std::string, stored_object> objects; // by bucket/key
  std::optional<failure> broken;
  int heads = 0, opened = 0, abandoned = 0;

  struct fake_sink final : sink {
    fake_sink(fake_store& s, std::string at, object_meta m) : in(s), where(std::move(at)), meta(std::move(m)) {}
    fake_store& in;
    std::string where, bytes;
    object_meta meta;
    task<result<void>> write(std::span<const char> b) override {
      bytes.append(b.data(), b.size());
      co_return result<void>{};
    }
    task<result<stored_object>> finish() override {
      stored_object o;
      o.size = bytes.size();
      o.etag = "etag";
      o.meta = meta;
      in.objects[where] = o;
      co_return o;
    }
    task<result<std::string>> pause() override { co_return std::string("bookmark"); }
    task<> abandon() override {
      ++in.abandoned;
      co_return;
    }
  };

  task<result<std::unique_ptr<sink>>> open(object_name n, object_meta m, std::optional<std::uint64_t>) override {
    ++opened;
    if (broken) co_return *broken;
    co_return std::make_unique<fake_sink>(*this, n.bucket + "/" + n.key, std::move(m));
  }
  std::uint64_t memory_for(std::optional<std::uint64_t>) const override { return 0; }
  task<result<std::unique_ptr<sink>>> reopen(std::string) override { co_return failure(errc::object_absent, ""); }
  task<result<stored_object>> head(object_name n) override {
    ++heads;
    if (broken) co_return *broken;
    const auto found = objects.find(n.bucket + "/" + n.key);
    if (found == objects.end()) co_return failure(errc::object_absent, n.key);
    co_return found->second;
  }
  task<result<void>> remove(object_name n) override {
    objects.erase(n.bucket + "/" + n.key);
    co_return result<void>{};
  }
};

struct fake_ledger final : ledger {
  mutable std::map<std::string, upload> rows;
  std::optional<failure> broken;
  int confirmed = 0;

  void issue(upload u) override { rows.emplace(u.id, u); }
  void receiving(upload u) override { rows.emplace(u.id, u).first->second.state = upload_state::receiving; }
  task<result<upload>> confirm(completion c) override {
    if (broken) co_return *broken;
    ++confirmed;
    auto& row = rows.emplace(c.of.id, c.of).first->second;
    row.state = upload_state::completed;
    row.key = c.of.key;
    row.size = c.size;
    row.etag = c.etag;
    row.completed_by = c.by;
    co_return row;
  }
  task<result<upload>> fail(upload u, std::string code) override {
    auto& row = rows.emplace(u.id, u).first->second;
    row.state = upload_state::failed;
    row.failed_because = code;
    co_return row;
  }
  task<result<upload>> find(std::string id) override {
    if (broken) co_return *broken;
    const auto found = rows.find(id);
    if (found == rows.end()) co_return failure(errc::not_found, id);
    co_return found->second;
  }
  task<result<std::vector<upload>>> list(upload_filter) override { co_return std::vector<upload>{}; }
  task<result<void>> probe() override { co_return result<void>{}; }
};

} // namespace postern::test
