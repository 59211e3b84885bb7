#include <postern/base/encoding.hpp>
#include <postern/core/s3/policy.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

const seconds_clock now = parse_iso8601("2026-11-23T12:00:00Z").value();

result<policy> read(const std::string& json) { return read_policy(to_base64(json)); }

std::string with_conditions(const std::string& conditions) {
  return R"({"expiration":"2026-11-23T13:00:00Z","conditions":[)" + conditions + "]}";
}

// Judges a form by these conditions and one that any bucket meets. Returns nothing when accepted, else the failure.
std::optional<errc> judged(const std::string& conditions, const std::vector<form_field>& fields,
                           std::string_view bucket = "b", seconds_clock at = now) {
  auto p = read(with_conditions(R"(["starts-with","$bucket",""])" + (conditions.empty() ? "" : "," + conditions)));
  BOOST_REQUIRE(p.has_value());
  auto verdict = judge(*p, fields, bucket, at);
  return verdict ? std::nullopt : std::optional(verdict.error().code);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_policy_round_trips) {
  const policy p{now,
                 {{policy_condition::kind::equal, "bucket", "b"},
                  {policy_condition::kind::starts_with, "key", "a\"\\\n<>&\xc3\xa4\xf0\x9f\x98\x80"},
                  {policy_condition::kind::equal, "x-amz-meta-a", ""}},
                 length_range{0, 5}};
  const auto again = read(policy_document(p)).value();
  BOOST_TEST((again.expires == p.expires));
  BOOST_TEST((again.conditions == p.conditions));
  BOOST_TEST((again.length == p.length));
}

BOOST_AUTO_TEST_CASE(a_malformed_policy_is_rejected_with_the_reason) {
  for (const char* json :
       {"", "{", "[]", "5", "{}", R"({"expiration":"2026-11-23T13:00:00Z"})", R"({"conditions":[]})",
        R"({"Expiration":"2026-11-23T13:00:00Z","conditions":[]})",
        R"({"expiration":"2026-11-23T13:00:00Z","Conditions":[]})", R"({"expiration":"tomorrow","conditions":[]})",
        R"({"expiration":5,"conditions":[]})", R"({"expiration":"2026-11-23T13:00:00","conditions":[]})",
        R"({"expiration":"2026-11-23T13:00:00+01:00","conditions":[]})",
        R"({"expiration":"2026-11-23T13:00:00Z","conditions":{}})",
        R"({"expiration":"2026-11-23T13:00:00Z","conditions":[],"conditions":[]})",
        R"({"expiration":"2026-11-23T13:00:00Z","conditions":[],"other":1})"})
    BOOST_TEST_CONTEXT(json) {
      auto p = read(json);
      BOOST_REQUIRE(p.has_error());
      BOOST_TEST((p.error().code == errc::invalid_policy));
    }
  for (const char* condition : {"5",
                                "\"a\"",
                                "[]",
                                "{}",
                                R"(["eq","$a"])",
                                R"(["eq","a","b"])",
                                R"(["eq","$","b"])",
                                R"(["eq","$a",5])",
                                R"(["like","$a","b"])",
                                R"({"a":5})",
                                R"({"":"x"})",
                                R"(["content-length-range"])",
                                R"(["content-length-range",1])",
                                R"(["content-length-range",-1,5])",
                                R"(["content-length-range",5,1])",
                                R"(["content-length-range","a",5])",
                                R"(["content-length-range","",5])",
                                R"(["content-length-range",1,2,3])",
                                R"(["content-length-range",1,1.5])",
                                R"(["content-length-range",1,9223372036854775808])",
                                R"(["content-length-range",1,"9223372036854775808"])",
                                R"(["content-length-range",2,5],["content-length-range",1,1])"})
    BOOST_TEST_CONTEXT(condition) BOOST_TEST(read(with_conditions(condition)).has_error());
  BOOST_TEST(read_policy("not base64!").has_error());
  std::string many = "{\"a\":\"b\"}";
  for (int i = 0; i < 100; ++i) many += ",{\"a\":\"b\"}";
  BOOST_TEST(read(with_conditions(many)).has_error());
  // However the conditions are written: one object may hold several.
  std::string members = "\"a\":\"b\"";
  for (int i = 0; i < 99; ++i) members += ",\"a\":\"b\"";
  BOOST_TEST(read(with_conditions("{" + members + "}")).has_value());
  BOOST_TEST(read(with_conditions("{" + members + ",\"a\":\"b\"}")).has_error());
}

BOOST_AUTO_TEST_CASE(length_ranges_are_parsed) {
  BOOST_TEST((read(with_conditions(R"(["content-length-range","5","10"])"))->length == length_range{5, 10}));
  BOOST_TEST((read(with_conditions(R"(["Content-Length-Range",5,10],["content-length-range",0,7])"))->length ==
              length_range{5, 7}));
  BOOST_TEST(!read(with_conditions(""))->length.has_value());
  BOOST_TEST(
      (judge(*read(with_conditions(R"({"bucket":"b"})")), {}, "b", now).value() == length_range{0, max_post_size}));
}

BOOST_AUTO_TEST_CASE(base64_may_be_wrapped) {
  auto text = to_base64(with_conditions(R"({"bucket":"b"})"));
  text.insert(20, "\r\n ");
  BOOST_TEST(read_policy(text).has_value());
}

