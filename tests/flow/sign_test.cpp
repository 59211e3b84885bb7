#include "support/fakes.hpp"
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/core/s3/checksums.hpp>
#include <postern/flow/sign.hpp>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <thread>

using namespace postern;

namespace {

const signer own({secret("a secret for the tests only")});
const millis_clock now{std::chrono::milliseconds(1'795'457'700'123)}; // 2026-11-23T18:15:00.123Z

struct fixture {
  test::fake_ledger ledger;
  profile rules;
  held_credentials held;
  form_store store;
  store_abilities abilities{.takes_forms = true};
  form_signer_options options;
  sign_request ask;
  caller who;

  fixture() {
    rules.name = "default";
    rules.bucket = "media";
    options.public_url = "https://up.example.com";
    store.direct_urls["media"] = "https://media.s3.eu-west-1.amazonaws.com/";
    store.abilities = [this] { return abilities; };
    store.region = "eu-west-1";
    held.keys = {"AKIAIOSFODNN7EXAMPLE", secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), {}};
    store.credentials = [this] { return std::make_shared<const held_credentials>(held); };
    ask.filename = "cat.jpg";
    ask.content_type = "image/jpeg";
    ask.origin = "https://app.example.com";
    who.name = who.user = "app/42";
  }
  result<signed_form> sign() {
    options.profiles["default"] = rules;
    options.find_store = only(store);
    const form_signer forms(options, own);
    auto made = forms.sign(ask, who, now);
    if (made) ledger.issue(*made->row);
    return made;
  }
  errc refused() {
    auto f = sign();
    return f ? errc::internal : f.error().code;
  }
};

std::vector<std::string> names_of(const signed_form& f) {
  std::vector<std::string> out;
  for (const auto& field : f.fields) out.push_back(field.name);
  return out;
}

} // namespace

