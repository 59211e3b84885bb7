#include <postern/base/encoding.hpp>
#include <postern/core/resumable/tus.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <support/cuts.hpp>
#include <vector>

using namespace postern;

namespace {

const std::string sha1 = "sha1 98O8HYCOBHMq32eZZczDTKeuNEE=";

tus::fields creation_fields(std::string_view length = "100") {
  tus::fields f;
  f.upload_length = length;
  return f;
}

tus::fields append_fields(std::string_view offset = "40") {
  tus::fields f;
  f.upload_offset = offset;
  f.content_type = tus::body_type;
  return f;
}

template <class T> bool is_bad(const result<T>& read, std::string_view because) {
  return !read && read.error().code == errc::bad_request && read.error().on.find(because) != std::string::npos;
}

template <class T> bool is_read_or_bad(const result<T>& read) {
  return read || ((read.error().code == errc::bad_request || read.error().code == errc::unsupported_type) &&
                  !read.error().on.empty());
}

// The request for signing of a file with this metadata, as names and plain values.
result<sign_request> asked(std::vector<std::pair<std::string, std::string>> metadata) {
  tus::creation c;
  c.length = 7;
  c.metadata = std::move(metadata);
  return tus::sign_request_of(c);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_creation_with_all_its_fields) {
  auto f = creation_fields();
  f.upload_metadata = "filename d29ybGQ=,is_private";
  f.upload_checksum = sha1;
  f.content_type = tus::body_type;
  const auto c = tus::read_creation(f).value();
  BOOST_TEST((c.length == 100u && c.has_body));
  BOOST_TEST((c.metadata == decltype(c.metadata){{"filename", "world"}, {"is_private", ""}}));
  BOOST_TEST(
      (c.checksum && c.checksum->name == "x-amz-checksum-sha1" && c.checksum->value == "98O8HYCOBHMq32eZZczDTKeuNEE="));
  const auto bare = tus::read_creation(creation_fields("0")).value();
  BOOST_TEST((bare.length == 0u && !bare.has_body && bare.metadata.empty() && !bare.checksum));
}

BOOST_AUTO_TEST_CASE(a_length_is_declared_or_deferred) {
  tus::fields deferred;
  deferred.upload_defer_length = "1";
  BOOST_TEST((tus::read_creation(deferred).value().length == std::nullopt));
  for (const auto* wrong : {"0", "2", "01", "1 ", "true", "?1"}) {
    deferred.upload_defer_length = wrong;
    BOOST_TEST_CONTEXT(wrong) BOOST_TEST(is_bad(tus::read_creation(deferred), "Upload-Defer-Length must be 1"));
  }
  BOOST_TEST(is_bad(tus::read_creation({}), "exactly one"));
  auto both = creation_fields();
  both.upload_defer_length = "1";
  BOOST_TEST(is_bad(tus::read_creation(both), "exactly one"));
}

BOOST_AUTO_TEST_CASE(numbers_are_digits_up_to_the_largest) {
  constexpr std::string_view largest = "9223372036854775807";
  BOOST_TEST((tus::read_creation(creation_fields(largest)).value().length == 9223372036854775807u));
  BOOST_TEST((tus::read_append(append_fields(largest), 1).value().what.offset == 9223372036854775807u));
  for (const auto* wrong : {"9223372036854775808", "18446744073709551616", "99999999999999999999999", "-1", "+1", " 1",
                            "1 ", "1.0", "0x1", "1e3", "a", "1,2", "\t1", "1_000"}) {
    auto with_length = append_fields();
    with_length.upload_length = wrong;
    BOOST_TEST_CONTEXT(wrong) {
      BOOST_TEST(is_bad(tus::read_creation(creation_fields(wrong)), "Upload-Length must be a number of bytes"));
      BOOST_TEST(is_bad(tus::read_append(append_fields(wrong), 1), "Upload-Offset must be a number of bytes"));
      BOOST_TEST(is_bad(tus::read_append(with_length, 1), "Upload-Length must be a number of bytes"));
    }
  }
  BOOST_TEST(is_bad(tus::read_append(append_fields(""), 1), "Upload-Offset"));
}

BOOST_AUTO_TEST_CASE(concatenation_is_refused) {
  for (const auto* concat : {"partial", "final;/files/a /files/b"}) {
    auto f = creation_fields();
    f.upload_concat = concat;
    BOOST_TEST(is_bad(tus::read_creation(f), "concatenation is not supported"));
    f.upload_length = {}; // as a final one has it
    BOOST_TEST(is_bad(tus::read_creation(f), "concatenation is not supported"));
  }
}

BOOST_AUTO_TEST_CASE(a_body_has_the_type_of_tus_in_any_case_and_with_parameters) {
  for (const auto* type : {"application/offset+octet-stream", "Application/Offset+Octet-Stream",
                           "application/offset+octet-stream; charset=utf-8", "application/offset+octet-stream ;a=b"}) {
    auto c = creation_fields();
    auto a = append_fields();
    c.content_type = a.content_type = type;
    BOOST_TEST_CONTEXT(type) {
      BOOST_TEST(tus::read_creation(c).value().has_body);
      BOOST_TEST((tus::read_append(a, 1).has_value()));
    }
  }
  for (const auto* type : {"application/octet-stream", "application/offset+octet-stream2", "text/plain", "*/*"}) {
    auto c = creation_fields();
    auto a = append_fields();
    c.content_type = a.content_type = type;
    BOOST_TEST_CONTEXT(type) {
      BOOST_TEST((tus::read_creation(c).error().code == errc::unsupported_type));
      BOOST_TEST((tus::read_append(a, 1).error().code == errc::unsupported_type));
    }
  }
  auto without = append_fields();
  without.content_type = {};
  BOOST_TEST((tus::read_append(without, 1).error().code == errc::unsupported_type));
}

BOOST_AUTO_TEST_CASE(an_append_says_where_its_bytes_belong) {
  auto f = append_fields();
  f.upload_length = "90";
  f.upload_checksum = "crc32c 4waSgw==";
  const auto a = tus::read_append(f, 50).value();
  BOOST_TEST((a.what.offset == 40u && a.what.length == 90u && a.what.announced == 50u && !a.what.is_last));
  BOOST_TEST((a.checksum && a.checksum->name == "x-amz-checksum-crc32c"));
  const auto b = tus::read_append(append_fields(), std::nullopt).value();
  BOOST_TEST((b.what.offset == 40u && !b.what.length && !b.what.announced && !b.checksum));
}

BOOST_AUTO_TEST_CASE(checksums_are_those_that_are_announced) {
  const std::string sha256 = "sha256 FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=";
  for (const auto& good : {sha1, sha256, std::string("crc32c 4waSgw==")}) {
    auto f = append_fields();
    f.upload_checksum = good;
    BOOST_TEST_CONTEXT(good) BOOST_TEST((tus::read_append(f, 9).value().checksum.has_value()));
  }
  for (const auto* wrong :
       {"md5 JfnnlDI7RTiF9RgfG2JNCw==", "crc32 y/Q5Jg==", "crc64nvme rosUhgp5mIg=", "SHA1 98O8HYCOBHMq32eZZczDTKeuNEE=",
        "sha1", "sha1 ", "sha1 4waSgw==", "sha1  98O8HYCOBHMq32eZZczDTKeuNEE=", "sha1 98O8HYCOBHMq32eZZczDTKeuNEE= x",
        " sha1 98O8HYCOBHMq32eZZczDTKeuNEE=", "sha1 !", " ", "98O8HYCOBHMq32eZZczDTKeuNEE="}) {
    auto a = append_fields();
    auto c = creation_fields();
    a.upload_checksum = c.upload_checksum = wrong;
    BOOST_TEST_CONTEXT(wrong) {
      BOOST_TEST(is_bad(tus::read_append(a, 9), "Upload-Checksum: "));
      BOOST_TEST(is_bad(tus::read_creation(c), "Upload-Checksum: "));
    }
  }
}

BOOST_AUTO_TEST_CASE(metadata_is_names_and_base64) {
  BOOST_TEST(tus::read_metadata("").value().empty());
  using pairs = std::vector<std::pair<std::string, std::string>>;
  BOOST_TEST((tus::read_metadata("a").value() == pairs{{"a", ""}}));
  BOOST_TEST((tus::read_metadata("a ,b YmM=").value() == pairs{{"a", ""}, {"b", "bc"}}));
  BOOST_TEST((tus::read_metadata("a YQ== , A YmM=").value() == pairs{{"a", "a"}, {"A", "bc"}}));
  BOOST_TEST((tus::read_metadata("a AAECAw==").value() == pairs{{"a", std::string("\0\1\2\3", 4)}}));
  for (const auto* wrong : {",", "a,", ",a", "a,,b", " ", "a YQ==,a YQ==", "a YQ", "a YQ=", "a Y", "a !!!!",
                            "a _-8=", "a YQ== YQ==", "a  YQ==", "a YQ==;b YQ=="})
    BOOST_TEST_CONTEXT(wrong) BOOST_TEST(is_bad(tus::read_metadata(wrong), "Upload-Metadata"));
}

BOOST_AUTO_TEST_CASE(metadata_is_bounded) {
  std::string many = "n1";
  for (std::size_t n = 2; n <= tus::max_metadata_pairs; ++n) many += ",n" + std::to_string(n);
  BOOST_TEST(tus::read_metadata(many).value().size() == tus::max_metadata_pairs);
  BOOST_TEST(is_bad(tus::read_metadata(many + ",n65"), "more than 64 pairs"));
  const auto name = std::string(tus::max_metadata_field, 'n');
  BOOST_TEST(tus::read_metadata(name).value().size() == 1u);
  BOOST_TEST(is_bad(tus::read_metadata(name + "n"), "longer than 8192 bytes"));
}

BOOST_AUTO_TEST_CASE(a_creation_becomes_a_request_for_signing) {
  const auto ask = asked({{"relativePath", "a/b"}, {"filename", "caf\xc3\xa9.png"}, {"filetype", "image/png"}}).value();
  BOOST_TEST(ask.filename == "caf\xc3\xa9.png");
  BOOST_TEST((ask.content_type == "image/png" && ask.size == 7u && !ask.checksum));
  BOOST_TEST((ask.metadata == decltype(ask.metadata){{"relativepath", "a/b"}}));
  tus::creation deferred;
  BOOST_TEST((tus::sign_request_of(deferred).value().size == std::nullopt));
}

BOOST_AUTO_TEST_CASE(a_creation_with_a_checksum_of_its_body_asks_for_no_checksum_of_the_file) {
  auto f = creation_fields();
  f.upload_checksum = sha1;
  f.content_type = tus::body_type;
  BOOST_TEST((!tus::sign_request_of(tus::read_creation(f).value()).value().checksum));
}

BOOST_AUTO_TEST_CASE(names_and_types_have_two_spellings_each) {
  // Uppy sends all four.
  const auto both = asked({{"name", "n"}, {"filename", "f"}, {"type", "text/css"}, {"filetype", "image/png"}}).value();
  BOOST_TEST((both.filename == "f" && both.content_type == "image/png" && both.metadata.empty()));
  const auto second = asked({{"Name", "n"}, {"TYPE", "text/css"}}).value();
  BOOST_TEST((second.filename == "n" && second.content_type == "text/css" && second.metadata.empty()));
  const auto empty_first = asked({{"filename", ""}, {"name", "n"}, {"filetype", ""}, {"type", "text/css"}}).value();
  BOOST_TEST((empty_first.filename == "n" && empty_first.content_type == "text/css"));
  const auto none = asked({}).value();
  BOOST_TEST((none.filename == "file" && !none.content_type));
  for (const auto* wrong : {"", "png", "image/", "image/png, text/html", "a/b\n", "a/${filename}"})
    BOOST_TEST_CONTEXT(wrong) BOOST_TEST((!asked({{"type", wrong}}).value().content_type));
  BOOST_TEST((!asked({{"type", "a/" + std::string(254, 'b')}}).value().content_type));
}

BOOST_AUTO_TEST_CASE(metadata_that_no_object_can_have_is_refused) {
  BOOST_TEST(is_bad(asked({{"a b", ""}}), "\"a b\""));
  BOOST_TEST(is_bad(asked({{"a:", ""}}), "\"a:\""));
  BOOST_TEST(is_bad(asked({{"caf\xc3\xa9", ""}}), "metadata name"));
  BOOST_TEST(is_bad(asked({{"Postern-x", ""}}), "reserved"));
  BOOST_TEST(is_bad(asked({{"note", "a\r\nX: b"}}), "\"note\" has a control character"));
  BOOST_TEST(is_bad(asked({{"note", std::string(1, '\0')}}), "\"note\" has a control character"));
  BOOST_TEST(is_bad(asked({{"note", "\xff"}}), "\"note\" is not UTF-8"));
  BOOST_TEST(is_bad(asked({{"note", "${filename}"}}), "\"note\" has ${filename}"));
  BOOST_TEST(is_bad(asked({{"note", "1"}, {"Note", "2"}}), "\"Note\" is there twice"));
  BOOST_TEST(is_bad(asked({{"filename", "1"}, {"FileName", "2"}}), "\"FileName\" is there twice"));
  BOOST_TEST((asked({{"note", std::string(2044, 'a')}}).has_value()));
  BOOST_TEST(is_bad(asked({{"note", std::string(2045, 'a')}}), "larger than 2048 bytes"));
  BOOST_TEST(is_bad(asked({{"a", std::string(1500, 'a')}, {"b", std::string(1500, 'a')}}), "larger than 2048 bytes"));
  BOOST_TEST(is_bad(asked({{"filename", "\xff"}}), "UTF-8"));
  BOOST_TEST((asked({{"filename", std::string(max_filename, 'a')}}).has_value()));
  BOOST_TEST(is_bad(asked({{"name", std::string(max_filename + 1, 'a')}}), "4096 bytes"));
}

BOOST_AUTO_TEST_CASE(fields_that_are_cut_anywhere_are_read_or_refused) {
  const std::string inputs[] = {"9223372036854775807", sha1, "filename d29ybGQ=,is_private,relativePath bnVsbA==",
                                "application/offset+octet-stream; charset=utf-8"};
  for (const auto& input : inputs)
    test::for_every_cut(input, [&](const auto& pieces) {
      for (const auto& view : pieces) {
        const std::vector<char> copy(view.begin(), view.end()); // so that a read beyond its end is seen
        const std::string_view piece(copy.data(), copy.size());
        auto c = creation_fields(piece);
        BOOST_TEST(is_read_or_bad(tus::read_creation(c)));
        c = creation_fields();
        c.upload_defer_length = piece;
        BOOST_TEST(!tus::read_creation(c).has_value());
        auto a = append_fields(piece);
        a.upload_length = piece;
        BOOST_TEST(is_read_or_bad(tus::read_append(a, 1)));
        a = append_fields();
        a.upload_checksum = piece;
        BOOST_TEST(is_read_or_bad(tus::read_append(a, 1)));
        a = append_fields();
        a.content_type = piece;
        BOOST_TEST(tus::read_append(a, 1).has_value() == piece.starts_with(tus::body_type));
        auto metadata = tus::read_metadata(piece);
        BOOST_TEST(is_read_or_bad(metadata));
        if (metadata) BOOST_TEST(is_read_or_bad(asked(*metadata)));
      }
    });
}
