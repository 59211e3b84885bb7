#include "support/temporary_folder.hpp"
#include <postern/io/file_identity.hpp>

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>

using namespace postern;
using namespace postern::test;
namespace fs = std::filesystem;

namespace {

struct fixture {
  temporary_folder folder;
  fs::path path = folder.path() / "file";
  std::ofstream open{path}; // so that no other file gets the inode
  file_identity file = file_identity::of(path.string()).value();
  std::string difference() const {
    const auto same = file.check();
    return same ? "" : same.error().on;
  }
  bool differs(std::string_view words) const {
    const auto text = difference();
    return text.find(path.string()) != text.npos && text.find(words) != text.npos;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(file_identity_, fixture)

BOOST_AUTO_TEST_CASE(the_same_file_may_change) {
  BOOST_TEST(difference() == "");
  open << "more" << std::flush;
  fs::permissions(path, fs::perms::owner_read);
  BOOST_TEST(difference() == "");
}

BOOST_AUTO_TEST_CASE(a_deleted_file_is_noticed) {
  fs::remove(path);
  BOOST_TEST(differs("deleted or moved"), difference());
  std::ofstream(path) << "a new one";
  BOOST_TEST(differs("replaced"), difference());
}

BOOST_AUTO_TEST_CASE(a_moved_file_is_noticed_until_it_is_back) {
  const auto elsewhere = folder.path() / "elsewhere";
  fs::rename(path, elsewhere);
  BOOST_TEST(differs("deleted or moved"), difference());
  fs::copy_file(elsewhere, path);
  BOOST_TEST(differs("replaced"), difference());
  fs::rename(elsewhere, path);
  BOOST_TEST(difference() == "");
}

BOOST_AUTO_TEST_CASE(a_moved_folder_and_a_link_to_another_file_are_noticed) {
  const auto below = folder.path() / "a", link = folder.path() / "link";
  fs::create_directory(below);
  std::ofstream inside(below / "file"), other(below / "other");
  fs::create_symlink(below / "file", link);
  const auto direct = file_identity::of((below / "file").string()).value();
  const auto linked = file_identity::of(link.string()).value();
  BOOST_TEST((direct.check().has_value() && linked.check().has_value()));
  fs::remove(link);
  fs::create_symlink(below / "other", link);
  BOOST_TEST(!linked.check().has_value());
  fs::rename(below, folder.path() / "b");
  BOOST_TEST(!direct.check().has_value());
}

BOOST_AUTO_TEST_CASE(a_file_that_is_missing_from_the_beginning_is_an_error) {
  BOOST_TEST((file_identity::of(path.string() + "x").error().code == errc::not_found));
}

BOOST_AUTO_TEST_SUITE_END()
