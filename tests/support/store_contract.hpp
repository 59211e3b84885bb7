// The tests that every store must pass, and those of the powers that it offers. A store's test calls check_store with a
// function that makes the store, and a bucket that the tests may fill.
#pragma once

#include "run_task.hpp"
#include <postern/base/digest.hpp>
#include <postern/io/store.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace postern::test {

struct store_under_test {
  std::function<std::unique_ptr<store>()> make; // each call makes another store over the same objects
  std::string bucket;
  bool has_checksum_in_head = false; // head must return the CRC32C; otherwise it may
  // PUTs bytes to a URL without further authorisation and returns the status. Set: the store offers presigner, and no
  // other store does.
  std::function<int(const std::string& url, std::string_view bytes)> put_to_url = nullptr;
};

// Bytes that differ at every place, so that a test notices a piece in the wrong place.
inline std::string some_bytes(std::size_t n) {
  std::string s(n, '\0');
  std::uint32_t x = 12345;
  for (auto& c : s) {
    x = x * 1664525 + 1013904223;
    c = static_cast<char>(x >> 24);
  }
  return s;
}

inline object_meta some_meta() {
  object_meta m;
  m.headers = {{"content-type", "image/jpeg"}, {"cache-control", "max-age=60, \"quoted\""}};
  m.user = {{"postern-id", "0193a6b8-0000-7000-8000-000000000001"}, {"title", "a title"}};
  return m;
}

inline std::unique_ptr<sink> open_sink(store& s, const object_name& name, std::optional<expected_size> size = {}) {
  return run_step(s.open(name, some_meta(), size, nullptr)).value();
}

inline void write_in_pieces(sink& to, std::string_view bytes, std::size_t piece) {
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const auto part = bytes.substr(at, piece);
    BOOST_TEST_REQUIRE(run_step(to.write({part.data(), part.size()})).has_value());
  }
}

inline stored_object put(store& s, const object_name& name, std::string_view bytes, std::size_t piece = 256 << 10) {
  auto to = open_sink(s, name, bytes.size());
  write_in_pieces(*to, bytes, piece);
  return run_step(to->finish()).value();
}

inline bool is_absent(store& s, const object_name& name) {
  const auto found = run_step(s.head(name));
  return !found && found.error().code == errc::object_absent;
}

inline void check_sizes(const store_under_test& t) {
  const auto s = t.make();
  for (const std::size_t size : {0u, 1u, 65535u, 65536u, 5u << 20}) {
    BOOST_TEST_CONTEXT("size " << size) {
      const object_name name{t.bucket, "sizes/" + std::to_string(size)};
      const auto bytes = some_bytes(size);
      const auto stored = put(*s, name, bytes);
      BOOST_TEST(stored.size == size);
      BOOST_TEST(!stored.etag.empty());
      BOOST_TEST(stored.etag.find('"') == stored.etag.npos);
      BOOST_TEST((stored.crc32c == crc32c(0, bytes)));

      const auto again = t.make(); // as another process would make it
      const auto found = run_step(again->head(name));
      BOOST_TEST_REQUIRE(found.has_value());
      BOOST_TEST(found->size == size);
      BOOST_TEST(found->etag == stored.etag);
      if (t.has_checksum_in_head || found->crc32c) BOOST_TEST((found->crc32c == stored.crc32c));
    }
  }
}

inline void check_meta(const store_under_test& t) {
  const auto s = t.make();
  const object_name name{t.bucket, "meta"};
  put(*s, name, "x");
  const auto found = run_step(s->head(name)).value();
  BOOST_TEST((found.meta.user == some_meta().user));
  for (const auto& h : some_meta().headers)
    BOOST_TEST((std::find(found.meta.headers.begin(), found.meta.headers.end(), h) != found.meta.headers.end()),
               h.first);
}

inline void check_nothing_is_visible_before_finish(const store_under_test& t) {
  const auto s = t.make();
  const object_name name{t.bucket, "invisible"};
  BOOST_TEST(run_step(s->remove(name)).has_value()); // an earlier run may have left one
  auto to = open_sink(*s, name);
  BOOST_TEST(is_absent(*s, name));
  write_in_pieces(*to, some_bytes(1 << 20), 64 << 10);
  BOOST_TEST(is_absent(*s, name));
  BOOST_TEST(run_step(to->finish()).has_value());
  BOOST_TEST(!is_absent(*s, name));
}

