#define BOOST_TEST_MODULE postern
#include <boost/test/unit_test.hpp>
