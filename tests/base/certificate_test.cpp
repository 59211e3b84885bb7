#include "support/signing_certificates.hpp"
#include "support/temporary_folder.hpp"
#include <postern/base/certificate.hpp>

#include <boost/test/unit_test.hpp>

#include <fstream>

using namespace postern;
using test::made_certificate;
using test::make_certificate;

namespace {

// Made once: keys take time.
const made_certificate root = make_certificate({.name = "root", .authority = true});
const made_certificate middle = make_certificate({.name = "middle", .authority = true, .by = &root});
const made_certificate leaf =
    make_certificate({.by = &middle, .issuer_url = "http://crt.example.amazontrust.com/middle.cer"});

certificate read(const made_certificate& c) { return certificate::read_pem(c.pem()).value().front(); }

seconds_clock now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

struct fixture {
  test::temporary_folder folder;
  trusted_issuers in(const made_certificate& c) {
    std::ofstream(folder.path() / "ca.pem") << c.pem();
    return trusted_issuers((folder.path() / "ca.pem").string());
  }
};

bool refused(const result<void>& r) { return !r && r.error().code == errc::forbidden; }

} // namespace

BOOST_FIXTURE_TEST_CASE(a_chain_to_a_trusted_root_is_accepted, fixture) {
  const auto trusted = in(root);
  BOOST_TEST(read(leaf).check(trusted, {read(middle)}, now()).has_value());
  BOOST_TEST(read(middle).check(trusted, {}, now()).has_value());
  // The order of the certificates, and unrelated ones among them, do not matter.
  BOOST_TEST(read(leaf).check(trusted, {read(leaf), read(root), read(middle)}, now()).has_value());
}

BOOST_FIXTURE_TEST_CASE(an_issuer_in_the_file_needs_no_root, fixture) {
  BOOST_TEST(read(leaf).check(in(middle), {}, now()).has_value());
}

BOOST_FIXTURE_TEST_CASE(a_chain_without_a_trusted_root_is_rejected, fixture) {
  const auto other = make_certificate({.name = "root", .authority = true});
  const auto by_leaf = make_certificate({.name = "sns.amazonaws.com", .by = &leaf});
  const auto alone = make_certificate({});
  const auto trusted = in(root);
  BOOST_TEST(refused(read(leaf).check(trusted, {}, now())));                           // the middle is missing
  BOOST_TEST(refused(read(leaf).check(in(other), {read(middle), read(root)}, now()))); // the same name, another key
  BOOST_TEST(refused(read(alone).check(in(root), {}, now())));                         // self-signed
  BOOST_TEST(refused(read(by_leaf).check(in(root), {read(leaf), read(middle)},
                                         now()))); // issued by a certificate that is no authority
}

BOOST_FIXTURE_TEST_CASE(a_certificate_is_accepted_only_while_it_is_valid, fixture) {
  const auto trusted = in(root);
  const auto over = make_certificate({.by = &root, .from = -7200, .until = -3600});
  const auto early = make_certificate({.by = &root, .from = 3600, .until = 7200});
  BOOST_TEST(refused(read(over).check(trusted, {}, now())));
  BOOST_TEST(refused(read(early).check(trusted, {}, now())));
  BOOST_TEST(read(over).check(trusted, {}, now() - std::chrono::seconds(3610)).has_value());
  BOOST_TEST((read(over).expires() < now() - std::chrono::seconds(3500)));
  BOOST_TEST((read(leaf).expires() > now() + std::chrono::hours(23)));
  BOOST_TEST((read(leaf).expires() < now() + std::chrono::hours(25)));
}

BOOST_AUTO_TEST_CASE(a_certificate_is_for_its_names_only) {
  const auto one = read(leaf);
  BOOST_TEST(one.is_for("sns.amazonaws.com"));
  BOOST_TEST(!one.is_for("amazonaws.com"));
  BOOST_TEST(!one.is_for("x.sns.amazonaws.com"));
  BOOST_TEST(!one.is_for(""));
  BOOST_TEST(one.issuer_url() == "http://crt.example.amazontrust.com/middle.cer");
  BOOST_TEST(read(root).issuer_url().empty());
  const auto named = read(make_certificate({.name = "sns.amazonaws.com", .alternative_name = "other.example.com"}));
  BOOST_TEST(named.is_for("other.example.com"));
  BOOST_TEST(!named.is_for("sns.amazonaws.com")); // the common name is then ignored
}

BOOST_AUTO_TEST_CASE(signatures_are_verified_with_the_certificates_key) {
  const auto one = read(leaf);
  const auto sha1 = leaf.sign(EVP_sha1(), "text"), sha256 = leaf.sign(EVP_sha256(), "text");
  BOOST_TEST(one.verifies(certificate::digest::sha1, "text", sha1));
  BOOST_TEST(one.verifies(certificate::digest::sha256, "text", sha256));
  BOOST_TEST(!one.verifies(certificate::digest::sha256, "text", sha1));
  BOOST_TEST(!one.verifies(certificate::digest::sha256, "Text", sha256));
  BOOST_TEST(!one.verifies(certificate::digest::sha256, "text", ""));
  BOOST_TEST(!read(middle).verifies(certificate::digest::sha256, "text", sha256));
  for (std::size_t i = 0; i < sha256.size(); i += 17) {
    auto broken = sha256;
    broken[i] = static_cast<char>(broken[i] ^ 1);
    BOOST_TEST(!one.verifies(certificate::digest::sha256, "text", broken), i);
  }
  const auto weak = make_certificate({.bits = 1024});
  BOOST_TEST(!read(weak).verifies(certificate::digest::sha256, "text", weak.sign(EVP_sha256(), "text")));
}

BOOST_AUTO_TEST_CASE(text_that_is_no_certificate_is_rejected) {
  BOOST_TEST(!certificate::read_pem(""));
  BOOST_TEST(!certificate::read_pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
  const auto pem = leaf.pem();
  for (std::size_t n = 0; n + 1 < pem.size(); n += 13) BOOST_TEST(!certificate::read_pem(pem.substr(0, n)), n);
  BOOST_TEST(certificate::read_pem(leaf.pem() + middle.pem()).value().size() == 2u);
  std::string many;
  for (int i = 0; i < 9; ++i) many += pem;
  BOOST_TEST(!certificate::read_pem(many));
  BOOST_TEST(certificate::read_der(leaf.der()).value().is_for("sns.amazonaws.com"));
  BOOST_TEST(!certificate::read_der(leaf.der().substr(1)));
  BOOST_TEST(!certificate::read_der(""));
}

BOOST_AUTO_TEST_CASE(an_unusable_ca_file_is_named_in_the_error) {
  BOOST_CHECK_THROW(trusted_issuers("/nonexistent/ca.pem"), std::runtime_error);
  BOOST_CHECK_NO_THROW(trusted_issuers(""));
}
