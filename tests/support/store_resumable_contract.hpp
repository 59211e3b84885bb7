// What every store must do with unfinished uploads. A store's test calls check_resumable_uploads as it calls
// check_store.
#pragma once

#include "store_contract.hpp"
#include "test_share.hpp"
#include <postern/io/multipart_store.hpp>

namespace postern::test {

inline resumable_upload begin(store& s, const object_name& name, bool has_checksums = false) {
  auto id = run_step(s.as_resumable_store()->begin_resumable(name, some_meta(), has_checksums)).value();
  return {name, std::move(id), some_meta(), has_checksums, false};
}

inline result<std::unique_ptr<resumable_sink>> resume(store& s, const resumable_upload& upload, kept_bytes kept,
                                                      allowance* from = nullptr) {
  return run_step(s.as_resumable_store()->resume(upload, kept, from));
}

inline kept_bytes write_and_pause(store& s, const resumable_upload& upload, kept_bytes kept, std::string_view bytes,
                                  std::size_t piece = 256 << 10) {
  auto to = resume(s, upload, kept).value();
  write_in_pieces(*to, bytes, piece);
  return run_step(to->pause()).value();
}

inline result<void> discard(store& s, const resumable_upload& upload) {
  return run_step(s.as_resumable_store()->discard(upload.name, upload.id));
}

// Nothing but the object, if there is one, has a key with the object's folder.
inline void check_nothing_is_left(store& s, const object_name& name, bool exists) {
  const auto folder = name.key.substr(0, name.key.rfind('/') + 1);
  const auto keys = run_step(s.list(name.bucket, folder, 100));
  BOOST_TEST_REQUIRE(keys.has_value());
  BOOST_TEST(keys->size() == (exists ? 1u : 0u));
  if (auto* parts = s.as_multipart_store()) BOOST_TEST(run_step(parts->list_multiparts(name)).value().empty());
}

inline void check_finished(store& s, const resumable_upload& upload, std::string_view bytes,
                           const stored_object& stored) {
  const auto& name = upload.name;
  BOOST_TEST(discard(s, upload).has_value()); // what is left beside the object
  BOOST_TEST(stored.size == bytes.size());
  BOOST_TEST((stored.crc32c == crc32c(0, bytes)));
  const auto found = run_step(s.head(name)).value();
  BOOST_TEST(found.etag == stored.etag);
  BOOST_TEST(found.size == bytes.size());
  BOOST_TEST((found.meta.user == some_meta().user));
  std::string read;
  while (read.size() < bytes.size())
    read += run_step(s.read_some(name, found.etag, read.size(), store::max_read)).value();
  BOOST_TEST((read == bytes));
  check_nothing_is_left(s, name, true);
  BOOST_TEST(run_step(s.remove(name)).has_value());
}

// In pieces that end before, at and behind the borders of S3's parts.
inline void check_an_upload_goes_on_in_another_store(const store_under_test& t) {
  const object_name name{t.bucket, "kept/in pieces"};
  const auto bytes = some_bytes((24 << 20) + 17);
  const std::string_view all(bytes);
  const auto upload = begin(*t.make(), name);
  kept_bytes kept;
  for (const std::size_t to : {1u, 1000u, 8u << 20, (8u << 20) + 1, 15u << 20, (24u << 20) + 16}) {
    const auto s = t.make();
    const auto now = write_and_pause(*s, upload, kept, all.substr(kept.size, to - kept.size), 999'983);
    BOOST_TEST((now == kept_bytes{to, crc32c(0, all.substr(0, to))}));
    kept = now;
    BOOST_TEST(is_absent(*s, name));
  }
  const auto s = t.make();
  auto to = resume(*s, upload, kept).value();
  write_in_pieces(*to, all.substr(kept.size), 1 << 20);
  check_finished(*s, upload, all, run_step(to->finish()).value());
  BOOST_TEST((resume(*s, upload, kept).error().code == errc::object_absent ||
              resume(*s, upload, kept).error().code == errc::store_failed)); // its rest, or its end, tells
}

inline void check_uploads_of_each_size(const store_under_test& t) {
  for (const std::size_t size : {0u, 1u, 8u << 20, (8u << 20) + 1}) {
    BOOST_TEST_CONTEXT("size " << size) {
      const auto s = t.make();
      const object_name name{t.bucket, "kept/sizes"};
      const auto bytes = some_bytes(size);
      const auto upload = begin(*s, name);
      auto to = resume(*s, upload, {}).value();
      write_in_pieces(*to, bytes, 3 << 20);
      check_finished(*s, upload, bytes, run_step(to->finish()).value());
    }
  }
}

inline void check_a_crash_loses_what_was_not_kept(const store_under_test& t) {
  const object_name name{t.bucket, "kept/crash"};
  const auto s = t.make();
  const auto bytes = some_bytes(20 << 20);
  const std::string_view all(bytes);
  const auto upload = begin(*s, name);
  const auto paused = write_and_pause(*s, upload, {}, all.substr(0, 1000));
  kept_bytes kept;
  {
    auto to = resume(*s, upload, paused).value();
    write_in_pieces(*to, all.substr(1000, 9 << 20), 1 << 20);
    kept = run_step(to->keep()).value();
    BOOST_TEST((kept.size >= paused.size && kept.size <= (9u << 20) + 1000));
    BOOST_TEST(kept.crc32c == crc32c(0, all.substr(0, kept.size)));
    write_in_pieces(*to, std::string(9 << 20, 'x'), 1 << 20); // of another file, and not kept
  }
  // What was returned before can be resumed, too: the ledger may not have recorded more.
  for (const auto from : {kept, paused}) {
    auto to = resume(*s, upload, from).value();
    BOOST_TEST((run_step(to->keep()).value() == from));
  }
  // A pause that was not recorded is forgotten.
  (void)write_and_pause(*s, upload, paused, std::string(500, 'x'));
  auto to = resume(*s, upload, paused).value();
  write_in_pieces(*to, all.substr(paused.size), 1 << 20);
  check_finished(*s, upload, all, run_step(to->finish()).value());
}

inline void check_uploads_that_are_given_up(const store_under_test& t) {
  const auto s = t.make();
  const object_name name{t.bucket, "kept/given up"};
  for (const bool by_sink : {true, false}) {
    const auto upload = begin(*s, name);
    const auto kept = write_and_pause(*s, upload, {}, some_bytes(9 << 20));
    if (by_sink) {
      auto to = resume(*s, upload, kept).value();
      write_in_pieces(*to, "more", 4);
      run_step(to->abandon());
    }
    BOOST_TEST(discard(*s, upload).has_value());
    BOOST_TEST(discard(*s, upload).has_value());
    BOOST_TEST(!resume(*s, upload, kept).has_value());
    check_nothing_is_left(*s, name, false);
  }
}

inline void check_the_memory_of_an_upload(const store_under_test& t) {
  const auto s = t.make();
  const object_name name{t.bucket, "kept/memory"};
  test_share memory;
  const auto upload = begin(*s, name);
  auto to = resume(*s, upload, {}, &memory.own).value();
  write_in_pieces(*to, some_bytes(9 << 20), 100'000);
  BOOST_TEST(memory.shared.memory_taken() <= s->as_resumable_store()->max_resumable_memory() + 4096);
  const auto kept = run_step(to->pause()).value();
  BOOST_TEST(memory.shared.memory_taken() == 0u);
  to = resume(*s, upload, kept, &memory.own).value();
  BOOST_TEST(run_step(to->finish()).has_value());
  BOOST_TEST(memory.shared.memory_taken() == 0u);
  BOOST_TEST(run_step(s->remove(name)).has_value());
}

inline void check_resumable_uploads(const store_under_test& t) {
  check_an_upload_goes_on_in_another_store(t);
  check_uploads_of_each_size(t);
  check_a_crash_loses_what_was_not_kept(t);
  check_uploads_that_are_given_up(t);
  check_the_memory_of_an_upload(t);
}

} // namespace postern::test
