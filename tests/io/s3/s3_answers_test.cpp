#include "support/xml_answers.hpp"
#include <postern/io/s3/s3_answers.hpp>

#include <boost/test/unit_test.hpp>

#include <functional>
#include <string>
#include <vector>

using namespace postern;
using namespace postern::test;

namespace {

const std::string operation = "Operation media/\"k\"";

template <class T> std::string reason(const aws_result<T>& r) {
  BOOST_TEST_REQUIRE(!r.has_value());
  BOOST_TEST((r.error().category == errc::store_failed));
  BOOST_TEST(r.error().operation == operation);
  return r.error().message;
}

std::string part(const std::string& number, const std::string& size) {
  return "<Part><PartNumber>" + number + "</PartNumber><ETag>\"e\"</ETag><Size>" + size + "</Size></Part>";
}
std::string page(const std::string& inside) { return "<ListPartsResult>" + inside + "</ListPartsResult>"; }
std::string more_from(const std::string& marker) {
  return "<IsTruncated>true</IsTruncated><NextPartNumberMarker>" + marker + "</NextPartNumberMarker>";
}

aws_result<void> add(part_list& list, const std::string& body) { return list.add_page(xml_answer(body), operation); }

} // namespace

BOOST_AUTO_TEST_CASE(a_document_is_read_whole_or_not_at_all) {
  struct row {
    std::string document;
    std::function<bool(const http_response&)> reads;
  };
  for (const auto& r : std::vector<row>{
           {"<?xml version=\"1.0\"?><InitiateMultipartUploadResult><UploadId>id</UploadId>"
            "</InitiateMultipartUploadResult>",
            [](const http_response& a) { return read_upload_id(a, operation).has_value(); }},
           {"<CompleteMultipartUploadResult><ETag>\"e-1\"</ETag></CompleteMultipartUploadResult>",
            [](const http_response& a) { return read_completed_multipart(a, operation).has_value(); }},
           {"<CompleteMultipartUploadResult/>",
            [](const http_response& a) { return read_completed_multipart(a, operation).has_value(); }},
           {page(part("1", "5") + part("2", "5")),
            [](const http_response& a) { return part_list().add_page(a, operation).has_value(); }},
           {"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
            [](const http_response& a) { return read_object_keys(a, operation).has_value(); }},
           {"<LocationConstraint>eu-west-1</LocationConstraint>",
            [](const http_response& a) { return read_bucket_region(a, operation).has_value(); }},
           {"<LocationConstraint/>",
            [](const http_response& a) { return read_bucket_region(a, operation).has_value(); }},
       }) {
    for (const auto& whole : {r.document, " \r\n" + r.document + "\n ", r.document + "<!-- S3 -->"})
      BOOST_TEST(r.reads(xml_answer(whole)), whole);
    for (const auto& broken : broken_documents(r.document)) BOOST_TEST(!r.reads(xml_answer(broken)), broken);
  }
}

BOOST_AUTO_TEST_CASE(an_object_needs_a_content_length) {
  const auto head = [](const std::string& length) {
    return read_head_object({200, {{"content-length", length}, {"etag", "\"e\""}}, {}}, operation);
  };
  BOOST_TEST(head("0")->size == 0u);
  BOOST_TEST(head("18446744073709551615")->size == ~std::uint64_t{0});
  for (const auto* wrong : {"", "-1", "5x", "5, 5", "18446744073709551616"})
    BOOST_TEST(reason(head(wrong)) == "the answer has no Content-Length", wrong);
}

BOOST_AUTO_TEST_CASE(an_upload_id_is_in_its_own_document) {
  for (const auto* none : {"<InitiateMultipartUploadResult/>", "<Other><UploadId>id</UploadId></Other>",
                           "<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>"})
    BOOST_TEST(reason(read_upload_id(xml_answer(none), operation)) == "the answer has no UploadId", none);
}

