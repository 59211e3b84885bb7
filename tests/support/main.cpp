// The main function of every C++ test. Prints a line for each case whose precondition does not hold: tests/run counts
// and names what was skipped.
#define BOOST_TEST_MODULE postern
#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <string>

namespace {

struct skip_reporter : boost::unit_test::test_observer {
  skip_reporter() { boost::unit_test::framework::register_observer(*this); }
  ~skip_reporter() override { boost::unit_test::framework::deregister_observer(*this); }
  void test_unit_skipped(const boost::unit_test::test_unit& unit, boost::unit_test::const_string reason) override {
    const std::string text(reason.begin(), reason.size());
    if (text == "disabled") return; // excluded by --run_test, alone or with its suite
    std::printf("SKIPPED: %s: %s\n", unit.full_name().c_str(), text.c_str());
  }
};

} // namespace

BOOST_TEST_GLOBAL_FIXTURE(skip_reporter);
