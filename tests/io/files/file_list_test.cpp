#include "support/run_task.hpp"
#include "support/temporary_folder.hpp"
#include <postern/io/files/file_store.hpp>

#include <boost/test/unit_test.hpp>

#include <sys/resource.h>

using namespace postern;
using test::run_task;

// errc::store_failed would be a refusal for good: the sweep would give up an upload whose object is there.
BOOST_AUTO_TEST_CASE(a_list_that_fails_for_want_of_descriptors_may_be_asked_for_again) {
  const test::temporary_folder folder;
  asio::thread_pool pool{1};
  const auto objects = make_file_store({folder.path() / "objects"}, pool);
  auto sink = run_task(objects->open({"media", "uploads/1/a.bin"}, {}, std::nullopt, nullptr)).value();
  BOOST_REQUIRE(run_task(sink->finish()));
  const auto list = [&] { return run_task(objects->list("media", "uploads/1/", 10)); };
  BOOST_TEST(list().value().size() == 1u);

  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{3, before.rlim_max}; // standard input, output and error
  ::setrlimit(RLIMIT_NOFILE, &none);
  const auto failed = list();
  ::setrlimit(RLIMIT_NOFILE, &before);

  BOOST_REQUIRE(!failed);
  BOOST_TEST((failed.error().code == errc::unavailable));
  BOOST_TEST(failed.error().on.find("Too many open files") != std::string::npos, failed.error().on);
  BOOST_TEST(list().value().size() == 1u);
  pool.join();
}
