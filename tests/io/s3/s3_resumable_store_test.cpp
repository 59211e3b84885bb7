// Unfinished uploads against a scripted S3: what is sent, and what is left when S3 fails. The contract's tests run
// against real ones.
#include "support/s3_world.hpp"
#include "support/store_resumable_contract.hpp"
#include <postern/core/upload.hpp>
#include <postern/io/s3/s3_resumable_store.hpp>
#include <postern/io/s3/s3_store.hpp>

using namespace postern;
using namespace postern::test;

namespace {

const object_name name{"media", "photos/k"};
const header_fields etag{{"ETag", "\"0123456789abcdef0123456789abcdef\""}};
constexpr std::size_t part_size = s3_resumable_store::part_size;
const std::string whole = some_bytes(part_size);
const std::string place_a = "/" + name.bucket + "/" + name_of_rest(name, "u", false).key;
const std::string place_b = "/" + name.bucket + "/" + name_of_rest(name, "u", true).key;

step parts(const std::vector<std::pair<int, std::size_t>>& all) {
  std::string text = "<ListPartsResult><IsTruncated>false</IsTruncated>";
  for (const auto& [number, size] : all)
    text += "<Part><PartNumber>" + std::to_string(number) + "</PartNumber><ETag>\"" + std::string(32, 'a') +
            "\"</ETag><Size>" + std::to_string(size) + "</Size></Part>";
  return xml(200, text + "</ListPartsResult>").wants("GET /media/photos/k?");
}
step no_upload() { return error(404, "NoSuchUpload"); }
step refused() { return error(403, "AccessDenied"); }
step part(int number) {
  return answers(200, "", etag).wants("PUT /media/photos/k?partNumber=" + std::to_string(number));
}
step completed() {
  return xml(200, "<CompleteMultipartUploadResult><ETag>\"e-1\"</ETag></CompleteMultipartUploadResult>")
      .wants("POST /media/photos/k?uploadId=u");
}
step rest_put(const std::string& place) { return answers(200, "", etag).wants("PUT " + place); }
step rest_got(const std::string& place, const std::string& bytes) { return answers(206, bytes).wants("GET " + place); }
step no_rest(const std::string& place) { return error(404, "NoSuchKey").wants("GET " + place); }
step deleted(const std::string& place) { return answers(204).wants("DELETE " + place); }

struct fixture : s3_fixture {
  explicit fixture(const scripted_peer& peer) : s3_fixture(by_path(peer)) {}
  std::unique_ptr<store> objects = make_s3_store(s3);
  resumable_store& resumables = *objects->as_resumable_store();

  result<std::unique_ptr<resumable_sink>> try_resume(kept_bytes kept) {
    resumable_upload u;
    u.name = name;
    u.id = "u";
    u.meta = some_meta();
    return run(resumables.resume(std::move(u), kept, nullptr));
  }
  std::unique_ptr<resumable_sink> resume(kept_bytes kept) { return try_resume(kept).value(); }
  result<void> write(sink& to, std::string_view bytes) { return run(to.write({bytes.data(), bytes.size()})); }
};

kept_bytes kept_of(std::string_view bytes) { return {bytes.size(), crc32c(0, bytes)}; }

} // namespace

BOOST_AUTO_TEST_SUITE(s3_resumable_store_)

BOOST_AUTO_TEST_CASE(a_part_that_fails_is_sent_again_by_the_pause) {
  scripted_peer peer({refused(), part(1)});
  fixture f(peer);
  auto to = f.resume({});
  BOOST_TEST((f.write(*to, whole).error().code == errc::store_failed));
  BOOST_TEST((f.run(to->keep()).value() == kept_bytes{}));
  BOOST_TEST((f.run(to->pause()).value() == kept_of(whole)));
  BOOST_TEST(peer.requests().back().body == whole);
}

BOOST_AUTO_TEST_CASE(what_was_kept_stays_when_a_part_fails_twice) {
  scripted_peer peer({part(1), refused(), refused()});
  fixture f(peer);
  auto to = f.resume({});
  BOOST_TEST(!f.write(*to, whole + whole).has_value());
  BOOST_TEST(!f.run(to->pause()).has_value());
  BOOST_TEST((f.run(to->keep()).value() == kept_of(whole)));
}

