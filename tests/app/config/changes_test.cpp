#include <postern/app/config/changes.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

using namespace postern;

namespace {

using names = std::vector<std::string>;
const char* const no_environment[] = {nullptr};

app::config read(const std::string& toml) {
  return app::parse_config("[server]\nsecrets = [\"sixteen bytes or more\"]\n" + toml, no_environment);
}

} // namespace

BOOST_AUTO_TEST_CASE(the_same_configuration_has_no_changes) {
  const std::string toml =
      "[store]\nbucket = \"a\"\n[profiles.b]\n[[webhooks]]\nurl = \"https://a.example.com\"\nsecret = "
      "\"sixteen bytes or more\"\n";
  const auto found = app::find_changes(read(toml), read(toml));
  BOOST_TEST(found.reloadable.empty());
  BOOST_TEST(found.need_restart.empty());
}

BOOST_AUTO_TEST_CASE(changes_are_named_by_whether_they_need_a_restart) {
  const auto before = read("[profiles.old]\n");
  const auto after =
      read("[auth]\nanonymous = true\n[log]\nlevel = \"debug\"\nformat = \"json\"\n[limits]\nbuffers = 0\n"
           "[profiles.default]\nmax_size = 5\n[profiles.new]\n");
  const auto found = app::find_changes(before, after);
  BOOST_TEST(found.reloadable == (names{"auth.anonymous", "log.level", "log.format"}),
             boost::test_tools::per_element());
  BOOST_TEST(found.need_restart ==
                 (names{"limits.buffers", "profiles.default.max_size", "profiles.new", "profiles.old"}),
             boost::test_tools::per_element());
}

// A secret is printed as stars, and is compared nevertheless.
BOOST_AUTO_TEST_CASE(a_secret_that_changed_is_seen) {
  const auto with = [](const char* secret) {
    return app::parse_config(std::string("[server]\nsecrets = [\"") + secret + "\"]\n", no_environment);
  };
  BOOST_TEST(app::find_changes(with("sixteen bytes or more"), with("sixteen bytes or morf")).need_restart ==
                 names{"server.secrets"},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(certificates_are_reloadable_while_tls_stays_on) {
  const auto tls = [](const std::string& name) {
    return app::parse_config("[server]\nsecrets = [\"sixteen bytes or more\"]\ntls = { certificate = \"" + name +
                                 "\", key = \"k\" }\n",
                             no_environment);
  };
  BOOST_TEST(app::find_changes(tls("a"), tls("b")).reloadable == names{"server.tls.certificate"},
             boost::test_tools::per_element());
  BOOST_TEST(app::find_changes(read(""), tls("a")).need_restart == (names{"server.tls.certificate", "server.tls.key"}),
             boost::test_tools::per_element());
}
