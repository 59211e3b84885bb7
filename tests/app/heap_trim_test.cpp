#include <postern/app/heap_trim.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

BOOST_AUTO_TEST_CASE(the_heap_is_trimmed_when_it_has_grown_by_a_step) {
  constexpr auto step = app::heap_trim::step;
  app::heap_trim trim;
  BOOST_TEST(!trim.is_due(10 * step)); // what the program has at its start
  BOOST_TEST(!trim.is_due(11 * step - 1));
  BOOST_TEST(trim.is_due(11 * step));
  trim.note_trimmed(10 * step + 1);
  BOOST_TEST(!trim.is_due(11 * step));
  BOOST_TEST(trim.is_due(11 * step + 1));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_trimmed_is_not_tried_again) {
  constexpr auto step = app::heap_trim::step;
  app::heap_trim trim;
  BOOST_TEST(!trim.is_due(0));
  BOOST_TEST(trim.is_due(5 * step));
  trim.note_trimmed(5 * step);
  BOOST_TEST(!trim.is_due(5 * step));
  BOOST_TEST(!trim.is_due(-step)); // uploads that have taken memory, and do not use it yet
  BOOST_TEST(trim.is_due(0));
}