BOOST_FIXTURE_TEST_CASE(a_signed_form_meets_its_own_policy, fixture) {
  rules.acl = "private";
  rules.tags = {{"team", "web"}};
  ask.metadata = {{"album", "caf\xc3\xa9"}};
  ask.size = 12345;
  const auto f = sign().value();
  BOOST_TEST(f.url == "https://media.s3.eu-west-1.amazonaws.com/");
  BOOST_TEST(f.fallback_url == "https://up.example.com/upload/media");
  BOOST_TEST(f.key == "uploads/" + f.id + "/cat.jpg");
  const auto rules_read = read_policy(*find_field(f.fields, "policy")).value();
  const auto length = judge(rules_read, f.fields, "media", std::chrono::floor<std::chrono::seconds>(now)).value();
  BOOST_TEST(length.min == 12345u);
  BOOST_TEST(length.max == 12345u);
  BOOST_TEST(own.verify_policy(*find_field(f.fields, "policy"), *find_field(f.fields, "x-ignore-postern")));
  BOOST_TEST((f.expires_at == std::chrono::floor<std::chrono::seconds>(now) + std::chrono::minutes(15)));
  BOOST_TEST(find_field(f.fields, "tagging")->find("<Key>team</Key>") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(the_claim_names_the_upload_and_everything_a_completion_needs, fixture) {
  rules.return_to = {"https://app.example.com/albums/*"};
  ask.return_to = "https://app.example.com/albums/7";
  const auto f = sign().value();
  const auto c = own.read_claim(f.complete_url.substr(f.complete_url.rfind('/') + 1),
                                std::chrono::floor<std::chrono::seconds>(now))
                     .value();
  BOOST_TEST(c.id == f.id);
  BOOST_TEST(c.key == f.key);
  BOOST_TEST(c.user == "app/42");
  BOOST_TEST(c.origin == "https://app.example.com");
  BOOST_TEST(c.return_to == ask.return_to);
  BOOST_TEST(c.length.max == rules.max_size);
  BOOST_TEST(c.content_type == "image/jpeg");
  BOOST_TEST(ledger.rows.at(f.id).content_type == "image/jpeg");
  BOOST_TEST(*find_field(f.fields, "success_action_redirect") == f.complete_url);
}

BOOST_FIXTURE_TEST_CASE(the_fields_have_the_documented_order, fixture) {
  const std::vector<std::string> expected{"key",
                                          "Content-Type",
                                          "success_action_redirect",
                                          "x-amz-meta-postern-id",
                                          "x-amz-algorithm",
                                          "x-amz-credential",
                                          "x-amz-date",
                                          "policy",
                                          "x-amz-signature",
                                          "x-ignore-postern"};
  BOOST_TEST(names_of(sign().value()) == expected, boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(a_session_token_is_in_form_and_policy, fixture) {
  held.keys.session_token = "the/token==";
  const auto f = sign().value();
  BOOST_TEST(*find_field(f.fields, "x-amz-security-token") == "the/token==");
  BOOST_TEST(from_base64(*find_field(f.fields, "policy"))->find("the/token==") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_policy_never_outlives_the_keys_that_signed_it, fixture) {
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  held.expires = second + std::chrono::minutes(3);
  BOOST_TEST((sign()->expires_at == *held.expires));
  BOOST_TEST((read_policy(*find_field(sign()->fields, "policy"))->expires == *held.expires));
  held.expires = second + std::chrono::hours(1);
  BOOST_TEST((sign()->expires_at == second + std::chrono::minutes(15)));
  store.credentials = [] { return credentials_ptr{}; };
  BOOST_TEST((refused() == errc::unavailable));
}

BOOST_FIXTURE_TEST_CASE(a_file_too_large_for_a_form_goes_through_the_fallback, fixture) {
  rules.max_size = 6ull << 30;
  BOOST_TEST(sign()->url != sign()->fallback_url);
  ask.size = 6ull << 30;
  BOOST_TEST(sign()->url == sign()->fallback_url);
}

BOOST_FIXTURE_TEST_CASE(a_store_without_forms_gets_the_file_through_the_fallback, fixture) {
  BOOST_TEST(sign()->url != sign()->fallback_url);
  abilities.takes_forms = false;
  BOOST_TEST(sign()->url == sign()->fallback_url);
  store.abilities = form_store{}.abilities; // before the store has answered
  BOOST_TEST(sign()->url != sign()->fallback_url);
}

BOOST_FIXTURE_TEST_CASE(a_status_takes_the_place_of_the_redirect, fixture) {
  ask.success_action_status = 201;
  const auto f = sign().value();
  BOOST_TEST(*find_field(f.fields, "success_action_status") == "201");
  BOOST_TEST(!find_field(f.fields, "success_action_redirect"));
}

BOOST_FIXTURE_TEST_CASE(a_request_outside_its_profile_is_rejected_at_signing, fixture) {
  rules.min_size = 10, rules.max_size = 100;
  rules.content_types = {"image/*", "video/mp4"};
  ask.size = 101;
  BOOST_TEST((refused() == errc::payload_too_large));
  ask.size = 9;
  BOOST_TEST((refused() == errc::entity_too_small));
  ask.size = 100;
  BOOST_TEST(sign().has_value());
  ask.content_type = "text/html";
  BOOST_TEST((refused() == errc::unsupported_type));
  ask.content_type.reset();
  BOOST_TEST((refused() == errc::unsupported_type));
  ask.content_type = "video/mp4";
  ask.return_to = "https://evil.example.com/";
  BOOST_TEST((refused() == errc::bad_request));
  ask.return_to.clear();
  ask.profile = "none";
  BOOST_TEST((refused() == errc::bad_request));
}

BOOST_FIXTURE_TEST_CASE(a_profile_may_require_a_checksum, fixture) {
  rules.verify.push_back(profile_check::checksum);
  BOOST_TEST((refused() == errc::bad_request));
  ask.checksum = checksum_field("crc32c", "4waSgw==").value();
  const auto f = sign().value();
  BOOST_TEST(*find_field(f.fields, "x-amz-checksum-crc32c") == "4waSgw==");
  const auto rules_read = read_policy(*find_field(f.fields, "policy")).value();
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  BOOST_TEST(judge(rules_read, f.fields, "media", second).has_value());
  auto without = f.fields;
  std::erase_if(without, [](const auto& field) { return field.name == "x-amz-checksum-crc32c"; });
  BOOST_TEST((judge(rules_read, without, "media", second).error().code == errc::policy_mismatch));
  rules.verify.clear();
  BOOST_TEST(sign().has_value()); // it may come unasked
}

BOOST_AUTO_TEST_CASE(a_request_names_one_checksum) {
  const auto read = [](const std::string& checksum) {
    return parse_sign_request("{\"filename\":\"a\",\"checksum\":" + checksum + "}");
  };
  BOOST_TEST(read("{\"md5\":\"XUFAKrxLKna5cZ2REBfFkg==\"}")->checksum->name == "Content-MD5");
  BOOST_TEST(read("{\"sha256\":\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"}")->checksum->name ==
             "x-amz-checksum-sha256");
  BOOST_TEST(read("{\"crc32c\":\"4waSgw\"}")->checksum->value == "4waSgw=="); // padded, as S3 wants it
  BOOST_TEST(read("{\"crc64nvme\":\"rosUhgp5mIg=\"}")->checksum->name == "x-amz-checksum-crc64nvme");
  BOOST_TEST(!read("null")->checksum.has_value());
  for (const char* wrong : {"{}", "\"4waSgw==\"", "{\"crc32c\":1}", "{\"crc32c\":\"4waSg\"}",
                            "{\"crc32c\":\"4waSg2==\",\"crc32\":\"4waSgw==\"}", "{\"crc64nvme\":\"AAAAAAAA\"}",
                            "{\"crc64\":\"AAAAAAAAAAA=\"}", "{\"sha256\":\"4waSgw==\"}"}) {
    const auto ask = read(wrong);
    BOOST_TEST((!ask && ask.error().code == errc::bad_request && ask.error().on.starts_with("checksum")), wrong);
  }
}

BOOST_FIXTURE_TEST_CASE(a_prefix_of_return_to_never_admits_another_host, fixture) {
  BOOST_TEST(is_listed({"https://a.example/x*"}, "https://a.example/xyz"));
  BOOST_TEST(!is_listed({"https://a.example/x*"}, "https://a.example/y"));
  BOOST_TEST(!is_listed({"https://a.example/x"}, "https://a.example/x/"));
  for (const std::string way_out :
       {"../y", "a/../../y", "%2e%2E/y", ".%2e", "a/./y", "%zz", "..%2fy", "a%2F..%2f..%2fy", "..%5cy", "%2e%2e%5Cy"})
    BOOST_TEST(!is_listed({"https://a.example/x/*"}, "https://a.example/x/" + way_out), way_out);
  BOOST_TEST(is_listed({"https://a.example/x/*"}, "https://a.example/x/..a/b..?c=../d"));
  for (const auto& broken :
       std::vector<std::string>{"\r\nSet-Cookie: a=b", std::string("\0", 1), " ", "\x7f", "ä", "\\..", "\"<"})
    BOOST_TEST(!is_listed({"https://a.example/x/*"}, "https://a.example/x/" + broken));
}

BOOST_FIXTURE_TEST_CASE(a_file_name_cannot_escape_its_folder, fixture) {
  ask.filename = "../../etc/passwd";
  BOOST_TEST(sign()->key.ends_with("/passwd"));
  ask.filename = "C:\\temp\\..";
  BOOST_TEST(sign()->key.ends_with("/file"));
  ask.filename = "${id}${user}";
  BOOST_TEST(sign()->key.ends_with("/_{id}_{user}"));
}

BOOST_FIXTURE_TEST_CASE(the_issued_row_is_in_the_ledger, fixture) {
  const auto f = sign().value();
  const auto& row = ledger.rows.at(f.id);
  BOOST_TEST((row.state == upload_state::issued));
  BOOST_TEST(row.key == f.key);
  BOOST_TEST(row.user == "app/42");
  BOOST_TEST((row.created_at == now));
}

BOOST_FIXTURE_TEST_CASE(a_callers_limit_narrows_the_profiles, fixture) {
  who.limits.max_size = 1000;
  BOOST_TEST(read_policy(*find_field(sign()->fields, "policy"))->length->max == 1000u);
  ask.size = 1001;
  BOOST_TEST((refused() == errc::payload_too_large));
  ask.size = 1000;
  BOOST_TEST(sign().has_value());
  who.limits.max_size = 1ull << 50;
  ask.size.reset();
  BOOST_TEST(read_policy(*find_field(sign()->fields, "policy"))->length->max == rules.max_size);
}

BOOST_FIXTURE_TEST_CASE(a_callers_limit_never_lowers_the_profiles_minimum, fixture) {
  rules.min_size = 10;
  who.limits.max_size = 10;
  BOOST_TEST(read_policy(*find_field(sign()->fields, "policy"))->length->min == 10u);
  who.limits.max_size = 9;
  BOOST_TEST((refused() == errc::forbidden));
  ask.size = 9;
  BOOST_TEST((refused() == errc::forbidden));
}

BOOST_FIXTURE_TEST_CASE(a_claim_that_no_completion_would_accept_is_not_signed, fixture) {
  rules.return_to = {"https://app.example.com/*"};
  ask.return_to = "https://app.example.com/" + std::string(5000, 'a');
  const auto signed_form = sign();
  BOOST_TEST_REQUIRE(signed_form.has_value());
  const auto token = signed_form->complete_url.substr(signed_form->complete_url.rfind('/') + 1);
  BOOST_TEST(own.read_claim(token, std::chrono::floor<std::chrono::seconds>(now)).has_value());
  ask.return_to += std::string(2000, 'a');
  const auto refused = sign();
  BOOST_TEST_REQUIRE(!refused.has_value());
  BOOST_TEST((refused.error().code == errc::bad_request));
  BOOST_TEST(refused.error().on.ends_with("the maximum is 8192. Shorten return_to, the Origin field or the user"),
             refused.error().on);
}

BOOST_FIXTURE_TEST_CASE(two_forms_never_share_an_id, fixture) { BOOST_TEST(sign()->id != sign()->id); }

// Only ThreadSanitizer sees what this case is for: one thread reads the day's key while another replaces it.
BOOST_FIXTURE_TEST_CASE(threads_that_sign_while_the_credentials_change_get_forms_of_one_key_each, fixture) {
  options.profiles["default"] = rules;
  auto other = held;
  other.keys.access_key = "AKIAI44QH8DHBEXAMPLE";
  other.keys.secret_key = secret("je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY");
  std::atomic<unsigned> asked = 0;
  store.credentials = [&] {
    return std::make_shared<const held_credentials>(asked.fetch_add(1, std::memory_order_relaxed) % 2 ? held : other);
  };
  options.find_store = only(store);
  const form_signer forms(options, own);
  std::vector<signed_form> made[3];
  std::vector<std::thread> threads;
  for (auto& mine : made)
    threads.emplace_back([&] {
      while (mine.size() < 300) mine.push_back(forms.sign(ask, who, now).value());
    });
  for (auto& t : threads) t.join();
  for (const auto& mine : made)
    for (const auto& f : mine) {
      const auto& keys = find_field(f.fields, "x-amz-credential")->starts_with(held.keys.access_key) ? held : other;
      const auto key = sigv4::signing_key(keys.keys.secret_key, "20261123", "eu-west-1", "s3");
      BOOST_REQUIRE(*find_field(f.fields, "x-amz-signature") ==
                    sigv4::policy_signature(key, *find_field(f.fields, "policy")));
    }
}

BOOST_FIXTURE_TEST_CASE(the_json_form_has_the_documented_members, fixture) {
  const auto v = read_json(to_json(sign().value())).value();
  for (const char* name : {"id", "state", "bucket", "key", "expires_at", "method", "enctype", "url", "fallback_url",
                           "fields", "complete_url", "status_url"})
    BOOST_TEST(v.find(name), name);
  BOOST_TEST(*v.find("expires_at")->if_string() == "2026-11-23T18:30:00Z");
}

BOOST_FIXTURE_TEST_CASE(metadata_may_stand_in_the_key, fixture) {
  rules.key = "${meta.album}/${id}";
  rules.key_metadata = {"album"};
  BOOST_TEST((refused() == errc::bad_request)); // it is missing
  ask.metadata = {{"album", "cats"}};
  BOOST_TEST(sign()->key.starts_with("cats/"));
  for (const char* wrong : {"", ".", "..", "a/b", "a\\b", "${user}", "\xff"}) {
    ask.metadata = {{"album", wrong}};
    BOOST_TEST((refused() == errc::bad_request), wrong);
  }
  ask.metadata = {{"album", std::string(201, 'a')}};
  BOOST_TEST((refused() == errc::bad_request));
}

// S3 would replace it, and the policy would allow any key that begins like this one.
BOOST_FIXTURE_TEST_CASE(no_two_values_spell_a_variable, fixture) {
  rules.key_metadata = {"album"};
  ask.filename = "{filename}";
  ask.metadata = {{"album", "$"}};
  rules.key = "${id}/${meta.album}/${filename}";
  BOOST_TEST(sign().has_value());
  rules.key = "${id}/${meta.album}${filename}";
  BOOST_TEST((refused() == errc::bad_request));
  rules.key_metadata.clear();
  rules.key = "${id}/${user}${filename}";
  who.user = "$";
  BOOST_TEST((refused() == errc::bad_request));
}
