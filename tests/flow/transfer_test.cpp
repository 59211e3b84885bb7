#include "support/fake_body.hpp"
#include "support/fakes.hpp"
#include "support/run_task.hpp"
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
  byte_budget budget{64 << 20};
  transfers carriers{store, ledger, budget, [] { return now; }};
  test::fake_body body{some_bytes(1'000'000)};
  whole_body decoder;
  upload_plan plan;

  fixture() {
    plan.row.id = "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4";
    plan.row.bucket = "media";
    plan.row.key = "uploads/a b";
    plan.row.max_size = 2'000'000;
    plan.meta.user.emplace_back("postern-id", plan.row.id);
    plan.has_claim = true;
  }
  result<stored_object> carry(std::string_view rest = {}) {
    read_buffer buffer(16 << 10);
    std::copy(rest.begin(), rest.end(), buffer.all().begin());
    const auto begin = std::span<const char>(buffer.all()).first(rest.size());
    incoming_file file{body, decoder, body.announced_size(), std::move(buffer), begin};
    return test::run_task(carriers.carry(plan, std::move(file)));
  }
  // Nothing is left: no object, no open sink, no memory, no running transfer.
  void check_nothing_left(const std::string& what) {
    BOOST_TEST(!store.objects.contains("media/uploads/a b"), what);
    BOOST_TEST(store.abandoned == store.opened, what);
    BOOST_TEST(budget.taken() == 0u, what);
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
  BOOST_TEST(budget.taken() == 0u);
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
  for (const auto code : {errc::incomplete_body, errc::timed_out, errc::bad_request})
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

BOOST_FIXTURE_TEST_CASE(without_a_claim_the_row_is_durable_before_the_object, fixture) {
  BOOST_TEST(carry().has_value());
  BOOST_TEST(ledger.flushes == 0);
  body.taken = 0;
  plan.has_claim = false;
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

BOOST_FIXTURE_TEST_CASE(a_transfer_takes_its_memory_before_it_reads, fixture) {
  std::uint64_t taken = 0;
  body.on_read = [&] { taken = std::max(taken, budget.taken()); };
  BOOST_TEST(carry().has_value());
  BOOST_TEST(taken >= (2u * 256u << 10));
  BOOST_TEST(taken <= (3u << 20));
}
