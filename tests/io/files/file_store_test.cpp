#include "support/captured_log.hpp"
#include "support/store_object_contract.hpp"
#include "support/store_resumable_contract.hpp"
#include "support/temporary_folder.hpp"
#include <postern/io/files/file_store.hpp>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <fstream>
#include <iterator>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace postern;
using namespace postern::test;
namespace fs = std::filesystem;

namespace {

struct fixture {
  temporary_folder folder;
  fs::path root = folder.path() / "objects";
  std::optional<asio::thread_pool> pool; // created late, because some cases fork first
  asio::thread_pool& disk() { return pool ? *pool : pool.emplace(2); }
  std::unique_ptr<store> made() { return make_file_store({root}, disk()); }
  ~fixture() {
    if (pool) pool->join();
  }
};

std::string read_file(const fs::path& p) {
  std::ifstream in(p, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Regular files below a folder.
std::size_t files_below(const fs::path& p) {
  std::size_t n = 0;
  if (fs::exists(p))
    for (const auto& e : fs::recursive_directory_iterator(p)) n += e.is_regular_file();
  return n;
}

std::size_t entries_in(const fs::path& p) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(p), fs::directory_iterator()));
}

// Runs f in a child process, which ends with 0 when f returns and with 1 when it throws (a failed BOOST_TEST_REQUIRE
// throws too). The child must never come back into the test runner.
template <class F> pid_t fork_and_run(F f) {
  const pid_t child = ::fork();
  BOOST_TEST_REQUIRE(child >= 0);
  if (child != 0) return child;
  try {
    f();
  } catch (...) {
    ::_exit(1);
  }
  ::_exit(0);
}

int status_of(pid_t child) {
  int status = 0;
  BOOST_TEST_REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

// Runs `f` in a process that then ends without cleanup.
template <class F> void in_a_process_that_dies(F f) {
  const int status = status_of(fork_and_run(f));
  BOOST_TEST_REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 0), "the child ended with status " << status);
}

