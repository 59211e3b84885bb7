// What is written in the journal of multipart uploads: an entry ends only when nothing can be left in the store.
#include "support/s3_world.hpp"
#include "support/store_contract.hpp"
#include <postern/io/multipart_journal.hpp>
#include <postern/io/s3/s3_abilities.hpp>
#include <postern/io/s3/s3_store.hpp>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

namespace {

struct written_journal final : multipart_journal {
  std::string calls;
  task<std::string> begin(object_name, std::uint64_t) override {
    calls += "begin ";
    co_return "entry";
  }
  task<> name(std::string id, std::string store_id) override {
    calls += id + "=" + store_id + " ";
    co_return;
  }
  void end(std::string) override { calls += "end"; }
  void abandon(std::string) override { calls += "abandon"; }
};

step created() {
  return xml(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>");
}
step lost() { return answers(200).cut(step::place::answer); }
step part() { return answers(200, "", {{"ETag", "\"a\""}}); }
step completed() {
  return xml(200, "<CompleteMultipartUploadResult><ETag>\"e-2\"</ETag></CompleteMultipartUploadResult>");
}

// Of an object of two parts, whose size is not known before.
std::string calls_of_upload(const std::vector<step>& script) {
  scripted_peer peer(script);
  s3_fixture f(by_path(peer));
  written_journal journal;
  auto objects = make_s3_store(f.s3, &journal);
  auto to = f.run(objects->open({"media", "k"}, some_meta(), std::nullopt, nullptr)).value();
  const auto bytes = some_bytes(9 << 20);
  if (f.run(to->write({bytes.data(), bytes.size()}))) (void)f.run(to->finish());
  f.run(to->abandon());
  return journal.calls;
}

std::string calls_of_abilities(const std::vector<step>& script) {
  scripted_peer peer(script);
  s3_fixture f(by_path(peer));
  written_journal journal;
  const auto by = std::chrono::steady_clock::now() + 2s;
  (void)f.run(ask_abilities(f.s3, f.http, "media", "uploads/", by, &journal));
  return journal.calls;
}

} // namespace

BOOST_AUTO_TEST_SUITE(s3_journal)

BOOST_AUTO_TEST_CASE(a_completed_upload_has_ended) {
  BOOST_TEST(calls_of_upload({created(), part(), part(), completed()}) == "begin entry=u end");
}

BOOST_AUTO_TEST_CASE(an_aborted_upload_has_ended_if_the_store_says_so) {
  const auto refused = error(403, "AccessDenied");
  BOOST_TEST(calls_of_upload({created(), refused, answers(204)}) == "begin entry=u end");
  BOOST_TEST(calls_of_upload({created(), refused, refused}) == "begin entry=u abandon");
}

BOOST_AUTO_TEST_CASE(a_beginning_that_is_refused_leaves_nothing) {
  BOOST_TEST(calls_of_upload({error(403, "AccessDenied")}) == "begin end");
}

BOOST_AUTO_TEST_CASE(a_beginning_whose_answer_was_lost_may_leave_one) {
  BOOST_TEST(calls_of_upload({lost(), created(), part(), part(), completed()}) == "begin entry=u abandon");
  BOOST_TEST(calls_of_upload({error(500, "InternalError"), created(), error(403, "AccessDenied"), answers(204)}) ==
             "begin entry=u abandon");
  // A store that asks for fewer requests has done nothing.
  BOOST_TEST(calls_of_upload({error(503, "SlowDown"), created(), part(), part(), completed()}) == "begin entry=u end");
}

BOOST_AUTO_TEST_CASE(the_question_for_abilities_is_written_too) {
  const auto last = error(401, "Unauthorized"), refused = error(501, "NotImplemented"); // `last` ends the questions
  BOOST_TEST(calls_of_abilities({created(), answers(204), last}) == "begin entry=u end");
  BOOST_TEST(calls_of_abilities({created(), error(403, "AccessDenied"), last}) == "begin entry=u abandon");
  BOOST_TEST(calls_of_abilities({lost(), created(), answers(204), last}) == "begin entry=u abandon");
  BOOST_TEST(calls_of_abilities({refused, refused, refused, last}) == "begin end");
}

BOOST_AUTO_TEST_SUITE_END()
