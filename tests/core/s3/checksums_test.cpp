#include <postern/base/encoding.hpp>
#include <postern/core/s3/checksums.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <random>
#include <string>

using namespace postern;

namespace {

const std::string data = "123456789";

// The checksums of `data`.
struct row {
  std::string algorithm, field, base64;
};
const std::array rows =
    std::to_array<row>({{"md5", "Content-MD5", "JfnnlDI7RTiF9RgfG2JNCw=="},
                        {"crc32", "x-amz-checksum-crc32", "y/Q5Jg=="},
                        {"crc32c", "x-amz-checksum-crc32c", "4waSgw=="},
                        {"crc64nvme", "x-amz-checksum-crc64nvme", "rosUhgp5mIg="},
                        {"sha1", "x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="},
                        {"sha256", "x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="}});

result<void> checked(const std::vector<form_field>& fields, const std::string& file, std::size_t cut = 0) {
  auto sums = checksums::read(fields).value();
  sums.add(std::span(file).first(cut));
  sums.add(std::span(file).subspan(cut));
  return sums.check();
}

bool is_refused(const std::vector<form_field>& fields, std::string_view because) {
  const auto read = checksums::read(fields);
  return !read && read.error().code == errc::invalid_argument && read.error().on.find(because) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_file_has_the_checksum_that_its_form_announces) {
  BOOST_TEST(checked({}, data).has_value());
  for (const auto& r : rows)
    for (std::size_t cut = 0; cut <= data.size(); ++cut)
      BOOST_TEST(checked({{r.field, r.base64}}, data, cut).has_value(), r.field << " " << cut);
  BOOST_TEST(checked({{"X-AMZ-Checksum-CRC64NVME", "rosUhgp5mIg="}}, data).has_value());
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_of_the_file_or_of_the_checksum_is_found) {
  for (const auto& r : rows) {
    auto other = data;
    other[3] ^= 1;
    const auto bad = checked({{r.field, r.base64}}, other);
    BOOST_TEST((!bad && bad.error().code == errc::bad_digest), r.field);
    BOOST_TEST(bad.error().on.find(r.field) != std::string::npos);
    auto sum = from_base64(r.base64).value();
    for (auto& byte : sum) {
      byte ^= 64;
      BOOST_TEST(!checked({{r.field, to_base64(sum)}}, data).has_value(), r.field);
      byte ^= 64;
    }
  }
}

BOOST_AUTO_TEST_CASE(a_large_file_in_pieces_of_any_size_has_its_checksum) {
  std::mt19937 random(4);
  std::string file(100'000, '\0');
  for (auto& byte : file) byte = static_cast<char>(random());
  const auto crc = crc64nvme(0, file);
  std::string sum;
  for (int shift = 56; shift >= 0; shift -= 8) sum += static_cast<char>(crc >> shift);
  auto sums = checksums::read({{"x-amz-checksum-crc64nvme", to_base64(sum)}}).value();
  for (std::span<const char> rest = file; !rest.empty();) {
    const auto piece = rest.first(std::min<std::size_t>(rest.size(), random() % 5000));
    sums.add(piece);
    rest = rest.subspan(piece.size());
  }
  BOOST_TEST(sums.check().has_value());
}

BOOST_AUTO_TEST_CASE(a_checksum_of_another_length_is_refused) {
  for (const auto& r : rows) {
    auto longer = from_base64(r.base64).value() + "x";
    const auto shorter = longer.substr(0, longer.size() - 2);
    for (const auto& wrong :
         {to_base64(longer), to_base64(shorter), std::string(), std::string("!"), r.base64 + "-3"}) {
      BOOST_TEST(is_refused({{r.field, wrong}}, r.field), r.field << " " << wrong);
      const auto field = checksum_field(r.algorithm, wrong);
      BOOST_TEST((!field && field.error().code == errc::invalid_argument), r.algorithm << " " << wrong);
    }
  }
}

// As S3: one x-amz-checksum field, and Content-MD5 beside it.
BOOST_AUTO_TEST_CASE(two_different_checksum_fields_are_refused) {
  for (const auto& a : rows)
    for (const auto& b : rows) {
      const std::vector<form_field> both{{a.field, a.base64}, {b.field, b.base64}};
      const bool is_md5_beside = a.algorithm != b.algorithm && (a.algorithm == "md5" || b.algorithm == "md5");
      if (is_md5_beside)
        BOOST_TEST(checked(both, data).has_value(), a.field << " " << b.field);
      else if (a.algorithm != "md5") // the form's parser refuses a field that is there twice
        BOOST_TEST(is_refused(both, "is a second"), a.field << " " << b.field);
    }
}

BOOST_AUTO_TEST_CASE(an_unknown_checksum_field_is_refused) {
  for (const char* name : {"x-amz-checksum-sha512", "x-amz-checksum-crc64", "x-amz-checksum-", "X-Amz-Checksum-MD5"})
    BOOST_TEST(is_refused({{name, "AAAAAAAAAAA="}}, "crc32, crc32c, crc64nvme, sha1 and sha256 are"), name);
  // These name an algorithm and hold no checksum.
  BOOST_TEST(
      checked({{"x-amz-checksum-algorithm", "CRC64NVME"}, {"x-amz-checksum-type", "FULL_OBJECT"}}, data).has_value());
  const auto field = checksum_field("sha512", "AAAAAAAAAAA=");
  BOOST_TEST((!field && field.error().on.find("crc32, crc32c, crc64nvme, sha1, sha256, md5") != std::string::npos));
}

BOOST_AUTO_TEST_CASE(a_signing_request_gives_the_field_of_its_checksum) {
  for (const auto& r : rows) {
    const auto field = checksum_field(r.algorithm, r.base64).value();
    BOOST_TEST(field.name == r.field);
    BOOST_TEST(field.value == r.base64);
  }
}