errc code_of_open(store& s, const object_name& name) {
  const auto opened = run_task(s.open(name, {}, {}, nullptr));
  BOOST_TEST_REQUIRE(!opened.has_value());
  return opened.error().code;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(file_store_, fixture)

BOOST_AUTO_TEST_CASE(fulfils_the_contract) {
  const store_under_test contract{.make = [&] { return made(); }, .bucket = "media", .has_checksum_in_head = true};
  check_store(contract);
  check_what_depends_on_etags(contract);
  check_resumable_uploads(contract);
}

// Another program writes into the file, or puts something else in its place.
BOOST_AUTO_TEST_CASE(a_file_that_another_program_changed_is_another_object) {
  const auto s = made();
  const object_name name{"media", "changed"};
  const auto etag = put(*s, name, "first").etag;
  std::ofstream(root / "media/changed", std::ios::app) << "!";
  BOOST_TEST(fails_with(run_step(s->read_some(name, etag, 0, 100)), errc::conflict));
  BOOST_TEST(fails_with(run_step(s->copy(name, etag, {"media", "copied"})), errc::conflict));
  BOOST_TEST(fails_with(run_step(s->remove_if_match(name, etag)), errc::conflict));
  BOOST_TEST(read_file(root / "media/changed") == "first!");
  const auto own = run_step(s->head(name)).value().etag; // without a sidecar: from size and time
  BOOST_TEST(run_step(s->read_some(name, own, 0, 100)).value() == "first!");

  fs::remove(root / "media/changed");
  fs::create_symlink("/etc/passwd", root / "media/changed");
  BOOST_TEST(fails_with(run_step(s->read_some(name, own, 0, 100)), errc::object_absent));
  fs::remove(root / "media/changed");
  BOOST_TEST_REQUIRE(::mkfifo((root / "media/changed").c_str(), 0600) == 0);
  BOOST_TEST(fails_with(run_step(s->read_some(name, own, 0, 100)), errc::object_absent));
  fs::remove(root / "media/changed");
  fs::create_directory(root / "media/changed");
  BOOST_TEST(fails_with(run_step(s->read_some(name, own, 0, 100)), errc::object_absent));
  BOOST_TEST(run_step(s->remove_if_match(name, own)).has_value());
  BOOST_TEST(fs::is_directory(root / "media/changed"));
}

BOOST_AUTO_TEST_CASE(a_copy_is_one_file_and_leaves_no_other) {
  const auto s = made();
  const auto etag = put(*s, {"media", "a"}, "bytes").etag;
  BOOST_TEST(run_step(s->copy({"media", "a"}, etag, {"media", "b"})).has_value());
  BOOST_TEST(fails_with(run_step(s->copy({"media", "a"}, etag, {"media", "a/below"})), errc::invalid_argument));
  BOOST_TEST(files_below(root / "media") == 2u);
  BOOST_TEST(files_below(root / ".postern/tmp") == 0u);
}

BOOST_AUTO_TEST_CASE(an_object_is_one_file_and_no_other_files_remain) {
  const auto bytes = some_bytes((20 << 20) + 3);
  {
    const auto s = made();
    put(*s, {"media", "a/b/c d.bin"}, bytes, 100'000);
    BOOST_TEST((read_file(root / "media/a/b/c d.bin") == bytes));
    auto dropped = open_sink(*s, {"media", "dropped"});
    write_in_pieces(*dropped, bytes, 1 << 20);
    BOOST_TEST(files_below(root / ".postern/tmp") == 1u);
    dropped.reset();
    BOOST_TEST(files_below(root / ".postern/tmp") == 0u);
  }
  BOOST_TEST(files_below(root / "media") == 1u);
  BOOST_TEST(files_below(root / ".postern/meta") == 1u);
  BOOST_TEST(entries_in(root / ".postern/tmp") == 0u);
  BOOST_TEST(files_below(root / ".postern/paused") == 0u);
}

BOOST_AUTO_TEST_CASE(an_unfinished_upload_leaves_no_files_when_it_ends) {
  const auto s = made();
  for (const bool finished : {true, false}) {
    const auto upload = begin(*s, {"media", "x"});
    const auto kept = write_and_pause(*s, upload, {}, "12345");
    BOOST_TEST(files_below(root / ".postern/paused") == 2u);
    auto to = resume(*s, upload, kept).value();
    if (finished)
      BOOST_TEST(run_task(to->finish()).has_value());
    else
      run_task(to->abandon());
    BOOST_TEST(files_below(root / ".postern/paused") == 0u);
  }
}

BOOST_AUTO_TEST_CASE(an_unfinished_upload_can_be_open_once_at_a_time) {
  const auto s = made();
  const auto upload = begin(*s, {"media", "x"});
  const auto kept = write_and_pause(*s, upload, {}, "12345");
  auto first = resume(*s, upload, kept).value();
  const auto second = resume(*made(), upload, kept);
  BOOST_TEST_REQUIRE(!second.has_value());
  BOOST_TEST((second.error().code == errc::conflict));
  BOOST_TEST(run_task(first->finish()).has_value());
  BOOST_TEST(read_file(root / "media/x") == "12345");
}

BOOST_AUTO_TEST_CASE(an_unfinished_upload_that_was_cut_is_not_resumed) {
  const auto s = made();
  const auto upload = begin(*s, {"media", "x"});
  const auto kept = write_and_pause(*s, upload, {}, "12345");
  std::filesystem::resize_file(root / ".postern/paused" / upload.id, 4);
  BOOST_TEST((resume(*s, upload, kept).error().code == errc::store_failed));
}

BOOST_AUTO_TEST_CASE(bytes_that_a_dead_process_did_not_keep_are_dropped) {
  const auto s = made();
  const auto upload = begin(*s, {"media", "x"});
  kept_bytes kept{4, crc32c(0, std::string_view("kept"))};
  in_a_process_that_dies([&] {
    asio::thread_pool disk(1);
    auto* own = make_file_store({root}, disk).release();
    auto* to = resume(*own, upload, {}).value().release();
    write_in_pieces(*to, "kept", 4);
    if (!(run_task(to->keep()).value() == kept)) ::_exit(1);
    write_in_pieces(*to, " and lost", 9);
  });
  auto to = resume(*s, upload, kept).value();
  write_in_pieces(*to, " and new", 8);
  const auto stored = run_task(to->finish()).value();
  BOOST_TEST(read_file(root / "media/x") == "kept and new");
  BOOST_TEST((stored.crc32c == crc32c(0, std::string_view("kept and new"))));
}

BOOST_AUTO_TEST_CASE(a_start_removes_the_temporary_files_of_dead_processes_only) {
  in_a_process_that_dies([&] {
    asio::thread_pool disk(1);
    auto* s = make_file_store({root}, disk).release();
    write_in_pieces(*open_sink(*s, {"media", "broken"}).release(), some_bytes(100'000), 100'000);
  });
  BOOST_TEST(files_below(root / ".postern/tmp") == 1u);

  const auto living = made();
  BOOST_TEST(files_below(root / ".postern/tmp") == 0u);
  BOOST_TEST(entries_in(root / ".postern/tmp") == 1u); // its own
  auto to = open_sink(*living, {"media", "slow"});
  write_in_pieces(*to, "slow", 4);
  const auto newcomer = made();
  BOOST_TEST(files_below(root / ".postern/tmp") == 1u);
  BOOST_TEST(run_task(to->finish()).has_value());
  BOOST_TEST(is_absent(*newcomer, {"media", "broken"}));
  BOOST_TEST(!is_absent(*newcomer, {"media", "slow"}));
}

BOOST_AUTO_TEST_CASE(a_sidecar_without_an_object_is_removed_at_the_next_start) {
  // As if the process was killed between two steps: the sidecar is written, but the object has no name yet.
  const object_name name{"media", "never"};
  {
    const auto s = made();
    put(*s, name, "x");
  }
  const auto hash = sha256_hex("media/never");
  const auto sidecar = root / ".postern/meta" / hash.substr(0, 2) / (hash + ".json");
  BOOST_TEST_REQUIRE(fs::exists(sidecar));
  const auto dead = root / ".postern/tmp/dead";
  fs::create_directories(dead);
  fs::rename(root / "media/never", dead / (hash + "." + std::string(32, 'a')));
  const auto s = made();
  BOOST_TEST(!fs::exists(sidecar));
  BOOST_TEST(!fs::exists(dead));

  // A sidecar whose object exists stays.
  put(*s, name, "y");
  fs::create_directories(dead);
  std::ofstream(dead / (hash + "." + std::string(32, 'a'))) << "z";
  const auto next = made();
  BOOST_TEST(!fs::exists(dead));
  BOOST_TEST(run_task(next->head(name)).value().meta.user.size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_process_killed_at_any_moment_leaves_whole_objects_or_none) {
  const auto bytes = some_bytes(300'000);
  for (int round = 0; round < 20; ++round) {
    const auto child = fork_and_run([&] {
      asio::thread_pool disk(1);
      auto* s = make_file_store({root}, disk).release();
      for (int n = 0;; ++n) put(*s, {"media", std::to_string(round) + "/" + std::to_string(n)}, bytes, 50'000);
    });
    // When the first object exists, the child is at work. Each round kills it at another moment.
    const auto first = root / "media" / std::to_string(round) / "0";
    for (int n = 0; n < 5000 && !fs::exists(first); ++n) ::usleep(1000);
    BOOST_TEST(fs::exists(first), "round " << round);
    ::usleep(static_cast<useconds_t>((round * 7919) % 30'000));
    ::kill(child, SIGKILL);
    const int status = status_of(child);
    BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL), "the child ended with status " << status);
  }
  const auto s = made();
  BOOST_TEST(files_below(root / ".postern/tmp") == 0u);
  std::size_t objects = 0;
  for (const auto& e : fs::recursive_directory_iterator(root / "media")) {
    if (!e.is_regular_file()) continue;
    ++objects;
    BOOST_TEST((read_file(e.path()) == bytes), e.path());
    const auto key = fs::relative(e.path(), root / "media").string();
    BOOST_TEST(run_task(s->head({"media", key})).value().meta.user.size() == 2u, key);
  }
  BOOST_TEST(objects >= 20u); // one in each round at least
  BOOST_TEST(files_below(root / ".postern/meta") == objects);
}

BOOST_AUTO_TEST_CASE(keys_that_a_folder_cannot_hold_are_refused) {
  struct row {
    std::string bucket, key;
    errc code;
  };
  const std::string long_part(256, 'n');
  std::string long_key = std::string(200, 'a');
  for (int n = 0; n < 5; ++n) long_key += "/" + std::string(200, 'a');
  const std::vector<row> rows{
      {"media", "", errc::invalid_argument},
      {"media", "/", errc::invalid_argument},
      {"media", "/a", errc::invalid_argument},
      {"media", "a/", errc::invalid_argument},
      {"media", "a//b", errc::invalid_argument},
      {"media", ".", errc::invalid_argument},
      {"media", "..", errc::invalid_argument},
      {"media", "../media/x", errc::invalid_argument},
      {"media", "a/../../../etc/passwd", errc::invalid_argument},
      {"media", "a/./b", errc::invalid_argument},
      {"media", std::string("a\0b", 3), errc::invalid_argument},
      {"media", "latin \xe9", errc::invalid_argument},
      {"media", "overlong \xc0\xaf", errc::invalid_argument},
      {"media", long_part, errc::key_too_long},
      {"media", "a/" + long_part + "/b", errc::key_too_long},
      {"media", long_key, errc::key_too_long},
      {"", "a", errc::no_such_bucket},
      {".", "a", errc::no_such_bucket},
      {"..", "a", errc::no_such_bucket},
      {".postern", "tmp", errc::no_such_bucket},
      {"me/dia", "a", errc::no_such_bucket},
      {"me dia", "a", errc::no_such_bucket},
      {std::string("m\0", 2), "a", errc::no_such_bucket},
      {std::string(64, 'b'), "a", errc::no_such_bucket},
  };
  const auto s = made();
  for (const auto& r : rows) {
    BOOST_TEST_CONTEXT(r.bucket << " / " << r.key) {
      BOOST_TEST((code_of_open(*s, {r.bucket, r.key}) == r.code));
      const auto found = run_task(s->head({r.bucket, r.key}));
      BOOST_TEST((!found && found.error().code == r.code));
      const auto removed = run_task(s->remove({r.bucket, r.key}));
      BOOST_TEST((!removed && removed.error().code == r.code));
    }
  }
  BOOST_TEST(files_below(root) == 0u);
  put(*s, {"My_Bucket.1", "control \x01\n\x7f characters"}, "x"); // S3 has them too
  BOOST_TEST(!is_absent(*s, {"My_Bucket.1", "control \x01\n\x7f characters"}));
}

BOOST_AUTO_TEST_CASE(a_key_that_begins_with_another_is_refused_and_says_why) {
  const auto s = made();
  put(*s, {"media", "a"}, "x");
  put(*s, {"media", "folder/b"}, "x");
  for (const auto* key : {"a/b", "a/b/c", "folder"}) {
    BOOST_TEST_CONTEXT(key) {
      auto to = open_sink(*s, {"media", key});
      write_in_pieces(*to, "y", 1);
      const auto stored = run_task(to->finish());
      BOOST_TEST_REQUIRE(!stored.has_value());
      BOOST_TEST((stored.error().code == errc::invalid_argument));
      BOOST_TEST(stored.error().on.find("another object") != std::string::npos);
      run_task(to->abandon());
      BOOST_TEST(is_absent(*s, {"media", key}));
      BOOST_TEST(run_task(s->remove({"media", key})).has_value());
    }
  }
  BOOST_TEST(files_below(root / ".postern/tmp") == 0u);
  BOOST_TEST(files_below(root / ".postern/meta") == 2u);
  BOOST_TEST(read_file(root / "media/a") == "x");
}

BOOST_AUTO_TEST_CASE(symbolic_links_are_not_followed) {
  const auto outside = folder.path() / "outside";
  fs::create_directories(outside);
  std::ofstream(outside / "secret") << "secret";
  const auto s = made();
  put(*s, {"media", "plain"}, "x");
  fs::create_directory_symlink(outside, root / "media/link");
  fs::create_symlink(outside / "secret", root / "media/file");
  fs::create_directory_symlink(outside, root / "linked");

  for (const object_name& name : {object_name{"media", "link/secret"}, {"media", "file"}, {"linked", "secret"}})
    BOOST_TEST(is_absent(*s, name), name.bucket << "/" << name.key);
  for (const object_name& name : {object_name{"media", "link/new"}, {"linked", "new"}}) {
    auto to = open_sink(*s, name);
    BOOST_TEST(!run_task(to->finish()).has_value(), name.bucket << "/" << name.key);
  }
  BOOST_TEST(run_task(s->remove({"media", "link/secret"})).has_value());
  put(*s, {"media", "file"}, "instead of the link");
  BOOST_TEST(read_file(outside / "secret") == "secret");
  BOOST_TEST(entries_in(outside) == 1u);
  BOOST_TEST(!fs::is_symlink(root / "media/file"));
}

BOOST_AUTO_TEST_CASE(a_file_of_another_program_is_an_object_without_metadata) {
  const auto s = made();
  put(*s, {"media", "mine"}, "12345");
  std::ofstream(root / "media/theirs") << "hello";
  const auto theirs = run_task(s->head({"media", "theirs"})).value();
  BOOST_TEST(theirs.size == 5u);
  BOOST_TEST(!theirs.etag.empty());
  BOOST_TEST(theirs.meta.user.empty());
  BOOST_TEST(!theirs.crc32c.has_value());

  const auto before = run_task(s->head({"media", "mine"})).value();
  std::ofstream(root / "media/mine") << "54321"; // the same size
  const auto after = run_task(s->head({"media", "mine"})).value();
  BOOST_TEST(after.etag != before.etag);
  BOOST_TEST(after.meta.user.empty());

  // A broken sidecar does no harm either.
  put(*s, {"media", "mine"}, "12345");
  const auto hash = sha256_hex("media/mine");
  std::ofstream(root / ".postern/meta" / hash.substr(0, 2) / (hash + ".json")) << "{\"size\":";
  BOOST_TEST(run_task(s->head({"media", "mine"})).value().size == 5u);
}

BOOST_AUTO_TEST_CASE(concurrent_writers_of_one_key_leave_one_object_with_its_own_sidecar) {
  const auto a = made(), b = made(); // as two processes
  std::atomic<int> failed{0};
  for (std::size_t round = 0; round < 20; ++round) {
    const auto bytes = some_bytes(1000 + round);
    const auto write = [&](store& to) -> task<> {
      object_name name{"media", "same"};
      auto meta = some_meta();
      auto into = co_await to.open(std::move(name), std::move(meta), std::nullopt, nullptr);
      const std::span<const char> piece(bytes);
      const bool written = into && (co_await (*into)->write(piece)) && (co_await (*into)->finish());
      if (!written) ++failed;
    };
    std::vector<std::thread> threads;
    for (auto* s : {a.get(), b.get()}) threads.emplace_back([&, s] { run_task(write(*s)); });
    for (auto& t : threads) t.join();
    BOOST_TEST(run_task(a->head({"media", "same"})).value().meta.user.size() == 2u, "round " << round);
  }
  BOOST_TEST(failed == 0);
}

// The open folder can still be written, but a restart would not find what is in it.
BOOST_AUTO_TEST_CASE(a_root_that_is_moved_or_replaced_takes_no_objects_until_it_is_back) {
  const captured_log log;
  const auto s = made();
  const object_name name{"media", "k"};
  const auto before = put(*s, name, "before");
  auto running = open_sink(*s, {"media", "running"});
  write_in_pieces(*running, "bytes", 5);
  const auto moved = folder.path() / "moved";
  const auto is_refused = [](const auto& r) {
    return !r && r.error().code == errc::unavailable && r.error().on.find("objects") != std::string::npos;
  };
  fs::rename(root, moved);
  for (const bool is_replaced : {false, true}) {
    if (is_replaced) fs::create_directories(root);
    BOOST_TEST(is_refused(run_step(s->check())));
    BOOST_TEST(is_refused(run_step(s->open({"media", "new"}, {}, 5, nullptr))));
    BOOST_TEST(is_refused(run_step(s->head(name))));
    BOOST_TEST(is_refused(run_step(s->remove(name))));
    BOOST_TEST(is_refused(run_step(running->finish())));
    BOOST_TEST(files_below(root) == 0u);
  }
  fs::remove_all(root);
  fs::rename(moved, root);
  BOOST_TEST(run_step(s->check()).has_value());
  BOOST_TEST(run_step(s->head(name)).value().etag == before.etag);
  run_step(running->abandon());
  BOOST_TEST(is_absent(*s, {"media", "running"}));
  put(*s, {"media", "after"}, "after");
  const auto text = log.text();
  BOOST_TEST(text.find("store folder lost") != text.npos);
  BOOST_TEST(text.find("store folder lost", text.find("store folder lost") + 1) == text.npos); // one line
  BOOST_TEST(text.find("store folder is back") != text.npos);

  const auto own = fs::directory_iterator(root / ".postern" / "tmp")->path(); // of this process
  fs::rename(own, folder.path() / "own");
  BOOST_TEST(is_refused(run_step(s->check())));
  fs::rename(folder.path() / "own", own);
  BOOST_TEST(run_step(s->check()).has_value());
  fs::rename(root / ".postern" / "meta", folder.path() / "meta"); // the sidecars
  fs::create_directory(root / ".postern" / "meta");
  BOOST_TEST(is_refused(run_step(s->check())));
}

BOOST_AUTO_TEST_CASE(a_root_that_cannot_be_used_is_named_with_the_remedy) {
  const auto file = folder.path() / "file";
  std::ofstream(file) << "x";
  for (const auto& bad : {file, file / "below", fs::path("/proc/postern")}) {
    BOOST_TEST_CONTEXT(bad) {
      try {
        make_file_store({bad}, disk());
        BOOST_ERROR("made");
      } catch (const std::runtime_error& e) {
        const std::string what = e.what();
        BOOST_TEST(what.find(bad.string()) != what.npos, what);
        BOOST_TEST(what.find("store.path") != what.npos, what);
        BOOST_TEST(what.find("Name a folder") != what.npos, what);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
