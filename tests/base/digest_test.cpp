#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

std::string hex_of(std::string_view raw) {
  return to_hex({reinterpret_cast<const unsigned char*>(raw.data()), raw.size()});
}
std::span<const char> chars(const std::string& s) { return {s.data(), s.size()}; }

} // namespace

BOOST_AUTO_TEST_CASE(sha256_of_fips_180) {
  BOOST_TEST(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  BOOST_TEST(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  BOOST_TEST(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
             "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  BOOST_TEST(sha256_hex(std::string(1'000'000, 'a')) ==
             "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

BOOST_AUTO_TEST_CASE(md5_of_rfc_1321) {
  BOOST_TEST(to_hex(md5("")) == "d41d8cd98f00b204e9800998ecf8427e");
  BOOST_TEST(to_hex(md5("message digest")) == "f96b697d7cb7938d525a2f31aaf161d0");
}

BOOST_AUTO_TEST_CASE(hmac_of_rfc_4231) {
  BOOST_TEST(to_hex(hmac_sha256(std::string(20, '\x0b'), "Hi There")) ==
             "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  BOOST_TEST(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")) ==
             "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  // a key longer than a block
  BOOST_TEST(to_hex(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")) ==
             "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

BOOST_AUTO_TEST_CASE(a_reused_hmac_key_signs_like_a_new_one) {
  for (const std::size_t key_size : {1, 63, 64, 65, 200}) {
    const std::string key(key_size, 'k');
    const hmac_key reused(key);
    for (const std::size_t n : {0, 1, 55, 56, 63, 64, 65, 1000})
      BOOST_TEST(reused.sign_hex(std::string(n, 'x')) == to_hex(hmac_sha256(key, std::string(n, 'x'))));
  }
}

BOOST_AUTO_TEST_CASE(crc32c_of_rfc_3720) {
  // RFC 3720 §B.4
  BOOST_TEST(crc32c(0, chars(std::string(32, '\0'))) == 0x8a9136aau);
  BOOST_TEST(crc32c(0, chars(std::string(32, '\xff'))) == 0x62a8ab43u);
  BOOST_TEST(crc32c(0, chars("123456789")) == 0xe3069283u);
  BOOST_TEST(crc32c_base64(0xe3069283u) == "4waSgw==");
}

BOOST_AUTO_TEST_CASE(a_running_crc_ends_with_its_bytes_the_highest_first) {
  const auto end_of = [](running_digest::kind which) {
    running_digest sum(which);
    sum.add(chars("1234"));
    sum.add(chars("56789"));
    return hex_of(sum.finish());
  };
  BOOST_TEST(end_of(running_digest::kind::crc32) == "cbf43926");
  BOOST_TEST(end_of(running_digest::kind::crc32c) == "e3069283");
  BOOST_TEST(end_of(running_digest::kind::crc64nvme) == "ae8b14860a799888");
}

BOOST_AUTO_TEST_CASE(a_digest_of_pieces_equals_the_digest_of_the_whole) {
  std::string data;
  for (int i = 0; i < 1000; ++i) data += static_cast<char>(i * 7);
  for (const std::size_t cut : {0, 1, 64, 999, 1000}) {
    running_digest sha(running_digest::kind::sha256), old(running_digest::kind::md5);
    for (auto* d : {&sha, &old}) d->add(chars(data).first(cut)), d->add(chars(data).subspan(cut));
    BOOST_TEST(hex_of(sha.finish()) == sha256_hex(data));
    BOOST_TEST(hex_of(old.finish()) == to_hex(md5(data)));
    BOOST_TEST(crc32c(crc32c(0, chars(data).first(cut)), chars(data).subspan(cut)) == crc32c(0, chars(data)));
    BOOST_TEST(crc32c_of_both(crc32c(0, chars(data).first(cut)), crc32c(0, chars(data).subspan(cut)),
                              data.size() - cut) == crc32c(0, chars(data)));
  }
}

BOOST_AUTO_TEST_CASE(constant_time_comparison_finds_every_difference) {
  BOOST_TEST(equal_constant_time("", ""));
  BOOST_TEST(equal_constant_time("abc", "abc"));
  BOOST_TEST(!equal_constant_time("abc", "abd"));
  BOOST_TEST(!equal_constant_time("abc", "abcd"));
  BOOST_TEST(!equal_constant_time(std::string("a\0b", 3), std::string("a\0c", 3)));
}
