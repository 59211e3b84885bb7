#include <boost/test/unit_test.hpp>

#include <fuzz/run_seeds.hpp>
#include <fuzz/session_input.hpp>

using namespace postern;

BOOST_AUTO_TEST_CASE(sessions) { fuzz::run_seeds("session", fuzz::session); }