BOOST_AUTO_TEST_CASE(the_rest_goes_to_one_place_and_then_to_the_other) {
  scripted_peer peer({rest_put(place_a)});
  fixture f(peer);
  auto to = f.resume({});
  BOOST_TEST(f.write(*to, "one").has_value());
  const auto one = f.run(to->pause()).value();
  BOOST_TEST((one == kept_of("one")));
  const auto in_a = peer.requests().back().body;
  BOOST_TEST(in_a.starts_with("one"));

  scripted_peer second({rest_got(place_a, in_a), rest_put(place_b)});
  fixture g(second);
  to = g.resume(one);
  BOOST_TEST(g.write(*to, " two").has_value());
  const auto two = g.run(to->pause()).value();
  BOOST_TEST((two == kept_of("one two")));
  const auto in_b = second.requests().back().body;

  // The first place has another rest than the one that is meant, or none.
  for (const auto& a : {rest_got(place_a, in_a), no_rest(place_a)}) {
    scripted_peer third({a, rest_got(place_b, in_b), rest_put(place_a)});
    fixture h(third);
    to = h.resume(two);
    BOOST_TEST((h.run(to->keep()).value() == two));
    BOOST_TEST(h.write(*to, "!").has_value());
    BOOST_TEST((h.run(to->pause()).value() == kept_of("one two!")));
  }
  scripted_peer other({rest_got(place_a, in_a), no_rest(place_b)}); // of another file, and as long
  fixture j(other);
  BOOST_TEST((j.try_resume(kept_of("ONE")).error().code == errc::store_failed));
  scripted_peer neither({rest_got(place_a, in_a), no_rest(place_b)});
  fixture i(neither);
  BOOST_TEST((i.try_resume(two).error().code == errc::store_failed));
}

BOOST_AUTO_TEST_CASE(a_pause_without_new_bytes_sends_nothing) {
  scripted_peer peer(std::vector<step>{});
  fixture f(peer);
  BOOST_TEST((f.run(f.resume({})->pause()).value() == kept_bytes{}));
  BOOST_TEST((f.run(f.resume(kept_of(whole))->pause()).value() == kept_of(whole)));
}

BOOST_AUTO_TEST_CASE(a_completion_whose_answer_is_lost_is_an_absent_upload) {
  scripted_peer peer({part(1), completed().cut(step::place::answer), no_upload()});
  fixture f(peer);
  auto to = f.resume({});
  BOOST_TEST(f.write(*to, "x").has_value());
  BOOST_TEST((f.run(to->finish()).error().code == errc::object_absent));
}

BOOST_AUTO_TEST_CASE(a_failed_finish_leaves_the_upload) {
  const auto kept = kept_of(whole);
  scripted_peer peer({part(2), refused(), part(2), parts({{1, part_size}, {2, 5}}), refused(), part(2),
                      parts({{1, part_size}, {2, 5}, {3, 7}}), completed()});
  fixture f(peer);
  for (int n = 0; n < 3; ++n) {
    auto to = f.resume(kept);
    BOOST_TEST(f.write(*to, "12345").has_value());
    const auto stored = f.run(to->finish());
    BOOST_TEST(stored.has_value() == (n == 2), n);
    if (!stored) continue;
    BOOST_TEST(stored->size == part_size + 5);
    BOOST_TEST(stored->etag == "e-1");
    BOOST_TEST((stored->crc32c == crc32c(0, whole + "12345")));
  }
}

BOOST_AUTO_TEST_CASE(parts_that_are_not_as_they_were_sent_make_no_object) {
  for (const auto& listed : {parts({}), parts({{1, 7}}), parts({{2, part_size}})}) {
    scripted_peer peer({listed});
    fixture f(peer);
    BOOST_TEST((f.run(f.resume(kept_of(whole))->finish()).error().code == errc::store_failed));
  }
}

BOOST_AUTO_TEST_CASE(discarding_removes_the_parts_and_both_places) {
  scripted_peer peer({answers(204).wants("DELETE /media/photos/k?uploadId=u"), deleted(place_a), deleted(place_b),
                      no_upload(), deleted(place_a), refused()});
  fixture f(peer);
  BOOST_TEST(f.run(f.resumables.discard(name, "u")).has_value());
  BOOST_TEST((f.run(f.resumables.discard(name, "u")).error().code == errc::store_failed));
}

BOOST_AUTO_TEST_CASE(the_places_name_no_upload) {
  const object_name with_id{"media", "uploads/01a20a86-41d4-7ac8-8ecb-000000000010"};
  BOOST_TEST(name_of_rest(with_id, "u", false).key.starts_with("uploads/.postern-"));
  BOOST_TEST(ids_in_key(name_of_rest(with_id, "01a20a86-41d4-7ac8-8ecb-000000000010", true).key).empty());
  object_name deep{"media", std::string(1020, 'a') + "/k"};
  scripted_peer peer(std::vector<step>{});
  fixture f(peer);
  BOOST_TEST((f.run(f.resumables.begin_resumable(deep, {}, false)).error().code == errc::key_too_long));
}

BOOST_AUTO_TEST_SUITE_END()
