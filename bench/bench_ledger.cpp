// How many completions a second does a ledger make durable, with 1 000 callers waiting for theirs at any time, and how
// long does each wait? Beside it the database by itself: one connection that inserts one such row and commits, again
// and again, with fsync as here.
//   bench_ledger FOLDER                 SQLite, in a new file of that folder
//   bench_ledger postgresql://…         PostgreSQL, in an empty database
#include "measure.hpp"
#include <postern/base/random.hpp>
#include <postern/base/uuid.hpp>
#include <postern/io/ledger/make_ledger.hpp>
#include <postern/io/sql/postgres.hpp>
#include <postern/io/sql/sqlite.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

using seconds = std::chrono::duration<double>;
using clock_type = std::chrono::steady_clock;

upload some_upload(unsigned n) {
  const millis_clock at{std::chrono::milliseconds(1'800'000'000'000 + n / 20)}; // 20 000 a second
  std::array<unsigned char, 10> chance;
  random_bytes(chance);
  upload u;
  u.id = uuid_v7(at, chance);
  u.profile = "default", u.user = "42", u.bucket = "media";
  u.key = "uploads/" + u.id + "/IMG_20261123_181500.jpg";
  u.metadata = {{"order", "4711"}, {"album", "Sommer"}};
  u.max_size = 5ull << 30;
  u.created_at = at;
  u.expires_at = at + 15min;
  return u;
}

struct measured {
  double per_second, p50, p99;
};

// `callers` coroutines, each confirming one after the other.
measured confirm(asio::io_context& loop, ledger& l, const std::vector<upload>& uploads, std::size_t callers) {
  std::vector<double> waits;
  waits.reserve(uploads.size());
  std::size_t next = 0;
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the lambda lives until the loop has ended
  const auto calls = [&]() -> task<> {
    while (next < uploads.size()) {
      completion c;
      c.of = uploads[next++];
      c.size = 1'234'567;
      c.etag = "9b2cf535f27731c974343645a3985328";
      c.at = c.of.created_at + 10s;
      const auto begin = clock_type::now();
      const auto recorded = co_await l.confirm(std::move(c));
      if (!recorded) std::printf("%s\n", describe(recorded.error()).c_str()), std::abort();
      waits.push_back(seconds(clock_type::now() - begin).count());
    }
  };
  loop.restart();
  group running(loop.get_executor());
  for (std::size_t n = 0; n < callers; ++n) running.start(calls());
  const auto begin = clock_type::now();
  loop.run();
  const auto took = seconds(clock_type::now() - begin).count();
  std::sort(waits.begin(), waits.end());
  return {static_cast<double>(waits.size()) / took, waits[waits.size() / 2], waits[waits.size() * 99 / 100]};
}

void print(const char* what, const measured& m) {
  std::printf("%-44s %8.0f/s   p50 %7.2f ms   p99 %7.2f ms\n", what, m.per_second, 1e3 * m.p50, 1e3 * m.p99);
}

// One row, one commit, for two seconds.
measured raw(sql::database& db) {
  db.execute("CREATE TABLE raw (id TEXT PRIMARY KEY, key TEXT NOT NULL, etag TEXT NOT NULL, size BIGINT NOT NULL)");
  auto& insert = db.prepared("INSERT INTO raw (id, key, etag, size) VALUES ($1, $2, $3, $4)");
  std::vector<double> waits;
  const auto begin = clock_type::now();
  while (clock_type::now() - begin < 2s) {
    const auto u = some_upload(static_cast<unsigned>(waits.size()));
    const auto since = clock_type::now();
    db.begin(true);
    insert.bind(u.id, u.key, "9b2cf535f27731c974343645a3985328", std::int64_t{1'234'567}).run();
    db.commit();
    waits.push_back(seconds(clock_type::now() - since).count());
  }
  const auto took = seconds(clock_type::now() - begin).count();
  std::sort(waits.begin(), waits.end());
  return {static_cast<double>(waits.size()) / took, waits[waits.size() / 2], waits[waits.size() * 99 / 100]};
}

void measure(const std::string& url, sql::database& beside) {
  print("one connection, one row a commit", raw(beside));
  constexpr unsigned count = 100'000, few = 500;
  std::vector<upload> uploads;
  for (unsigned n = 0; n < 2 * count + few; ++n) uploads.push_back(some_upload(n));
  const auto second = uploads.begin() + count, third = second + count;
  ledger_options options;
  options.url = url;
  asio::io_context loop{1}; // outlives the ledger, whose thread posts to it
  const auto l = make_ledger(options);
  print("1000 waiting, uploads not known before", confirm(loop, *l, {uploads.begin(), second}, 1000));
  for (auto u = second; u != third; ++u) l->issue(*u);
  upload_filter last;
  last.after_id = uploads.back().id; // the queue is empty when this is answered
  loop.restart();
  group running(loop.get_executor());
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): the lambda lives until the loop has ended
  const auto wait = [&]() -> task<> { (void)co_await l->list(last); };
  running.start(wait());
  loop.run();
  print("1000 waiting, uploads issued before", confirm(loop, *l, {second, third}, 1000));
  print("1 waiting", confirm(loop, *l, {third, uploads.end()}, 1));
}

} // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): an exception ends the measurement
int main(int argc, char** argv) {
  const std::string where = argc > 1 ? argv[1] : ".";
  if (where.starts_with("postgres")) {
    std::printf("PostgreSQL\n");
    postgres::database beside(where, 60s);
    beside.execute("DROP SCHEMA IF EXISTS postern CASCADE; DROP TABLE IF EXISTS public.raw; SET search_path = public");
    measure(where, beside);
  } else {
    std::printf("SQLite, WAL, synchronous=FULL\n");
    const auto folder = std::filesystem::path(where) / "bench_ledger";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    {
      sqlite::database beside((folder / "raw.db").string(), 5s);
      beside.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
      measure("sqlite:" + (folder / "postern.db").string(), beside);
    }
    std::filesystem::remove_all(folder);
  }
}
