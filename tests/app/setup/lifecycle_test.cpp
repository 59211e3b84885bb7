#include <postern/app/setup/lifecycle.hpp>
#include <postern/base/json.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

using namespace postern;

namespace {

app::config with(const std::string& profiles) {
  const char* const none[] = {nullptr};
  return app::parse_config("[server]\nsecrets = [\"sixteen bytes or more\"]\n[store]\ntype = \"s3\"\nbucket = "
                           "\"media\"\nother_buckets = [\"papers\"]\n" +
                               profiles,
                           none);
}

using list = std::vector<std::string>;

std::string rule(const std::string& id, const std::string& prefix, const std::string& days = "7") {
  return "<Rule><ID>" + id + "</ID><Filter><Prefix>" + prefix +
         "</Prefix></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>" + days +
         "</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>";
}

std::string document(const std::string& rules) {
  return "<?xml version=\"1.0\"?><LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" + rules +
         "</LifecycleConfiguration>";
}

const std::string theirs = "<Rule><ID>theirs</ID><Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status>"
                           "<Expiration><Days>30</Days></Expiration></Rule>";

} // namespace

BOOST_AUTO_TEST_CASE(the_prefixes_are_those_of_the_profiles) {
  BOOST_TEST((app::upload_prefixes(with(""), "media") == list{"uploads/"}));
  BOOST_TEST((app::upload_prefixes(with(""), "papers") == list{}));
  const auto c = with("[profiles.a]\nkey = \"uploads/pictures/${id}\"\n[profiles.b]\nkey = \"b/${id}\"\n"
                      "[profiles.c]\nbucket = \"papers\"\nkey = \"${id}\"\n[profiles.d]\nbucket = \"papers\"\n");
  BOOST_TEST((app::upload_prefixes(c, "media") == list{"b/", "uploads/"}));
  BOOST_TEST((app::upload_prefixes(c, "papers") == list{""})); // the whole bucket
  const auto checked = with("[profiles.default]\naccept = { url = \"https://a.example.com\", secret = "
                            "\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\" }\n");
  BOOST_TEST((app::upload_prefixes(checked, "media") == list{"quarantine/uploads/", "uploads/"}));
}

BOOST_AUTO_TEST_CASE(the_rule_has_the_form_that_the_aws_cli_takes) {
  const auto read = read_json(app::lifecycle_for_cli(with(""), "media"));
  BOOST_REQUIRE(read.has_value());
  const auto& first = read->find("Rules")->if_array()->at(0);
  BOOST_TEST(*first.find("ID")->if_string() == "postern");
  BOOST_TEST(*first.find("Filter")->find("Prefix")->if_string() == "uploads/");
  BOOST_TEST(*first.find("Status")->if_string() == "Enabled");
  BOOST_TEST(app::lifecycle_for_cli(with(""), "media").find("\"DaysAfterInitiation\": 7") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_rules_of_others_are_kept) {
  const auto c = with("[profiles.b]\nkey = \"b/${id}\"\n");
  const auto first = app::merge_lifecycle(c, "media", "").value();
  BOOST_TEST(first.document.find(rule("postern", "b/") + rule("postern-2", "uploads/")) != std::string::npos,
             first.document);
  BOOST_TEST((!first.had_rule && !first.is_unchanged && first.other_rules == 0));
  const auto again = app::merge_lifecycle(c, "media", first.document).value();
  BOOST_TEST((again.had_rule && again.is_unchanged && again.other_rules == 0));

  const auto merged = app::merge_lifecycle(c, "media", document(theirs + rule("postern", "uploads/", "3"))).value();
  BOOST_TEST((merged.had_rule && !merged.is_unchanged && merged.other_rules == 1));
  BOOST_TEST(merged.document.find(theirs) != std::string::npos, merged.document);
  BOOST_TEST(merged.document.find(">3<") == std::string::npos);
  // Rules of others whose IDs begin alike are no rules of Postern.
  const auto alike = app::merge_lifecycle(
      c, "media", document(rule("postern-logs", "a/") + rule("posterns", "b/") + rule("postern-3", "c/")));
  BOOST_TEST(alike->other_rules == 2u);
  BOOST_TEST(alike->document.find(">c/<") == std::string::npos);
}

// Amazon S3 refuses a document that has both forms: "Filter element can only be used in Lifecycle V2".
BOOST_AUTO_TEST_CASE(beside_rules_of_the_older_form_ours_has_it_too) {
  const std::string old = "<Rule><ID>theirs</ID><Prefix>logs/</Prefix><Status>Enabled</Status></Rule>";
  const auto merged = app::merge_lifecycle(with(""), "media", document(old)).value();
  BOOST_TEST(merged.document.find("<Rule><ID>postern</ID><Prefix>uploads/</Prefix><Status>Enabled</Status>") !=
                 std::string::npos,
             merged.document);
  BOOST_TEST(merged.document.find("Filter") == std::string::npos);
  BOOST_TEST(app::merge_lifecycle(with(""), "media", merged.document)->is_unchanged);
  BOOST_TEST((app::find_abort_days(with(""), "media", merged.document) == 7u));
}

BOOST_AUTO_TEST_CASE(a_document_that_cannot_be_read_is_left_alone) {
  for (const char* text : {"<html>", "no XML", "<CORSConfiguration/>"})
    BOOST_TEST(!app::merge_lifecycle(with(""), "media", text).has_value(), text);
}

BOOST_AUTO_TEST_CASE(a_rule_counts_whoever_wrote_it) {
  const auto c = with("[profiles.b]\nkey = \"b/${id}\"\n");
  const auto days = [&](const std::string& rules) { return app::find_abort_days(c, "media", document(rules)); };
  BOOST_TEST(!days("").has_value());
  BOOST_TEST(!days(theirs).has_value());
  BOOST_TEST((days(rule("x", "")) == 7u));
  BOOST_TEST((days(rule("x", "", "2") + rule("y", "uploads/", "1")) == 2u)); // the longer of both prefixes
  BOOST_TEST((days(rule("x", "b/", "5") + rule("y", "upload", "3")) == 5u));
  BOOST_TEST(!days(rule("x", "uploads/")).has_value()); // not b/
  BOOST_TEST(!days(rule("x", "uploads/deeper/") + rule("y", "b/")).has_value());
  auto disabled = rule("x", "");
  disabled.replace(disabled.find("Enabled"), 7, "Disabled");
  BOOST_TEST(!days(disabled).has_value());
  auto tagged = rule("x", "");
  tagged.replace(tagged.find("<Prefix></Prefix>"), 17, "<Tag><Key>a</Key><Value>b</Value></Tag>");
  BOOST_TEST(!days(tagged).has_value());
  BOOST_TEST(!app::find_abort_days(c, "media", "<html>").has_value());
}

BOOST_AUTO_TEST_CASE(small_files_are_no_multipart_uploads) {
  BOOST_TEST(app::may_use_multipart(with(""), "media"));
  BOOST_TEST(!app::may_use_multipart(with(""), "papers"));
  BOOST_TEST(!app::may_use_multipart(with("[profiles.default]\nmax_size = \"1MiB\"\n"), "media"));
}