BOOST_AUTO_TEST_CASE(a_dollar_may_be_escaped) {
  BOOST_TEST(!judged(R"(["starts-with","\$key","a"])", {{"key", "abc"}}));
  BOOST_TEST(!judged(R"(["starts-with","$key","\\$foo"])", {{"key", "\\$foo.txt"}}));
  BOOST_TEST(!judged(R"({"key":"\$foo"})", {{"key", "$foo"}}));
}

BOOST_AUTO_TEST_CASE(every_field_needs_a_condition_and_every_condition_a_field) {
  const std::string conditions = R"({"bucket":"b"},["starts-with","$key","a"],{"acl":"private"})";
  BOOST_TEST(!judged(conditions, {{"key", "abc"}, {"acl", "private"}}));
  BOOST_TEST(!judged(conditions, {{"KEY", "abc"},
                                  {"Acl", "private"},
                                  {"x-ignore-me", "x"},
                                  {"X-Amz-Signature", "x"},
                                  {"policy", "x"},
                                  {"AWSAccessKeyId", "x"},
                                  {"signature", "x"},
                                  {"bucket", "b"}}));
  using fields = std::vector<form_field>;
  for (const auto& f :
       {fields{{"key", "abc"}}, fields{{"key", "abc"}, {"acl", "public-read"}},
        fields{{"key", "xbc"}, {"acl", "private"}}, fields{{"key", "abc"}, {"acl", "private"}, {"other", "x"}},
        fields{{"key", "abc"}, {"acl", "private"}, {"submit", "x"}},
        fields{{"key", "abc"}, {"acl", "private"}, {"bucket", "c"}}, fields{}})
    BOOST_TEST((judged(conditions, f) == errc::policy_mismatch));
  BOOST_TEST((judged(conditions, {{"key", "abc"}, {"acl", "private"}}, "c") == errc::policy_mismatch));
  BOOST_TEST((judged(conditions, {{"key", "abc"}, {"Key", "abc"}, {"acl", "private"}}) == errc::duplicate_field));
}

BOOST_AUTO_TEST_CASE(the_bucket_needs_a_condition) {
  const auto p = read(with_conditions(R"(["starts-with","$key",""])"));
  BOOST_TEST((judge(*p, {{"key", "a"}}, "b", now).error().code == errc::policy_mismatch));
}

BOOST_AUTO_TEST_CASE(all_conditions_on_a_field_must_hold) {
  BOOST_TEST(!judged(R"(["starts-with","$key","a"],["starts-with","$key","ab"])", {{"key", "abc"}}));
  BOOST_TEST((judged(R"(["starts-with","$key","a"],{"key":"x"})", {{"key", "abc"}}) == errc::policy_mismatch));
}

BOOST_AUTO_TEST_CASE(a_policy_ends_at_its_expiration) {
  BOOST_TEST(!judged("", {}, "b", now + std::chrono::seconds(3599)));
  BOOST_TEST((judged("", {}, "b", now + std::chrono::seconds(3600)) == errc::policy_expired));
}

BOOST_AUTO_TEST_CASE(signature_fields_match_exactly_only) {
  for (const std::string name : {"x-amz-algorithm", "x-amz-credential", "x-amz-date"}) {
    BOOST_TEST(!judged("{\"" + name + "\":\"v\"}", {{name, "v"}}));
    BOOST_TEST((judged("[\"starts-with\",\"$" + name + "\",\"\"]", {{name, "v"}}) == errc::policy_mismatch));
  }
}

BOOST_AUTO_TEST_CASE(a_list_of_types_must_match_throughout) {
  const std::string image = R"(["starts-with","$Content-Type","image/"])";
  BOOST_TEST(!judged(image, {{"Content-Type", "image/png"}}));
  BOOST_TEST(!judged(image, {{"content-type", "image/png, image/gif,image/x"}}));
  BOOST_TEST((judged(image, {{"Content-Type", "image/png, text/html"}}) == errc::policy_mismatch));
  BOOST_TEST((judged(R"(["starts-with","$key","a"])", {{"key", "b,a"}}) == errc::policy_mismatch));
  BOOST_TEST(!judged(R"(["starts-with","$key","a"])", {{"key", "a,b"}}));
}

BOOST_AUTO_TEST_CASE(filename_is_replaced_in_every_field) {
  std::vector<form_field> fields{
      {"key", "a/${filename}"}, {"x-amz-meta-n", "${filename}-${filename}"}, {"policy", "${filename}"}};
  expand_filename(fields, "C:\\dir/${filename}");
  BOOST_TEST(fields[0].value == "a/${filename}");
  BOOST_TEST(fields[1].value == "${filename}-${filename}");
  BOOST_TEST(fields[2].value == "${filename}");
  fields = {{"key", "a/${filename}"}};
  expand_filename(fields, "x/y\\z.txt");
  BOOST_TEST(fields[0].value == "a/z.txt");
  fields = {{"key", "a/${filename}"}};
  expand_filename(fields, "");
  BOOST_TEST(fields[0].value == "a/");
}

BOOST_AUTO_TEST_CASE(bucket_names_are_checked) {
  for (const char* name : {"media", "my.bucket-2", "Old_Bucket", "a"}) BOOST_TEST(is_bucket_name(name), name);
  for (const std::string name : {"", ".", "a..b", "a/b", "a b", "x\r\nHost: y", "b?x=1", "b#", "a:b", "ä", "a%2f"})
    BOOST_TEST(!is_bucket_name(name), name);
  BOOST_TEST(!is_bucket_name(std::string(256, 'a')));
}
