#include <postern/app/setup/setup.hpp>
#include <postern/base/json.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

const char* const no_environment[] = {nullptr};

app::config with(const std::string& toml) {
  return app::parse_config("[server]\nsecrets = [\"sixteen bytes or more\"]\n" + toml, no_environment);
}

app::config plain(const std::string& region = "eu-west-1") {
  return with("[store]\ntype = \"s3\"\nbucket = \"media\"\nregion = \"" + region + "\"\n");
}

const std::string role_part =
    "[store]\ntype = \"s3\"\nbucket = \"media\"\n[store.credentials]\nrole_arn = "
    "\"arn:aws-us-gov:iam::123456789012:role/service/uploader\"\nexternal_id = \"tenant-42\"\n";

// The texts at a path of names and indexes: "Statement", "0", "Action".
std::vector<std::string> texts(const std::string& json, std::initializer_list<std::string> path) {
  const auto document = read_json(json);
  BOOST_REQUIRE_MESSAGE(document.has_value(), json);
  const json_value* at = &*document;
  for (const auto& step : path) {
    const auto* items = at->if_array();
    at = items ? &items->at(std::stoul(step)) : at->find(step);
    BOOST_REQUIRE_MESSAGE(at, step << " is not in " << json);
  }
  if (const auto* one = at->if_string()) return {*one};
  std::vector<std::string> out;
  for (const auto& item : *at->if_array()) out.push_back(*item.if_string());
  return out;
}

using list = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_CASE(a_profile_with_an_accept_hook_also_stores_in_quarantine) {
  const auto policy =
      app::upload_policy(with("[store]\ntype = \"s3\"\nbucket = \"media\"\n[profiles.default]\naccept = "
                              "{ url = \"https://a.example.com\", secret = "
                              "\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\" }\n"));
  BOOST_TEST((texts(policy, {"Statement", "0", "Resource"}) ==
              list{"arn:aws:s3:::media/quarantine/uploads/*", "arn:aws:s3:::media/uploads/*"}));
}

BOOST_AUTO_TEST_CASE(the_partition_follows_the_region) {
  for (const auto& [region, partition] : {std::pair{"eu-west-1", "aws"},
                                          {"us-east-1", "aws"},
                                          {"default", "aws"},
                                          {"cn-north-1", "aws-cn"},
                                          {"us-gov-west-1", "aws-us-gov"},
                                          {"us-iso-east-1", "aws-iso"},
                                          {"us-isob-east-1", "aws-iso-b"},
                                          {"eusc-de-east-1", "aws-eusc"}}) {
    BOOST_TEST(app::partition_of(region) == partition);
    const auto policy = app::upload_policy(plain(region));
    const auto arn = "arn:" + std::string(partition) + ":s3:::media";
    BOOST_TEST((texts(policy, {"Statement", "0", "Resource"}) == list{arn + "/uploads/*"}));
    BOOST_TEST((texts(policy, {"Statement", "1", "Resource"}) == list{arn}));
  }
}

BOOST_AUTO_TEST_CASE(arns_are_parsed) {
  BOOST_TEST(app::account_of("arn:aws:iam::123456789012:role/uploader") == "123456789012");
  BOOST_TEST(app::account_of("arn:aws:iam:::role/uploader") == "");
  BOOST_TEST(app::account_of("nonsense") == "");
  BOOST_TEST(app::account_of("") == "");
  BOOST_TEST(app::role_name_of("arn:aws:iam::1:role/service/uploader") == "uploader");
  BOOST_TEST(app::principal_of("arn:aws:iam::1:user/bob") == "arn:aws:iam::1:user/bob");
  BOOST_TEST(app::principal_of("arn:aws-cn:sts::1:assumed-role/app/i-0") == "arn:aws-cn:iam::1:role/app");
}

