// Reading, copying and removing an object by its ETag, with an S3 that answers as the script says. s3_store_test does
// the same with a real S3.
#include "support/s3_world.hpp"
#include "support/store_object_contract.hpp"
#include <postern/io/s3/s3_store.hpp>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

namespace {

const object_name from{"media", "from"}, to{"media", "to"};

step object(std::uint64_t size, const std::string& etag, const std::string& fields = "") {
  return step("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\nETag: \"" + etag + "\"\r\n" + fields +
              "\r\n")
      .wants("HEAD ");
}
step no_object() { return step("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").wants("HEAD "); }
step copied(const std::string& etag = "e", const char* of = "Object") {
  return xml(200, std::string("<Copy") + of + "Result><ETag>&quot;" + etag + "&quot;</ETag></Copy" + of + "Result>")
      .wants("PUT ");
}
step begun() {
  return xml(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
      .wants("POST /media/to?uploads");
}

struct fixture {
  explicit fixture(const std::vector<step>& script, std::uint64_t max_whole = 5ull << 30) : peer(script) {
    auto o = by_path(peer);
    o.max_whole_copy = max_whole;
    o.copy_part_size = 10;
    world.emplace(o);
    objects = make_s3_store(world->s3);
  }
  scripted_peer peer;
  std::optional<s3_fixture> world;
  std::unique_ptr<store> objects;

  result<std::string> read(std::uint64_t offset = 3, std::size_t max = 4) {
    return world->run(objects->read_some(from, "e", offset, max));
  }
  result<stored_object> copy() { return world->run(objects->copy(from, "e", to)); }
  result<void> remove() { return world->run(objects->remove_if_match(from, "e")); }
  std::vector<std::string> lines() {
    std::vector<std::string> all;
    for (const auto& r : peer.requests()) all.push_back(r.line.substr(0, r.line.rfind(' ')));
    return all;
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(s3_copy)

BOOST_AUTO_TEST_CASE(only_the_piece_that_was_asked_for_is_taken) {
  const auto piece = [](const std::string& body, const std::string& range) {
    return answers(206, body, {{"Content-Range", range}});
  };
  BOOST_TEST(fixture({piece("3456", "bytes 3-6/9")}).read().value() == "3456");
  BOOST_TEST(fixture({piece("34", "bytes 3-4/5")}).read().value() == "34"); // the end
  BOOST_TEST(fixture({error(416, "InvalidRange")}).read().value().empty());
  BOOST_TEST(fixture({step("HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n"), piece("3456", "bytes 3-6/9")})
                 .read()
                 .value() == "3456"); // retried
  for (const auto& wrong : {answers(200, "0123"), answers(200, "012345678"), piece("3456", "bytes 2-5/9"),
                            piece("34567", "bytes 3-7/9"), answers(206, "3456")})
    BOOST_TEST(fails_with(fixture({wrong}).read(), errc::store_failed));
  BOOST_TEST(fails_with(fixture({answers(200, std::string(100'000, 'x'))}).read(), errc::store_failed)); // not read
  BOOST_TEST(fails_with(fixture({error(412, "PreconditionFailed")}).read(), errc::conflict));
  BOOST_TEST(fails_with(fixture({step("HTTP/1.1 412 No\r\nContent-Length: 0\r\n\r\n")}).read(), errc::conflict));
  BOOST_TEST(fails_with(fixture({error(404, "NoSuchKey")}).read(), errc::object_absent));
}

BOOST_AUTO_TEST_CASE(a_piece_breaks_off_with_its_connection) {
  scripted_peer peer({answers(206, "3456", {{"Content-Range", "bytes 3-6/9"}}).cut(step::place::middle)});
  auto o = by_path(peer);
  o.max_tries = 1;
  s3_fixture w(o);
  const auto s = make_s3_store(w.s3);
  BOOST_TEST(fails_with(w.run(s->read_some(from, "e", 3, 4)), errc::unavailable));
}

BOOST_AUTO_TEST_CASE(a_copy_that_fails_behind_its_status_has_failed) {
  fixture again({object(5, "e"), error(200, "InternalError"), copied()});
  const auto done = again.copy();
  BOOST_TEST(done.value().etag == "e");
  BOOST_TEST(done.value().size == 5u);
  const auto fails = [](const step& answer) { return fixture({object(5, "e"), answer}).copy(); };
  BOOST_TEST(fails_with(fails(error(200, "AccessDenied")), errc::store_failed));
  BOOST_TEST(fails_with(fails(error(200, "PreconditionFailed")), errc::conflict));
  BOOST_TEST(fails_with(fails(error(412, "PreconditionFailed")), errc::conflict));
  BOOST_TEST(fails_with(fails(error(404, "NoSuchKey")), errc::object_absent));
  BOOST_TEST(fails_with(fails(answers(200, "")), errc::store_failed));
  BOOST_TEST(fails_with(fixture({object(5, "other")}).copy(), errc::conflict));
  BOOST_TEST(fails_with(fixture({no_object()}).copy(), errc::object_absent));
}

BOOST_AUTO_TEST_CASE(the_etag_of_a_copy_is_asked_for_when_the_store_does_not_name_it) {
  fixture f({object(5, "e"), copied(""), object(5, "e"), object(5, "asked")});
  BOOST_TEST(f.copy().value().etag == "asked");
  BOOST_TEST(f.lines().back() == "HEAD /media/to");
}

BOOST_AUTO_TEST_CASE(a_large_object_is_copied_part_by_part) {
  const std::string meta = "Content-Type: text/plain\r\nx-amz-meta-postern-id: 1\r\n";
  fixture f({object(25, "e", meta), begun(), copied("1", "Part"), copied("2", "Part"), copied("3", "Part"),
             object(25, "e"),
             xml(200, "<CompleteMultipartUploadResult><ETag>\"c-3\"</ETag></CompleteMultipartUploadResult>")},
            24);
  const auto made = f.copy().value();
  BOOST_TEST((made.etag == "c-3" && made.size == 25u));
  const auto sent = f.peer.requests();
  BOOST_TEST(sent[1].field("content-type") == "text/plain");
  BOOST_TEST(sent[1].field("x-amz-meta-postern-id") == "1");
  const char* const ranges[] = {"bytes=0-9", "bytes=10-19", "bytes=20-24"};
  for (std::size_t n = 0; n < 3; ++n) {
    BOOST_TEST(sent[2 + n].field("x-amz-copy-source-range") == ranges[n]);
    BOOST_TEST(sent[2 + n].field("x-amz-copy-source-if-match") == "\"e\"");
    BOOST_TEST(sent[2 + n].line.starts_with("PUT /media/to?partNumber=" + std::to_string(n + 1)));
  }
  fixture whole({object(24, "e"), copied()}, 24);
  BOOST_TEST(whole.copy().has_value()); // at the limit
}

BOOST_AUTO_TEST_CASE(a_copy_in_parts_that_fails_is_aborted) {
  fixture f({object(25, "e"), begun(), copied("1", "Part"), error(412, "PreconditionFailed"),
             answers(204).wants("DELETE /media/to?uploadId=u")},
            24);
  BOOST_TEST(fails_with(f.copy(), errc::conflict));
  // Replaced meanwhile, in a store that ignores the condition.
  fixture late({object(15, "e"), begun(), copied("1", "Part"), copied("2", "Part"), object(15, "other"),
                answers(204).wants("DELETE /media/to?uploadId=u")},
               14);
  BOOST_TEST(fails_with(late.copy(), errc::conflict));
}

// Ceph RGW ignores the condition of a copy.
BOOST_AUTO_TEST_CASE(a_copy_of_another_object_is_removed) {
  const auto removed = answers(204).wants("DELETE /media/to ");
  fixture other({object(5, "e"), copied("f"), object(5, "f"), removed});
  BOOST_TEST(fails_with(other.copy(), errc::conflict));
  BOOST_TEST(other.peer.requests().at(3).field("if-match") == "\"f\"");
  fixture gone({object(5, "e"), copied("f"), no_object(), removed});
  BOOST_TEST(fails_with(gone.copy(), errc::object_absent));
  fixture same({object(5, "e-2"), copied("c"), object(5, "e-2")}); // Amazon S3 copies many parts into one
  BOOST_TEST(same.world->run(same.objects->copy(from, "e-2", to)).value().etag == "c");
}

BOOST_AUTO_TEST_CASE(an_object_is_removed_only_if_it_is_still_the_same) {
  const auto removes = [](const step& answer) { return step(answer).wants("DELETE "); };
  fixture plain({object(5, "e"), removes(answers(204))});
  BOOST_TEST(plain.remove().has_value());
  BOOST_TEST(plain.peer.requests().at(1).field("if-match") == "\"e\"");
  BOOST_TEST(fixture({no_object()}).remove().has_value());
  BOOST_TEST(fixture({object(5, "e"), removes(error(404, "NoSuchKey"))}).remove().has_value());
  BOOST_TEST(fails_with(fixture({object(5, "other")}).remove(), errc::conflict)); // no DELETE is sent
  // Replaced between the two requests, at a store with conditional deletes.
  const auto refuses = removes(error(412, "PreconditionFailed"));
  BOOST_TEST(fails_with(fixture({object(5, "e"), refuses, object(6, "other")}).remove(), errc::conflict));
  BOOST_TEST(fixture({object(5, "e"), refuses, no_object()}).remove().has_value()); // the first answer was lost
  BOOST_TEST(fails_with(fixture({object(5, "e"), removes(error(403, "AccessDenied"))}).remove(), errc::store_failed));
  // Another request is removing it.
  fixture busy({object(5, "e"), removes(error(409, "ConditionalRequestConflict")), removes(answers(204))});
  BOOST_TEST(busy.remove().has_value());
  // A bucket without conditional deletes, on Amazon S3.
  fixture old({object(5, "e"), removes(error(501, "NotImplemented")), removes(answers(204))});
  BOOST_TEST(old.remove().has_value());
  BOOST_TEST(!old.peer.requests().at(2).has("if-match"));
}

BOOST_AUTO_TEST_SUITE_END()
