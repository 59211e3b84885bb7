#include "support/fake_body.hpp"
#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include "support/test_share.hpp"
#include <postern/base/encoding.hpp>
#include <postern/flow/transfer.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

const millis_clock now{std::chrono::milliseconds(1'795'457'700'123)};

// The body is the file.
class whole_body final : public file_decoder {
public:
  result<void> decode(std::span<const char> piece, runs& out) override {
    if (fails_at_call && --*fails_at_call < 0) return failure(errc::malformed_form, "the test's decoder");
    if (!piece.empty()) out.push_back(piece);
    return {};
  }
  result<void> finish() override {
    return is_whole ? result<void>{} : failure(errc::incomplete_body, "the test's decoder");
  }
  std::optional<int> fails_at_call;
  bool is_whole = true;
};

std::string some_bytes(std::size_t n) {
  std::string out(n, '\0');
  std::uint32_t x = 1;
  for (auto& c : out) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return out;
}

struct fixture {
  test::fake_store store;
  test::fake_ledger ledger;
  test::test_share share;
  const std::map<std::string, profile> profiles;
  const recorder completions{ledger, store, profiles};
  transfers carriers{store, ledger, completions, [] { return now; }};
  test::fake_body body{some_bytes(1'000'000)};
  whole_body decoder;
  upload_plan plan;