inline void check_abandoned_objects_are_absent(const store_under_test& t) {
  const auto s = t.make();
  const object_name name{t.bucket, "abandoned"};
  auto to = open_sink(*s, name);
  write_in_pieces(*to, some_bytes(100'000), 50'000);
  run_step(to->abandon());
  run_step(to->abandon()); // idempotent
  BOOST_TEST(is_absent(*s, name));
  to = open_sink(*s, name);
  write_in_pieces(*to, some_bytes(100'000), 50'000);
  to.reset(); // destroyed without an end
  BOOST_TEST(is_absent(*s, name));
  BOOST_TEST(is_absent(*t.make(), name));
}

inline void check_the_last_finish_wins(const store_under_test& t) {
  const auto s = t.make();
  const object_name name{t.bucket, "twice"};
  const auto first = put(*s, name, "first");
  const auto second = put(*s, name, "the second");
  BOOST_TEST(first.etag != second.etag);
  const auto found = run_step(s->head(name)).value();
  BOOST_TEST(found.size == 10u);
  BOOST_TEST(found.etag == second.etag);

  // Abandoning a replacement leaves the object.
  auto third = open_sink(*s, name);
  write_in_pieces(*third, "gone", 4);
  run_step(third->abandon());
  BOOST_TEST(run_step(s->head(name)).value().etag == second.etag);
}

inline void check_remove(const store_under_test& t) {
  const auto s = t.make();
  const object_name name{t.bucket, "folder/removed"};
  put(*s, name, "x");
  BOOST_TEST(run_step(s->remove(name)).has_value());
  BOOST_TEST(is_absent(*s, name));
  BOOST_TEST(run_step(s->remove(name)).has_value()); // absent already
  const object_name never{t.bucket, "never/there"};
  BOOST_TEST(run_step(s->remove(never)).has_value());
  BOOST_TEST(is_absent(*s, never));
}

inline void check_list(const store_under_test& t) {
  const auto s = t.make();
  const std::vector<std::string> keys{"list/a b+c%20.txt",  "list/a/Ü🙂", "list/a/b/c/d",
                                      "list/tab\tand \x01", "list/<&>\"'",   "list/ab"};
  for (const auto& key : keys) put(*s, {t.bucket, key}, "x");
  put(*s, {t.bucket, "listing"}, "x");
  const auto listed = [&](const std::string& prefix, std::size_t max = 1000) {
    auto found = run_step(s->list(t.bucket, prefix, max)).value();
    std::sort(found.begin(), found.end());
    return found;
  };
  auto all = keys;
  std::sort(all.begin(), all.end());
  BOOST_TEST(listed("list/") == all);
  BOOST_TEST(listed("list/a/") == (std::vector<std::string>{"list/a/b/c/d", "list/a/Ü🙂"}));
  BOOST_TEST(listed("list/a").size() == 4u); // the prefix need not end at a slash
  BOOST_TEST(listed("list/a b+") == std::vector<std::string>{"list/a b+c%20.txt"});
  BOOST_TEST(listed("lis").size() == 7u);
  BOOST_TEST(listed("list/", 2).size() == 2u);
  for (const auto* none : {"list/x", "lists/", "list/ab/", "list/a b+c%20.txt/", "../", "list/../list/"})
    BOOST_TEST(listed(none).empty(), none);
  const auto begun = open_sink(*s, {t.bucket, "list/begun"});
  BOOST_TEST(listed("list/begun").empty());
  run_step(begun->abandon());
  BOOST_TEST(run_step(s->remove({t.bucket, "list/ab"})).has_value());
  BOOST_TEST(listed("list/ab").empty());
}

inline void check_names(const store_under_test& t) {
  const auto s = t.make();
  const std::vector<std::string> keys{"plain",
                                      "a b/c d",
                                      "Übung/日本語/🙂.txt",
                                      "100%/%41+&=?#.bin",
                                      "it's \"q\"",
                                      "back\\slash",
                                      "dots..in..it/...",
                                      ".hidden/.file",
                                      "-rf/--help",
                                      std::string(255, 'n')};
  for (const auto& key : keys) {
    BOOST_TEST_CONTEXT("key " << key) {
      const object_name name{t.bucket, key};
      const auto stored = put(*s, name, key);
      const auto found = run_step(s->head(name));
      BOOST_TEST_REQUIRE(found.has_value());
      BOOST_TEST(found->size == key.size());
      BOOST_TEST(found->etag == stored.etag);
      BOOST_TEST((found->meta.user == some_meta().user));
    }
  }
}

// --- what a store may offer ----------------------------------------------------------------------------

inline void check_offers(const store_under_test& t) {
  const auto s = t.make();
  BOOST_TEST((s->as_presigner() != nullptr) == (t.put_to_url != nullptr));
}

inline seconds_clock time_now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

inline void check_a_presigned_url_puts_one_object(const store_under_test& t) {
  using namespace std::chrono_literals;
  const auto s = t.make();
  auto& signs = *s->as_presigner();
  for (const auto* key : {"presigned", "presigned/a b/Ü+&=?#%41~'\"🙂"}) {
    BOOST_TEST_CONTEXT("key " << key) {
      const object_name name{t.bucket, key};
      BOOST_TEST(run_step(s->remove(name)).has_value());
      const auto signed_at = time_now();
      const auto made = run_step(signs.presign_put(name, {}, 60s)).value();
      BOOST_TEST((made.expires_at >= signed_at + 59s && made.expires_at <= time_now() + 61s));
      BOOST_TEST(t.put_to_url(made.url, "hello") == 200);
      BOOST_TEST(run_step(s->head(name)).value().size == 5u);
      BOOST_TEST(run_step(s->remove(name)).has_value());
      BOOST_TEST(t.put_to_url(made.url + "0", "hello") == 403); // another signature
      BOOST_TEST(is_absent(*s, name));
    }
  }
  for (const auto none : {0s, -5s}) {
    const auto refused = run_step(signs.presign_put({t.bucket, "presigned"}, {}, none));
    BOOST_TEST((!refused && refused.error().code == errc::unavailable), none.count() << " s");
  }
}

inline void check_store(const store_under_test& t) {
  check_sizes(t);
  check_meta(t);
  check_nothing_is_visible_before_finish(t);
  check_abandoned_objects_are_absent(t);
  check_the_last_finish_wins(t);
  check_remove(t);
  check_list(t);
  check_names(t);
  check_offers(t);
  if (t.put_to_url) check_a_presigned_url_puts_one_object(t);
}

} // namespace postern::test
