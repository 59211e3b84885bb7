// What every store must do, whatever it keeps objects in. A store's test calls check_store with a way to make one and a
// bucket that it may fill.
#pragma once

#include "run_task.hpp"
#include <postern/base/digest.hpp>
#include <postern/io/store.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace postern::test {

struct store_under_test {
  std::function<std::unique_ptr<store>()> make; // another one over the same objects at each call
  std::string bucket;
  bool pauses = true; // false: it says that it cannot, errc::unavailable
};

// Bytes that differ from place to place, so that a piece in the wrong place is noticed.
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

inline std::unique_ptr<sink> open_sink(store& s, const object_name& name, std::optional<std::uint64_t> size = {}) {
  return run_step(s.open(name, some_meta(), size)).value();
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
      if (stored.crc32c) BOOST_TEST(*stored.crc32c == crc32c(0, bytes));

      const auto again = t.make(); // what another process would see
      const auto found = run_step(again->head(name));
      BOOST_TEST_REQUIRE(found.has_value());
      BOOST_TEST(found->size == size);
      BOOST_TEST(found->etag == stored.etag);
      if (stored.crc32c && found->crc32c) BOOST_TEST(*found->crc32c == *stored.crc32c);
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
  BOOST_TEST(run_step(s->remove(name)).has_value()); // the suite may have run here before
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
  run_step(to->abandon()); // may be said twice
  BOOST_TEST(is_absent(*s, name));
  open_sink(*s, name).reset(); // destroyed without an end
  BOOST_TEST(is_absent(*s, name));
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

  // Abandoning a replacement leaves what was there.
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

inline void check_pause(const store_under_test& t) {
  const object_name name{t.bucket, "paused"};
  const auto bytes = some_bytes(13 << 20);
  const std::string_view all(bytes);
  std::string bookmark;
  {
    const auto s = t.make();
    auto to = open_sink(*s, name, bytes.size());
    write_in_pieces(*to, all.substr(0, 6 << 20), 256 << 10);
    bookmark = run_step(to->pause()).value();
    BOOST_TEST(bookmark.size() <= 1024u);
    BOOST_TEST(is_absent(*s, name));
  }
  {
    const auto s = t.make();
    auto to = run_step(s->reopen(bookmark)).value();
    write_in_pieces(*to, all.substr(6 << 20, 6 << 20), 256 << 10);
    bookmark = run_step(to->pause()).value(); // a second time
  }
  const auto s = t.make();
  auto to = run_step(s->reopen(bookmark)).value();
  write_in_pieces(*to, all.substr(12 << 20), 256 << 10);
  const auto stored = run_step(to->finish()).value();
  BOOST_TEST(stored.size == bytes.size());
  if (stored.crc32c) BOOST_TEST(*stored.crc32c == crc32c(0, bytes));
  const auto found = run_step(s->head(name)).value();
  BOOST_TEST(found.etag == stored.etag);
  BOOST_TEST((found.meta.user == some_meta().user));

  for (const auto& unknown : {bookmark, std::string(), std::string("../../etc/passwd"), std::string(32, '0')}) {
    const auto gone = run_step(s->reopen(unknown));
    BOOST_TEST_REQUIRE(!gone.has_value(), "bookmark " << unknown);
    BOOST_TEST((gone.error().code == errc::object_absent), "bookmark " << unknown);
  }
}

inline void check_a_reopened_upload_can_be_abandoned(const store_under_test& t) {
  const auto s = t.make();
  const object_name name{t.bucket, "paused-then-abandoned"};
  auto to = open_sink(*s, name);
  write_in_pieces(*to, some_bytes(1000), 1000);
  const auto bookmark = run_step(to->pause()).value();
  to.reset();
  to = run_step(s->reopen(bookmark)).value();
  run_step(to->abandon());
  BOOST_TEST(!run_step(s->reopen(bookmark)).has_value());
  BOOST_TEST(is_absent(*s, name));
}

// A store that cannot pause says so, and the upload goes on as if it had not been asked.
inline void check_that_it_cannot_pause(const store_under_test& t) {
  const auto s = t.make();
  const object_name name{t.bucket, "not-paused"};
  BOOST_TEST(run_step(s->remove(name)).has_value());
  auto to = open_sink(*s, name);
  write_in_pieces(*to, "hel", 3);
  const auto paused = run_step(to->pause());
  BOOST_TEST_REQUIRE(!paused.has_value());
  BOOST_TEST((paused.error().code == errc::unavailable));
  const auto reopened = run_step(s->reopen("bookmark"));
  BOOST_TEST_REQUIRE(!reopened.has_value());
  BOOST_TEST((reopened.error().code == errc::unavailable));
  BOOST_TEST(is_absent(*s, name));
  write_in_pieces(*to, "lo", 2);
  BOOST_TEST(run_step(to->finish()).value().size == 5u);
}

inline void check_store(const store_under_test& t) {
  check_sizes(t);
  check_meta(t);
  check_nothing_is_visible_before_finish(t);
  check_abandoned_objects_are_absent(t);
  check_the_last_finish_wins(t);
  check_remove(t);
  check_names(t);
  if (!t.pauses) return check_that_it_cannot_pause(t);
  check_pause(t);
  check_a_reopened_upload_can_be_abandoned(t);
}

} // namespace postern::test
