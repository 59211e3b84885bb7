#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/io/stores_by_bucket.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using test::run_task;

namespace {

struct fixture {
  test::fake_store *first, *second;
  std::unique_ptr<stores_by_bucket> all;

  fixture() {
    std::vector<std::unique_ptr<store>> made;
    for (auto** one : {&first, &second}) {
      auto fake = std::make_unique<test::fake_store>();
      *one = fake.get();
      made.push_back(std::move(fake));
    }
    all = std::make_unique<stores_by_bucket>(std::move(made), [](const std::string& bucket) -> std::size_t {
      return bucket == "first" ? 0 : bucket == "second" || bucket == "copies" ? 1 : 2;
    });
  }
  void put(const std::string& bucket, const std::string& bytes) {
    auto s = run_task(all->open({bucket, "k"}, {}, std::nullopt, nullptr)).value();
    BOOST_TEST(run_task(s->write(bytes)).has_value());
    BOOST_TEST(run_task(s->finish()).has_value());
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(each_operation_reaches_the_store_that_has_the_bucket, fixture) {
  put("first", "one");
  put("second", "other");
  BOOST_TEST(first->contents.at("first/k") == "one");
  BOOST_TEST(second->contents.at("second/k") == "other");
  BOOST_TEST(run_task(all->head({"second", "k"})).value().size == 5u);
  BOOST_TEST(first->heads == 0);
  BOOST_TEST(run_task(all->list("first", "", 9)).value().size() == 1u);
  BOOST_TEST(run_task(all->read_some({"second", "k"}, "etag", 0, 9)).value() == "other");
  BOOST_TEST(run_task(all->copy({"second", "k"}, "etag", {"copies", "k"})).has_value());
  BOOST_TEST(second->objects.contains("copies/k"));
  BOOST_TEST(run_task(all->remove_if_match({"second", "k"}, "etag")).has_value());
  BOOST_TEST(!second->objects.contains("second/k"));
  BOOST_TEST(run_task(all->remove({"first", "k"})).has_value());
  BOOST_TEST(first->objects.empty());
  BOOST_TEST(&all->for_bucket("first") == first);
}

BOOST_FIXTURE_TEST_CASE(a_bucket_that_no_store_has_is_none, fixture) {
  const object_name name{"third", "k"};
  BOOST_TEST((run_task(all->head(name)).error().code == errc::no_such_bucket));
  BOOST_TEST((run_task(all->open(name, {}, std::nullopt, nullptr)).error().code == errc::no_such_bucket));
  BOOST_TEST((run_task(all->list("third", "", 9)).error().code == errc::no_such_bucket));
  BOOST_TEST((run_task(all->read_some(name, "etag", 0, 9)).error().code == errc::no_such_bucket));
  BOOST_TEST((run_task(all->copy(name, "etag", name)).error().code == errc::no_such_bucket));
  BOOST_TEST((run_task(all->remove(name)).error().code == errc::no_such_bucket));
  BOOST_TEST((run_task(all->remove_if_match(name, "etag")).error().code == errc::no_such_bucket));
  BOOST_TEST(all->for_bucket("third").as_presigner() == nullptr);
}

BOOST_FIXTURE_TEST_CASE(nothing_is_copied_between_stores, fixture) {
  put("first", "one");
  const auto copied = run_task(all->copy({"first", "k"}, "etag", {"second", "k"}));
  BOOST_TEST((copied.error().code == errc::invalid_argument));
  BOOST_TEST(second->objects.empty());
}

BOOST_FIXTURE_TEST_CASE(one_store_that_keeps_objects_is_enough_for_the_check, fixture) {
  first->lost = failure{errc::unavailable, "first"};
  BOOST_TEST(run_task(all->check()).has_value());
  second->lost = failure{errc::unavailable, "second"};
  BOOST_TEST((run_task(all->check()).error().code == errc::unavailable));
}
