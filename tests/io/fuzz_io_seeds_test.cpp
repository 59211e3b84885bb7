#include <boost/test/unit_test.hpp>

#include <fuzz/io_inputs.hpp>
#include <fuzz/run_seeds.hpp>

using namespace postern;

BOOST_AUTO_TEST_CASE(xml_answers) { fuzz::run_seeds("xml", fuzz::xml); }
BOOST_AUTO_TEST_CASE(shared_files) { fuzz::run_seeds("shared_file", fuzz::shared_file); }
