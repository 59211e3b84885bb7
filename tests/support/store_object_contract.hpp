// The tests that every store must pass for what depends on an object's ETag: reading, copying and removing it.
#pragma once

#include "store_contract.hpp"

namespace postern::test {

// Is it this failure? Otherwise the code that it has instead, for the test's output.
template <class T> bool fails_with(const result<T>& r, errc code) {
  if (!r && r.error().code == code) return true;
  BOOST_TEST_MESSAGE((r ? "succeeded" : std::string(text_of(r.error().code).name) + ": " + r.error().on));
  return false;
}

inline std::string read_all(store& s, const object_name& name, const std::string& etag, std::size_t piece = 1 << 20) {
  std::string bytes;
  for (;;) {
    auto more = run_step(s.read_some(name, etag, bytes.size(), piece));
    BOOST_TEST_REQUIRE(more.has_value(), (more ? "" : describe(more.error())));
    BOOST_TEST_REQUIRE(more->size() <= piece);
    if (more->empty()) return bytes;
    bytes += *more;
  }
}

inline void check_reading(const store_under_test& t) {
  const auto s = t.make();
  const object_name name{t.bucket, "read/a b+Ü%.bin"};
  const auto bytes = some_bytes((2 << 20) + 3);
  const auto etag = put(*s, name, bytes).etag;
  for (const std::size_t piece : {store::max_read, std::size_t{300'001}})
    BOOST_TEST((read_all(*s, name, etag, piece) == bytes), piece);
  struct row {
    std::uint64_t offset;
    std::size_t max;
  };
  for (const auto& [offset, max] : std::vector<row>{{0, 1},
                                                    {0, 10},
                                                    {1 << 20, 1},
                                                    {bytes.size() - 1, 1},
                                                    {bytes.size() - 1, 100},
                                                    {bytes.size(), 100},
                                                    {bytes.size() + 1, 1},
                                                    {std::uint64_t{1} << 40, 1 << 20}}) {
    const auto piece = run_step(s->read_some(name, etag, offset, max));
    BOOST_TEST_REQUIRE(piece.has_value());
    BOOST_TEST((*piece == (offset < bytes.size() ? bytes.substr(offset, max) : "")), offset << " " << max);
  }
  const auto second = put(*s, name, "the second").etag;
  BOOST_TEST(fails_with(run_step(s->read_some(name, etag, 0, 100)), errc::conflict));
  BOOST_TEST(fails_with(run_step(s->read_some(name, etag, 1 << 20, 100)), errc::conflict)); // behind its end, too
  BOOST_TEST(run_step(s->read_some(name, second, 4, 100)).value() == "second");
  BOOST_TEST(run_step(s->remove(name)).has_value());
  BOOST_TEST(fails_with(run_step(s->read_some(name, second, 0, 100)), errc::object_absent));
  const object_name empty{t.bucket, "read/empty"};
  const auto nothing = put(*s, empty, "").etag;
  BOOST_TEST(run_step(s->read_some(empty, nothing, 0, 100)).value().empty());
}

inline void check_copying(const store_under_test& t) {
  const auto s = t.make();
  const object_name from{t.bucket, "copy/a b+Ü%&=?.bin"}, to{t.bucket, "copied/to/Ü #.bin"};
  for (const std::size_t size : {0u, 5u, (2u << 20) + 3u}) {
    BOOST_TEST_CONTEXT("size " << size) {
      BOOST_TEST(run_step(s->remove(to)).has_value());
      const auto bytes = some_bytes(size);
      const auto etag = put(*s, from, bytes).etag;
      BOOST_TEST(fails_with(run_step(s->copy(from, "0123456789abcdef0123456789abcdef", to)), errc::conflict));
      BOOST_TEST(is_absent(*s, to));
      const auto copied = run_step(s->copy(from, etag, to));
      BOOST_TEST_REQUIRE(copied.has_value(), (copied ? "" : describe(copied.error())));
      BOOST_TEST(copied->size == size);
      const auto found = run_step(s->head(to)).value();
      BOOST_TEST(found.etag == copied->etag);
      BOOST_TEST(found.size == size);
      BOOST_TEST((found.meta.user == some_meta().user));
      for (const auto& h : some_meta().headers)
        BOOST_TEST((std::find(found.meta.headers.begin(), found.meta.headers.end(), h) != found.meta.headers.end()),
                   h.first);
      BOOST_TEST((read_all(*s, to, copied->etag) == bytes));
      BOOST_TEST(run_step(s->head(from)).value().etag == etag); // as it was
    }
  }
  const auto other = put(*s, from, "another").etag;
  const auto again = run_step(s->copy(from, other, to)); // in place of the last copy
  BOOST_TEST(read_all(*s, to, again.value().etag) == "another");
  BOOST_TEST(run_step(s->remove(from)).has_value());
  BOOST_TEST(fails_with(run_step(s->copy(from, other, to)), errc::object_absent));
  BOOST_TEST(read_all(*s, to, again.value().etag) == "another");
}

inline void check_removing_what_matches(const store_under_test& t) {
  const auto s = t.make();
  const object_name name{t.bucket, "remove/if match"};
  const auto first = put(*s, name, "first").etag;
  const auto second = put(*s, name, "second").etag;
  BOOST_TEST(fails_with(run_step(s->remove_if_match(name, first)), errc::conflict));
  BOOST_TEST(read_all(*s, name, second) == "second");
  BOOST_TEST(run_step(s->remove_if_match(name, second)).has_value());
  BOOST_TEST(is_absent(*s, name));
  BOOST_TEST(run_step(s->remove_if_match(name, second)).has_value()); // absent already
  BOOST_TEST(run_step(s->remove_if_match({t.bucket, "never/there"}, first)).has_value());
}

inline void check_what_depends_on_etags(const store_under_test& t) {
  check_reading(t);
  check_copying(t);
  check_removing_what_matches(t);
}

} // namespace postern::test
