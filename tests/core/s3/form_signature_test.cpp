#include <postern/core/s3/form_signature.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

const sigv4::credentials known{"AKIAIOSFODNN7EXAMPLE", secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), {}};

std::vector<form_field> signed_with(const sigv4::credentials& c, const std::string& policy, const std::string& region) {
  const sigv4::scope scope{"20261123T181500Z", region, "s3"};
  const auto key = sigv4::signing_key(c.secret_key, scope.day(), scope.region, scope.service);
  return {{"X-Amz-Algorithm", "AWS4-HMAC-SHA256"},
          {"X-Amz-Credential", sigv4::credential(c.access_key, scope)},
          {"X-Amz-Date", scope.date},
          {"X-Amz-Signature", sigv4::policy_signature(key, policy)}};
}

errc verdict(const std::vector<form_field>& fields, std::string_view policy = "cG9saWN5") {
  auto right = verify_form_signature(fields, policy, known, "eu-west-1");
  return right ? errc{} : right.error().code;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_form_of_any_sdk_with_our_key_is_authentic) {
  BOOST_TEST((verdict(signed_with(known, "cG9saWN5", "eu-west-1")) == errc{}));
}

BOOST_AUTO_TEST_CASE(each_fault_of_a_signature_has_its_own_code) {
  auto fields = signed_with(known, "cG9saWN5", "eu-west-1");
  BOOST_TEST((verdict(fields, "b3RoZXI=") == errc::signature_mismatch));
  BOOST_TEST((verdict(signed_with(known, "cG9saWN5", "us-east-1")) == errc::invalid_argument));
  BOOST_TEST(
      (verdict(signed_with({"AKIAOTHER", known.secret_key, {}}, "cG9saWN5", "eu-west-1")) == errc::unknown_access_key));
  BOOST_TEST((verdict(signed_with({known.access_key, secret("another secret"), {}}, "cG9saWN5", "eu-west-1")) ==
              errc::signature_mismatch));
  for (std::size_t i = 0; i < fields.size(); ++i) {
    auto fewer = fields;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    BOOST_TEST((verdict(fewer) == (i == 0 ? errc::invalid_argument : errc::missing_signature)));
  }
  auto other_day = fields;
  other_day[2].value = "20261124T000000Z";
  BOOST_TEST((verdict(other_day) == errc::invalid_argument));
}
