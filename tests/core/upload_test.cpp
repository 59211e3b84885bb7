#include <postern/base/json.hpp>
#include <postern/core/sign_request.hpp>
#include <postern/core/upload.hpp>

#include <boost/test/unit_test.hpp>

#include <map>
#include <set>

using namespace postern;

BOOST_AUTO_TEST_CASE(only_the_allowed_state_transitions_are_possible) {
  using enum upload_state;
  const upload_state all[] = {issued, receiving, checking, completed, rejected, failed, expired, removing, removed};
  const std::map<upload_state, std::set<upload_state>> may{
      {issued, {receiving, checking, completed, failed, expired}},
      {receiving, {issued, receiving, checking, completed, failed, expired}},
      {checking, {completed, rejected}},
      {completed, {removing}},
      {rejected, {}},
      {failed, {receiving, checking, completed}},
      {expired, {receiving, checking, completed}},
      {removing, {removed}},
      {removed, {}}};
  for (const auto from : all)
    for (const auto to : all) BOOST_TEST_CONTEXT(name_of(from) << " to " << name_of(to))
  BOOST_TEST(may_follow(from, to) == may.at(from).contains(to));
  for (const auto one : all) BOOST_TEST((upload_state_of(name_of(one)) == one));
  BOOST_TEST(upload_state_names() ==
             "issued, receiving, checking, completed, rejected, failed, expired, removing or removed");
  BOOST_TEST(!upload_state_of("Completed").has_value());
}

BOOST_AUTO_TEST_CASE(file_names_are_made_safe) {
  const std::pair<const char*, const char*> cases[] = {{"cat.jpg", "cat.jpg"},
                                                       {"a b.bin", "a b.bin"},
                                                       {"../../etc/passwd", "passwd"},
                                                       {"C:\\dir\\x.txt", "x.txt"},
                                                       {"", "file"},
                                                       {".", "file"},
                                                       {"..", "file"},
                                                       {"a/", "file"},
                                                       {"a\x01\x7f"
                                                        "b\n.txt",
                                                        "ab.txt"},
                                                       {"a\xc2\x85"
                                                        "b",
                                                        "ab"},
                                                       {"\xff", "\xef\xbf\xbd"},
                                                       {"na\xc3\xafve", "na\xc3\xafve"},
                                                       {"${filename}", "_{filename}"},
                                                       {"...", "..."}};
  for (const auto& [given, wanted] : cases) BOOST_TEST_CONTEXT(given) BOOST_TEST(safe_filename(given) == wanted);
  const auto cut = safe_filename(std::string(254, 'a') + "\xc3\xa4");
  BOOST_TEST(cut == std::string(254, 'a'));
  BOOST_TEST(safe_filename(std::string(300, 'a')).size() == 255);
}

BOOST_AUTO_TEST_CASE(key_templates_are_filled) {
  const key_values v{"ID", "name.txt", "user", "profile", "2026/11/23"};
  BOOST_TEST(fill_key("${profile}/${user}/${date}/${id}/${filename}", v).value() ==
             "profile/user/2026/11/23/ID/name.txt");
  BOOST_TEST(fill_key("$id {id} $", v).value() == "$id {id} $");
  const std::vector<std::pair<std::string, std::string>> metadata{{"album", "cats"}, {"order", "7"}};
  BOOST_TEST(fill_key("${meta.order}/${meta.album}", {"ID", "n", "u", "p", "d", metadata}).value() == "7/cats");
  for (const char* unknown : {"${meta.artist}", "${meta.}", "${meta}", "${meta.album.x}"})
    BOOST_TEST((fill_key(unknown, {"ID", "n", "u", "p", "d", metadata}).error().code == errc::invalid_argument));
  BOOST_TEST((fill_key("${nme}", v).error().code == errc::invalid_argument));
  BOOST_TEST((fill_key("${id", v).error().code == errc::invalid_argument));
  BOOST_TEST((fill_key(std::string(1025, 'a'), v).error().code == errc::key_too_long));
}

BOOST_AUTO_TEST_CASE(an_id_is_found_in_a_key) {
  const std::string id = "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4";
  for (const auto& key : {id, "uploads/" + id + "/a", "a-" + id, id + ".bin"})
    BOOST_TEST((ids_in_key(key) == std::vector{id}));
  for (const auto& key : {std::string("uploads/a"), id.substr(1), std::string("01A20A86-41D4-7AC8-8ECB-3931CEE2CFD4")})
    BOOST_TEST(ids_in_key(key).empty());
}

BOOST_AUTO_TEST_CASE(the_json_form_hides_key_and_metadata_from_strangers) {
  upload u;
  u.id = "id";
  u.state = upload_state::completed;
  u.bucket = "b", u.key = "k", u.profile = "p", u.user = "u";
  u.metadata = {{"a", "b\"<"}};
  u.size = 5, u.etag = "e", u.crc32c = 0xE3069283;
  const auto whole = read_json(to_json(u, true)).value();
  BOOST_TEST(*whole.find("key")->if_string() == "k");
  BOOST_TEST(*whole.find("metadata")->find("a")->if_string() == "b\"<");
  BOOST_TEST(*whole.find("checksum_crc32c")->if_string() == "4waSgw==");
  const auto part = read_json(to_json(u, false)).value();
  for (const char* hidden : {"key", "bucket", "metadata", "user", "profile"}) BOOST_TEST(part.find(hidden) == nullptr);
  BOOST_TEST(*part.find("size")->if_int() == 5);
  BOOST_TEST(part.find("overwritten_etag") == nullptr);
  u.overwritten_etag = "f", u.received = 3;
  const auto overwritten = read_json(to_json(u, false)).value();
  BOOST_TEST(*overwritten.find("overwritten_etag")->if_string() == "f");
  BOOST_TEST(overwritten.find("received") == nullptr); // the upload is complete
  u.state = upload_state::receiving;
  BOOST_TEST(*read_json(to_json(u, false)).value().find("received")->if_int() == 3);
}

BOOST_AUTO_TEST_CASE(types_match_patterns) {
  BOOST_TEST(type_matches("*/*", "a/b"));
  BOOST_TEST(type_matches("image/*", "Image/png; q=1"));
  BOOST_TEST(type_matches("image/png", "IMAGE/PNG ;x"));
  BOOST_TEST(!type_matches("image/*", "image/"));
  BOOST_TEST(!type_matches("image/*", "imagex/png"));
  BOOST_TEST(!type_matches("image/png", "image/pngx"));
}