BOOST_AUTO_TEST_CASE(the_upload_policy_allows_only_the_profiles_keys) {
  const auto policy = app::upload_policy(with(R"([store]
type = "s3"
bucket = "media"
other_buckets = ["archive"]
region = "eu-west-1"
[profiles.a]
key = "users/${user}/${id}"
acl = "public-read"
[profiles.b]
bucket = "archive"
key = "${date}/${id}"
tags = { kind = "b" }
sse = "aws:kms"
sse_kms_key = "1234-abcd"
)"));
  BOOST_TEST((texts(policy, {"Statement", "0", "Resource"}) ==
              list{"arn:aws:s3:::archive/*", "arn:aws:s3:::media/uploads/*", "arn:aws:s3:::media/users/*"}));
  const auto actions = texts(policy, {"Statement", "0", "Action"});
  for (const char* needed : {"s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
                             "s3:ListMultipartUploadParts", "s3:PutObjectAcl", "s3:PutObjectTagging"})
    BOOST_TEST((std::find(actions.begin(), actions.end(), needed) != actions.end()), needed);
  BOOST_TEST((texts(policy, {"Statement", "1", "Action"}) == list{"s3:ListBucket"}));
  BOOST_TEST((texts(policy, {"Statement", "1", "Resource"}) == list{"arn:aws:s3:::archive", "arn:aws:s3:::media"}));
  BOOST_TEST((texts(policy, {"Statement", "2", "Resource"}) == list{"arn:aws:kms:eu-west-1:*:key/1234-abcd"}));
  BOOST_TEST((texts(app::upload_policy(plain()), {"Statement", "0", "Action"}).size() == 5u)); // and no further action
}

BOOST_AUTO_TEST_CASE(the_caller_may_assume_the_role_and_the_role_trusts_the_caller) {
  const auto c = with(role_part);
  const std::string role = "arn:aws-us-gov:iam::123456789012:role/service/uploader";
  const auto caller = app::caller_policy(c);
  BOOST_TEST((texts(caller, {"Statement", "0", "Action"}) == list{"sts:AssumeRole"}));
  BOOST_TEST((texts(caller, {"Statement", "0", "Resource"}) == list{role}));
  for (const auto& [who, principal] :
       {std::pair{"", "arn:aws-us-gov:iam::123456789012:root"},
        {"arn:aws-us-gov:iam::9:user/bob", "arn:aws-us-gov:iam::9:user/bob"},
        {"arn:aws-us-gov:sts::9:assumed-role/app/i-0", "arn:aws-us-gov:iam::9:role/app"}}) {
    const auto trust = app::trust_policy(c, who);
    BOOST_TEST((texts(trust, {"Statement", "0", "Principal", "AWS"}) == list{principal}));
    BOOST_TEST((texts(trust, {"Statement", "0", "Condition", "StringEquals", "sts:ExternalId"}) == list{"tenant-42"}));
  }
  const auto open = with("[store]\ntype = \"s3\"\nbucket = \"media\"\n[store.credentials]\nrole_arn = "
                         "\"arn:aws:iam:::role/uploader\"\n");
  BOOST_TEST(app::trust_policy(open).find("Condition") == std::string::npos);
  BOOST_TEST(
      (texts(app::trust_policy(open), {"Statement", "0", "Principal", "AWS"}) == list{"arn:aws:iam:::user/NAME"}));
}

namespace {

app::config with_origins() {
  return with("public_url = \"https://up.example.com/base\"\nallowed_origins = [\"https://app.example.com\", "
              "\"https://up.example.com\", \"http://localhost:3000\"]\n[store]\ntype = \"s3\"\nbucket = \"media\"\n");
}

const list the_origins{"https://up.example.com", "https://app.example.com", "http://localhost:3000"};

} // namespace

BOOST_AUTO_TEST_CASE(the_console_cors_document_names_origins_methods_and_exposed_headers) {
  const auto c = with_origins();
  BOOST_TEST((app::origins_of(c) == the_origins));
  const auto console = app::cors_for_console(c), cli = app::cors_for_cli(c);
  for (const auto& [name, values] : {std::pair<std::string, list>{"AllowedOrigins", the_origins},
                                     {"AllowedMethods", {"POST", "PUT"}},
                                     {"AllowedHeaders", {"*"}},
                                     {"ExposeHeaders", {"ETag", "Location", "Retry-After"}}}) {
    BOOST_TEST((texts(console, {"0", name}) == values));
    BOOST_TEST((texts(cli, {"CORSRules", "0", name}) == values));
  }
}

BOOST_AUTO_TEST_CASE(the_cors_rule_is_merged_with_other_rules) {
  const auto c = with_origins();
  const auto count = [](const std::string& text, const std::string& word) {
    std::size_t n = 0;
    for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++n;
    return n;
  };
  const auto first = app::merge_cors(c, "").value();
  BOOST_TEST((first.other_rules == 0u && !first.had_rule && !first.is_unchanged));
  for (const char* part :
       {"<ID>postern</ID>", "<AllowedOrigin>https://up.example.com</AllowedOrigin>",
        "<AllowedOrigin>http://localhost:3000</AllowedOrigin>", "<AllowedMethod>POST</AllowedMethod>",
        "<AllowedMethod>PUT</AllowedMethod>", "<AllowedHeader>*</AllowedHeader>", "<ExposeHeader>ETag</ExposeHeader>",
        "<ExposeHeader>Location</ExposeHeader>", "<MaxAgeSeconds>3000</MaxAgeSeconds>"})
    BOOST_TEST(count(first.document, part) == 1u, part);
  const auto again = app::merge_cors(c, first.document).value();
  BOOST_TEST((again.other_rules == 0u && again.had_rule && again.is_unchanged));
  BOOST_TEST(again.document == first.document);

  const auto other = app::merge_cors(plain(), first.document).value();
  BOOST_TEST((other.other_rules == 0u && other.had_rule && !other.is_unchanged));
  const std::string theirs = "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>";
  const auto beside =
      app::merge_cors(c, "<?xml version=\"1.0\"?><CORSConfiguration>" + theirs + "</CORSConfiguration>").value();
  BOOST_TEST((beside.other_rules == 1u && !beside.had_rule));
  BOOST_TEST(count(beside.document, "<CORSRule>") == 2u);
  BOOST_TEST(count(beside.document, theirs) == 1u);
  // An unreadable document may contain other rules.
  for (const char* text : {"not XML", "<html>login</html>", "<CORSConfiguration><CORSRule><Allow",
                           "<s3:CORSConfiguration xmlns:s3=\"x\"></s3:CORSConfiguration>"})
    BOOST_TEST(!app::merge_cors(c, text).has_value(), text);
}