BOOST_AUTO_TEST_CASE(a_completed_upload_has_an_etag_and_a_checksum_or_neither) {
  const auto both = read_completed_multipart(
      xml_answer("<CompleteMultipartUploadResult xmlns=\"x\"><ETag>&quot;e-2&quot;</ETag><ChecksumCRC32C>4waSgw=="
                 "</ChecksumCRC32C></CompleteMultipartUploadResult>"),
      operation);
  BOOST_TEST(both->etag == "e-2");
  BOOST_TEST(both->crc32c == "4waSgw==");
  const auto neither = read_completed_multipart(xml_answer("<CompleteMultipartUploadResult/>"), operation);
  BOOST_TEST((neither->etag.empty() && neither->crc32c.empty()));
  const auto error = read_completed_multipart(
      xml_answer("<Error xmlns=\"x\"><Code>SlowDown</Code><Message>m</Message></Error>"), operation);
  BOOST_TEST_REQUIRE(!error.has_value());
  BOOST_TEST(error.error().code == "SlowDown");
}

BOOST_AUTO_TEST_CASE(a_location_is_a_region_name) {
  const auto located = [](const std::string& inside) {
    return read_bucket_region(xml_answer("<LocationConstraint>" + inside + "</LocationConstraint>"), operation);
  };
  BOOST_TEST(located("").value() == "us-east-1");
  BOOST_TEST(located("EU").value() == "eu-west-1");
  BOOST_TEST(located("ap-south-1").value() == "ap-south-1");
  BOOST_TEST(located("RegionOne").value() == "RegionOne");
  BOOST_TEST(located("<LocationConstraint>ap-south-1</LocationConstraint>").value() == "ap-south-1");
  for (const auto* wrong : {"a.example/", "eu west", "x#", "eu&#10;west", "ap_south_1"})
    BOOST_TEST(reason(located(wrong)).ends_with("is no name of a region"), wrong);
  BOOST_TEST(reason(read_bucket_region(xml_answer("<Other/>"), operation)) == "the answer is no LocationConstraint");
}

BOOST_AUTO_TEST_CASE(a_list_of_open_multipart_uploads) {
  const auto listed = [](const std::string& inside) {
    return read_multiparts(xml_answer("<ListMultipartUploadsResult>" + inside + "</ListMultipartUploadsResult>"),
                           operation, "media");
  };
  BOOST_TEST(listed("").value().empty());
  const auto two = listed("<EncodingType>url</EncodingType><Upload><Key>a+b%2F%C3%9C</Key><UploadId>i/+=</UploadId>"
                          "</Upload><Upload><Key>c</Key><UploadId>2</UploadId></Upload>")
                       .value();
  BOOST_REQUIRE(two.size() == 2u);
  BOOST_TEST((two[0].name.bucket == "media" && two[0].name.key == "a b/\xc3\x9c" && two[0].id == "i/+="));
  BOOST_TEST(reason(listed("<Upload><Key>c</Key></Upload>")) == "an upload in the answer has no UploadId");
  BOOST_TEST(reason(listed("<Upload><UploadId>2</UploadId></Upload>")).starts_with("a key in the answer is empty"));
  BOOST_TEST(reason(read_multiparts(xml_answer("<Other/>"), operation, "media")) ==
             "the answer is no ListMultipartUploadsResult");
}

