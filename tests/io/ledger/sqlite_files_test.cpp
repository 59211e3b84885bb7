// The SQLite ledger while its files are deleted, moved or replaced. SQLite itself goes on writing them.
#include "support/captured_log.hpp"
#include "support/ledger_work_contract.hpp"
#include "support/temporary_folder.hpp"
#include "support/wait_until.hpp"
#include <postern/io/ledger/make_ledger.hpp>

#include <boost/test/unit_test.hpp>

#include <filesystem>

using namespace postern;
using namespace postern::test;
namespace fs = std::filesystem;

namespace {

struct fixture {
  temporary_folder folder;
  const fs::path path = folder.path() / "postern.db", log_path = folder.path() / "postern.db-wal",
                 elsewhere = folder.path() / "elsewhere";
  captured_log log; // of the program
  std::unique_ptr<ledger> records = open();

  std::unique_ptr<ledger> open() const { return make_ledger({.url = "sqlite:" + path.string()}); }
  bool confirms(unsigned n) { return run_task(records->confirm(some_completion(some_upload(n)))).has_value(); }
  bool finds(unsigned n) { return run_task(records->find(some_upload(n).id)).has_value(); }
  bool is_logged(std::string_view words) const { return log.text().find(words) != std::string::npos; }

  // Nothing is acknowledged, and no state is shown.
  void check_refused(const std::string& what) {
    for (int round = 0; round < 3; ++round) {
      const auto refused = run_task(records->confirm(some_completion(some_upload(100))));
      BOOST_TEST_REQUIRE(!refused.has_value(), what);
      BOOST_TEST((refused.error().code == errc::ledger_failed));
      BOOST_TEST(refused.error().on.find(what) != std::string::npos, refused.error().on);
      BOOST_TEST(!run_task(records->flush()).has_value());
      BOOST_TEST(!finds(1));
    }
    BOOST_TEST(is_logged("ledger cannot be written"));
    BOOST_TEST(is_logged("level=error"));
    BOOST_TEST(is_logged("Move the file back"));
  }
  void check_goes_on() {
    BOOST_TEST(wait_until([&] { return run_task(records->flush()).has_value(); }));
    BOOST_TEST(finds(1));
    BOOST_TEST(confirms(2));
    BOOST_TEST(is_logged("ledger can be written again"));
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(sqlite_files, fixture)

BOOST_AUTO_TEST_CASE(a_deleted_database_is_noticed_at_the_next_commit) {
  BOOST_TEST(confirms(1));
  BOOST_TEST(finds(1));
  fs::remove(path);
  check_refused("deleted or moved");
}

BOOST_AUTO_TEST_CASE(a_database_that_is_moved_back_is_used_again) {
  BOOST_TEST(confirms(1));
  fs::rename(path, elsewhere);
  check_refused("deleted or moved");
  records->issue(some_upload(3)); // waits until the file is back
  fs::rename(elsewhere, path);
  check_goes_on();
  BOOST_TEST(finds(3));
  records.reset();
  records = open();
  for (const unsigned n : {1u, 2u, 3u}) BOOST_TEST(finds(n));
}

BOOST_AUTO_TEST_CASE(a_database_that_is_replaced_is_not_written) {
  BOOST_TEST(confirms(1));
  fs::rename(path, elsewhere);
  fs::copy_file(elsewhere, path);
  const auto size = fs::file_size(path);
  check_refused("replaced");
  BOOST_TEST(fs::file_size(path) == size);
  fs::rename(elsewhere, path);
  check_goes_on();
}

BOOST_AUTO_TEST_CASE(a_folder_that_is_moved_away_is_noticed) {
  const auto var = folder.path() / "var", moved = folder.path() / "moved";
  fs::create_directory(var);
  records = make_ledger({.url = "sqlite:" + (var / "p.db").string()});
  BOOST_TEST(confirms(1));
  fs::rename(var, moved);
  check_refused("deleted or moved");
  fs::rename(moved, var);
  check_goes_on();
}

// What was committed is in the log only. When the last connection closes, SQLite copies the open log into the database.
BOOST_AUTO_TEST_CASE(a_deleted_log_is_noticed_and_a_clean_end_saves_what_was_in_it) {
  BOOST_TEST(confirms(1));
  BOOST_TEST_REQUIRE(fs::file_size(log_path) > 0u);
  fs::remove(log_path);
  check_refused("postern.db-wal");
  records.reset();
  records = open();
  BOOST_TEST(finds(1));
  BOOST_TEST(!finds(100));
}

BOOST_AUTO_TEST_CASE(other_connections_that_open_and_close_are_no_loss) {
  BOOST_TEST(confirms(1));
  for (int n = 0; n < 3; ++n) BOOST_TEST(run_task(open()->flush()).has_value());
  BOOST_TEST(confirms(2));
  BOOST_TEST(finds(2));
}

BOOST_AUTO_TEST_SUITE_END()
