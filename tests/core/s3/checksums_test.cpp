#include <postern/core/s3/checksums.hpp>

#include <boost/test/unit_test.hpp>

#include <string>

using namespace postern;

BOOST_AUTO_TEST_CASE(announced_checksums_are_verified) {
  const std::string data = "123456789";
  const auto check = [&](std::vector<form_field> fields) {
    auto sums = checksums::read(fields).value();
    sums.add({data.data(), 4});
    sums.add({data.data() + 4, data.size() - 4});
    return sums.check().has_value();
  };
  BOOST_TEST(check({}));
  BOOST_TEST(check({{"x-amz-checksum-crc32c", "4waSgw=="}}));
  BOOST_TEST(!check({{"x-amz-checksum-crc32c", "4waSgg=="}}));
  BOOST_TEST(check({{"Content-MD5", "JfnnlDI7RTiF9RgfGNaz3g=="}}) == false);
  BOOST_TEST(check({{"Content-MD5", "JfnnlDI7RTiF9RgfG2JNCw=="}}));
  BOOST_TEST(check({{"X-Amz-Checksum-SHA256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="}}));
  BOOST_TEST(checksums::read({{"content-md5", "abc"}}).has_error());
  // As S3: one x-amz-checksum field, and Content-MD5 beside it.
  BOOST_TEST(
      checksums::read({{"x-amz-checksum-crc32c", "4waSgw=="}, {"x-amz-checksum-crc32", "AAAAAA=="}}).has_error());
  BOOST_TEST(!checksums::read({{"x-amz-checksum-crc32c", "4waSgw=="}, {"content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="}})
                  .has_error());
  BOOST_TEST(checksums::read({{"x-amz-checksum-crc64nvme", "AAAAAAAAAAA="}}).has_error());
}