// --- lists of parts ---------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_list_of_parts_is_complete_after_its_last_page) {
  part_list list;
  BOOST_TEST(list.marker() == 0);
  BOOST_TEST(add(list, page(part("1", "0") + part("7", "5000000000") + more_from("7"))).has_value());
  BOOST_TEST(!list.is_complete());
  BOOST_TEST(list.marker() == 7);
  BOOST_TEST(add(list, page(more_from("9"))).has_value()); // a page may have no part
  BOOST_TEST(list.marker() == 9);
  BOOST_TEST(add(list, page("<IsTruncated>false</IsTruncated>" + part("10000", "1"))).has_value());
  BOOST_TEST(list.is_complete());
  BOOST_TEST_REQUIRE(list.parts().size() == 3u);
  BOOST_TEST(list.parts()[1].number == 7);
  BOOST_TEST(list.parts()[1].size == 5'000'000'000u);
  BOOST_TEST(list.parts()[1].etag == "e");
  BOOST_TEST(list.parts()[2].number == 10'000);
}

BOOST_AUTO_TEST_CASE(the_marker_of_the_next_page_is_a_number_that_advances) {
  for (const auto* wrong : {"", "0", "-1", "4", "5", "x", "6x", " 6", "10001", "4294967302"}) {
    part_list list;
    BOOST_TEST(add(list, page(more_from("5"))).has_value());
    BOOST_TEST(reason(add(list, page(more_from(wrong)))) == "the answer is truncated and names no next page", wrong);
    BOOST_TEST(!list.is_complete());
  }
}

BOOST_AUTO_TEST_CASE(a_list_of_parts_has_1000_pages_at_most) {
  part_list list, longer;
  for (int n = 1; n < part_list::max_pages; ++n) {
    BOOST_TEST_REQUIRE(add(list, page(more_from(std::to_string(n)))).has_value());
    BOOST_TEST_REQUIRE(add(longer, page(more_from(std::to_string(n)))).has_value());
  }
  BOOST_TEST(add(list, page("")).has_value());
  BOOST_TEST(list.is_complete());
  BOOST_TEST(reason(add(longer, page(more_from("1000")))) == "the list of parts has more than 1000 pages");
}

BOOST_AUTO_TEST_CASE(a_part_without_a_valid_number_or_size_is_rejected) {
  const auto rejected = [](const std::string& one) {
    part_list list;
    return reason(add(list, page(part("1", "5") + one))) ==
           "a part in the answer has no number from 1 to 10000 or no size";
  };
  for (const auto* number : {"", "0", "-1", "10001", "x", "2x", "4294967298"})
    BOOST_TEST(rejected(part(number, "5")), number);
  for (const auto* size : {"", "-1", "x", "5x", "18446744073709551616"}) BOOST_TEST(rejected(part("2", size)), size);
  BOOST_TEST(rejected("<Part/>"));
}

BOOST_AUTO_TEST_CASE(a_list_has_no_more_parts_than_an_upload_can_have) {
  std::string all;
  for (int n = 1; n <= max_parts; ++n) all += part(std::to_string(n), "5");
  part_list list;
  BOOST_TEST(add(list, page(all)).has_value());
  BOOST_TEST(list.parts().size() == 10'000u);
  part_list longer;
  BOOST_TEST(reason(add(longer, page(all + part("1", "5")))) == "the answer has more than 10000 parts");
}

BOOST_AUTO_TEST_CASE(keys_of_a_list_are_read_as_the_store_encodes_them) {
  const auto read = [](const std::string& inside) {
    return read_object_keys(xml_answer("<ListBucketResult>" + inside + "</ListBucketResult>"), operation);
  };
  const auto of = [](const std::string& key) { return "<Contents><Key>" + key + "</Key><Size>1</Size></Contents>"; };
  const std::string encoded = "<EncodingType>url</EncodingType>";
  using keys = std::vector<std::string>;
  BOOST_TEST(read("").value().empty());
  BOOST_TEST(read(encoded + of("a%20b") + of("a+b") + of("%01%2B%C3%9C%2F/")).value() ==
             (keys{"a b", "a b", "\x01+\xc3\x9c//"}));
  BOOST_TEST(read(of("a%20b+&amp;")).value() == keys{"a%20b+&"}); // a store that does not encode
  for (const auto& bad : {of(""), encoded + of("%2"), encoded + of("%zz"), of("a") + "<Contents/>"})
    BOOST_TEST(reason(read(bad)).find("a key in the answer") != std::string::npos, bad);
  BOOST_TEST(reason(read_object_keys(xml_answer("<Other/>"), operation)).find("no ListBucketResult") !=
             std::string::npos);
}