  fixture() {
    plan.row.id = "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4";
    plan.row.bucket = "media";
    plan.row.key = "uploads/a b";
    plan.row.max_size = 2'000'000;
    plan.meta.user.emplace_back("postern-id", plan.row.id);
  }
  result<stored_object> carry(std::string_view rest = {}) {
    BOOST_TEST(test::run_task(share.own.take_memory(transfers::first_buffer)).has_value());
    body.is_interrupted = false;
    read_buffer buffer(transfers::first_buffer);
    std::copy(rest.begin(), rest.end(), buffer.all().begin());
    const auto begin = std::span<const char>(buffer.all()).first(rest.size());
    incoming_file file{body, share.own, decoder, body.announced_size(), std::move(buffer), begin};
    return test::run_task(carriers.carry(plan, std::move(file)));
  }
  // Nothing is left: no object, no open sink, no memory, no running transfer.
  void check_nothing_left(const std::string& what) {
    BOOST_TEST(!store.objects.contains("media/uploads/a b"), what);
    BOOST_TEST(store.abandoned == store.opened, what);
    BOOST_TEST(share.shared.memory_taken() == 0u, what);
    BOOST_TEST(!carriers.received(plan.row.id).has_value(), what);
    BOOST_TEST(ledger.confirmed == 0, what);
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(the_file_is_stored_and_its_completion_recorded, fixture) {
  for (const std::size_t piece : {std::size_t{1} << 20, std::size_t{70'001}, std::size_t{4096}}) {
    body.taken = 0;
    body.piece = piece;
    const auto object = carry().value();
    BOOST_TEST(object.size == body.bytes.size());
    BOOST_TEST((store.contents.at("media/uploads/a b") == body.bytes));
  }
  BOOST_TEST(ledger.confirmed == 3);
  BOOST_TEST((ledger.last.by == completion_source::fallback));
  BOOST_TEST((ledger.last.at == now));
  BOOST_TEST(ledger.last.size == body.bytes.size());
  BOOST_TEST((ledger.rows.at(plan.row.id).state == upload_state::completed));
  BOOST_TEST(store.objects.at("media/uploads/a b").meta.user.front().second == plan.row.id);
  BOOST_TEST(share.shared.memory_taken() == 0u);
}

BOOST_FIXTURE_TEST_CASE(the_ledger_knows_the_user_of_a_form_without_a_claim, fixture) {
  auto signed_for = plan.row;
  signed_for.profile = "default", signed_for.user = "42";
  ledger.rows[plan.row.id] = signed_for;
  BOOST_TEST(carry().has_value());
  BOOST_TEST(plan.who.user == "42"); // in whose share it counts
  BOOST_TEST(plan.row.user == "42");
  plan.row.user = plan.who.user = "43"; // a claim names the user
  BOOST_TEST(carry().has_value());
  BOOST_TEST(plan.who.user == "43");
}

BOOST_FIXTURE_TEST_CASE(bytes_that_were_read_before_come_first, fixture) {
  BOOST_TEST(carry("ahead of it").has_value());
  BOOST_TEST((store.contents.at("media/uploads/a b") == "ahead of it" + body.bytes));
}

BOOST_FIXTURE_TEST_CASE(an_empty_file_is_an_object, fixture) {
  body = test::fake_body("");
  BOOST_TEST(carry().value().size == 0u);
}

BOOST_FIXTURE_TEST_CASE(reading_goes_on_while_a_write_waits, fixture) {
  // Each write waits until the next read has begun. If reads waited for writes, no write would ever end.
  std::size_t reads_at_write = 0;
  bool overlapped = true;
  store.before_write = [&]() -> task<> {
    const auto before = std::max(reads_at_write, body.reads);
    timer poll(co_await asio::this_coro::executor);
    for (int i = 0; i < 1000 && body.reads == before && body.taken < body.bytes.size(); ++i) {
      poll.expires_after(std::chrono::milliseconds(1));
      boost::system::error_code ec;
      co_await poll.async_wait(asio::redirect_error(use_task, ec));
    }
    overlapped = overlapped && (body.reads > before || body.taken == body.bytes.size());
    reads_at_write = body.reads;
  };
  BOOST_TEST(carry().has_value());
  BOOST_TEST(overlapped);
  BOOST_TEST(store.writes >= 4);
}

BOOST_FIXTURE_TEST_CASE(reading_is_one_buffer_ahead_of_writing_at_most, fixture) {
  std::size_t furthest = 0, written = 0;
  store.before_write = [&]() -> task<> {
    ++written;
    co_return;
  };
  body.on_read = [&] { furthest = std::max(furthest, body.reads - written); };
  BOOST_TEST(carry().has_value());
  BOOST_TEST(furthest <= 2u);
}

BOOST_FIXTURE_TEST_CASE(progress_counts_while_it_runs, fixture) {
  std::uint64_t last = 0;
  std::size_t seen = 0;
  body.on_read = [&] {
    const auto here = carriers.received(plan.row.id);
    BOOST_TEST(here.has_value());
    BOOST_TEST(here.value_or(0) >= last);
    BOOST_TEST(carriers.list_received().size() == 1u);
    BOOST_TEST((ledger.rows.at(plan.row.id).state == upload_state::receiving));
    last = here.value_or(0);
    ++seen;
  };
  BOOST_TEST(carry().has_value());
  BOOST_TEST(last == body.bytes.size()); // counted at the read that finds the end
  BOOST_TEST(seen > 3u);
  BOOST_TEST(carriers.list_received().empty());
}

BOOST_FIXTURE_TEST_CASE(a_truncated_body_leaves_nothing, fixture) {
  for (const auto code : {errc::incomplete_body, errc::timed_out, errc::bad_request}) // the form has expired meanwhile
    for (const std::size_t at : {0u, 1u, 16'384u, 500'000u, 999'999u, 1'000'000u}) {
      body.taken = 0;
      body.breaks_at = at;
      body.breaks_with = code;
      const auto before = ledger.failed;
      BOOST_TEST((carry().error().code == code));
      check_nothing_left("at " + std::to_string(at));
      BOOST_TEST(ledger.failed == before + 1);
      BOOST_TEST(ledger.rows.at(plan.row.id).failed_because == text_of(code).name);
    }
}

BOOST_FIXTURE_TEST_CASE(a_form_that_can_be_sent_again_has_not_failed, fixture) {
  plan.row.expires_at = now + std::chrono::seconds(1);
  body.breaks_at = 500'000;
  int broken_off = 0;
  for (const auto code : {errc::incomplete_body, errc::timed_out, errc::disconnected, errc::cancelled}) {
    body.taken = 0;
    body.breaks_with = code;
    BOOST_TEST((carry().error().code == code));
    check_nothing_left(std::string(text_of(code).name));
    BOOST_TEST(ledger.broken_off == ++broken_off);
    BOOST_TEST((ledger.rows.at(plan.row.id).state == upload_state::issued));
  }
  BOOST_TEST(ledger.failed == 0);
  body.taken = 0;
  body.breaks_with = errc::bad_digest; // the same file would be refused again
  BOOST_TEST((carry().error().code == errc::bad_digest));
  BOOST_TEST(ledger.failed == 1);
}

BOOST_FIXTURE_TEST_CASE(an_old_connection_that_breaks_leaves_the_new_one_alone, fixture) {
  plan.row.expires_at = now + std::chrono::seconds(1);
  body.breaks_at = 500'000;
  for (const auto code : {errc::timed_out, errc::bad_request}) {
    body.taken = 0;
    body.breaks_with = code;
    body.on_read = [&] { ledger.start_receiving(plan.row, "the attempt on another connection"); };
    BOOST_TEST((carry().error().code == code));
    BOOST_TEST((ledger.rows.at(plan.row.id).state == upload_state::receiving));
  }
}

BOOST_FIXTURE_TEST_CASE(a_form_without_a_file_name_reserves_its_key_before_a_byte_is_stored, fixture) {
  plan.row.expires_at = now + std::chrono::seconds(1);
  plan.signed_key = "uploads/${filename}";
  body.breaks_at = 500'000;
  BOOST_TEST((carry().error().code == errc::incomplete_body));
  check_nothing_left("broken off");
  BOOST_TEST(ledger.rows.at(plan.row.id).key == "uploads/a b");

  plan.row.key = "uploads/another";
  const auto opened = store.opened;
  body.taken = 0;
  body.breaks_at = std::string::npos;
  BOOST_TEST((carry().error().code == errc::conflict));
  BOOST_TEST(store.opened == opened);
  BOOST_TEST(body.taken == 0u);
  BOOST_TEST((ledger.rows.at(plan.row.id).state == upload_state::issued));

  plan.row.key = "uploads/a b";
  store.broken = failure(errc::unavailable, "open");
  BOOST_TEST((carry().error().code == errc::unavailable));
  BOOST_TEST((ledger.rows.at(plan.row.id).state == upload_state::issued)); // not left as receiving
  store.broken.reset();
  BOOST_TEST(carry().has_value());
  BOOST_TEST(store.objects.size() == 1u);
}

// While the fallback stored the file, the same form was completed by a direct upload of another file.
BOOST_FIXTURE_TEST_CASE(an_object_that_lost_its_form_is_removed, fixture) {
  plan.signed_key = "uploads/${filename}";
  plan.is_confirmed_later = true;
  ledger.confirmed_key = "uploads/another";
  BOOST_TEST((carry().error().code == errc::conflict));
  BOOST_TEST(store.objects.empty());
}

BOOST_FIXTURE_TEST_CASE(a_store_that_fails_at_any_write_leaves_nothing, fixture) {
  int n = 0;
  for (;; ++n) {
    body.taken = 0;
    store.writes = 0;
    store.fails_at_write = n;
    const auto done = carry();
    if (done) break;
    BOOST_TEST((done.error().code == errc::store_failed));
    check_nothing_left("write " + std::to_string(n));
  }
  BOOST_TEST(n >= 4);
}

BOOST_FIXTURE_TEST_CASE(a_store_that_cannot_begin_or_finish_leaves_nothing, fixture) {
  store.broken = failure(errc::unavailable, "open");
  BOOST_TEST((carry().error().code == errc::unavailable));
  BOOST_TEST(ledger.failed == 0); // the upload never began
  store.opened = 0;
  store.broken.reset();
  store.fails_at_finish = true;
  BOOST_TEST((carry().error().code == errc::store_failed));
  check_nothing_left("finish");
  BOOST_TEST(ledger.failed == 1);
}

BOOST_FIXTURE_TEST_CASE(a_decoder_that_refuses_leaves_nothing, fixture) {
  for (const int call : {0, 1, 3}) {
    body.taken = 0;
    decoder.fails_at_call = call;
    BOOST_TEST((carry().error().code == errc::malformed_form));
    check_nothing_left("call " + std::to_string(call));
  }
  decoder.fails_at_call.reset();
  decoder.is_whole = false;
  body.taken = 0;
  BOOST_TEST((carry().error().code == errc::incomplete_body));
  check_nothing_left("the end");
}

BOOST_FIXTURE_TEST_CASE(the_plans_size_limits_are_enforced_on_the_bytes_that_arrive, fixture) {
  plan.row.max_size = body.bytes.size();
  plan.row.min_size = body.bytes.size();
  BOOST_TEST(carry().has_value());
  store.objects.clear();
  ledger.confirmed = 0;
  store.opened = store.abandoned;

  body.taken = 0;
  plan.row.max_size = body.bytes.size() - 1;
  body.announces.reset();
  BOOST_TEST((carry().error().code == errc::entity_too_large));
  check_nothing_left("too large");

  body.taken = 0;
  plan.row.max_size = plan.row.min_size = body.bytes.size() + 1;
  BOOST_TEST((carry().error().code == errc::entity_too_small));
  check_nothing_left("too small");
}

BOOST_FIXTURE_TEST_CASE(a_checksum_that_does_not_match_leaves_nothing, fixture) {
  body = test::fake_body("123456789");
  plan.expected = checksums::read({{"x-amz-checksum-crc32c", "4waSgw=="}}).value();
  BOOST_TEST(carry().has_value());
  store.objects.clear();
  ledger.confirmed = 0;
  store.opened = store.abandoned;
  body.taken = 0;
  plan.expected = checksums::read({{"x-amz-checksum-crc32c", "4waSgg=="}}).value();
  BOOST_TEST((carry().error().code == errc::bad_digest));
  check_nothing_left("checksum");
}

BOOST_FIXTURE_TEST_CASE(the_row_is_durable_before_the_object, fixture) {
  BOOST_TEST(carry().has_value());
  BOOST_TEST(ledger.flushes == 1);
  store.objects.clear();
  body.taken = 0;
  ledger.broken = failure(errc::unavailable, "probe");
  BOOST_TEST((carry().error().code == errc::unavailable));
  BOOST_TEST(store.objects.empty());
}

BOOST_FIXTURE_TEST_CASE(a_completion_that_cannot_be_recorded_fails_unless_a_redirect_confirms_it, fixture) {
  ledger.refuses_confirm = true;
  BOOST_TEST((carry().error().code == errc::unavailable));
  BOOST_TEST(store.objects.contains("media/uploads/a b")); // the object exists: the sweep finds it
  BOOST_TEST(ledger.failed == 0);
  body.taken = 0;
  plan.is_confirmed_later = true;
  BOOST_TEST(carry().has_value());
}

// The most memory that was taken while a file of this size came in such pieces.
std::uint64_t max_memory(fixture& f, std::size_t piece) {
  std::uint64_t max = 0;
  f.body.piece = piece;
  f.body.taken = 0;
  f.body.on_read = [&] { max = std::max(max, f.share.shared.memory_taken()); };
  BOOST_TEST(f.carry().has_value());
  BOOST_TEST(f.share.shared.memory_taken() == 0u);
  return max;
}

BOOST_FIXTURE_TEST_CASE(buffers_grow_with_the_speed_of_the_client, fixture) {
  BOOST_TEST(max_memory(*this, 1000) == 2 * transfers::first_buffer);
  BOOST_TEST(max_memory(*this, transfers::first_buffer - 1) == 2 * transfers::first_buffer);
  BOOST_TEST(max_memory(*this, 100'000) == 256u << 10); // a buffer of 128 KiB is never filled
  BOOST_TEST(max_memory(*this, 10'000'000) >= 1u << 20);
}

BOOST_FIXTURE_TEST_CASE(buffers_shrink_when_the_client_becomes_slow, fixture) {
  std::uint64_t last = 0;
  body.on_read = [&] {
    if (body.taken > 500'000) body.piece = 1000;
    last = share.shared.memory_taken();
  };
  body.piece = 10'000'000;
  BOOST_TEST(carry().has_value());
  BOOST_TEST(last == 2 * transfers::first_buffer);
}

BOOST_FIXTURE_TEST_CASE(buffers_stay_small_while_memory_is_scarce, fixture) {
  resources scarce({40'000});
  allowance others(scarce, share.loop.get_executor(), {}), own(scarce, share.loop.get_executor(), {});
  BOOST_TEST(test::run_task(others.take_memory(10'000)).has_value());
  BOOST_TEST(test::run_task(own.take_memory(transfers::first_buffer)).has_value());
  incoming_file file{body, own, decoder, {}, read_buffer(transfers::first_buffer), {}};
  std::uint64_t max = 0;
  body.on_read = [&] { max = std::max(max, scarce.memory_taken()); };
  const auto stored = test::run_task(carriers.carry(plan, std::move(file)));
  BOOST_TEST(stored.has_value());
  BOOST_TEST(max == 10'000 + 2 * transfers::first_buffer);
}
