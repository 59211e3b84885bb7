#include <postern/base/json.hpp>
#include <postern/core/resumable/ietf_upload.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <support/cuts.hpp>
#include <vector>

using namespace postern;
using ietf_upload::version;

namespace {

constexpr version all_versions[] = {version::unknown, version::v5, version::v6, version::v8};

ietf_upload::fields creation_fields(std::string_view complete = "?0") {
  ietf_upload::fields f;
  f.upload_complete = complete;
  return f;
}

ietf_upload::fields append_fields(std::string_view offset = "40", std::string_view complete = "?0") {
  ietf_upload::fields f;
  f.upload_offset = offset;
  f.upload_complete = complete;
  f.content_type = ietf_upload::body_type;
  return f;
}

template <class T> bool is_bad(const result<T>& read, std::string_view because) {
  return !read && read.error().code == errc::bad_request && read.error().on.find(because) != std::string::npos;
}

template <class T> bool is_read_or_bad(const result<T>& read) {
  return read || ((read.error().code == errc::bad_request || read.error().code == errc::unsupported_type) &&
                  !read.error().on.empty());
}

result<std::string> filename_of(std::string_view disposition) {
  auto f = creation_fields();
  f.content_disposition = disposition;
  auto c = ietf_upload::read_creation(f, 1);
  if (!c) return c.error();
  return c->ask.filename;
}

} // namespace

BOOST_AUTO_TEST_CASE(versions_are_known_unknown_or_absent) {
  BOOST_TEST((ietf_upload::read_version("").value() == std::nullopt));
  BOOST_TEST((ietf_upload::read_version("5").value() == version::v5));
  BOOST_TEST((ietf_upload::read_version("6").value() == version::v6));
  BOOST_TEST((ietf_upload::read_version("8").value() == version::v8));
  BOOST_TEST((ietf_upload::read_version(" 8;a=b ").value() == version::v8));
  for (const auto* other : {"0", "3", "4", "7", "9", "80", "999999999999999"})
    BOOST_TEST_CONTEXT(other) BOOST_TEST((ietf_upload::read_version(other).value() == version::unknown));
  for (const auto* wrong : {"-8", "8.0", "\"8\"", "?1", "8, 8", " ", "1000000000000000", "v8"})
    BOOST_TEST_CONTEXT(wrong) BOOST_TEST(is_bad(ietf_upload::read_version(wrong), "Upload-Draft-Interop-Version"));
  for (const auto v : {version::v5, version::v6, version::v8})
    BOOST_TEST((ietf_upload::read_version(ietf_upload::name_of(v)).value() == v));
  BOOST_TEST(ietf_upload::name_of(version::unknown).empty());
}

BOOST_AUTO_TEST_CASE(a_creation_with_all_its_fields) {
  auto f = creation_fields();
  f.upload_length = "123";
  f.content_disposition = "inline; filename=\"file name.jpg\"; filename*=UTF-8''file%20n%C3%A4me.jpg";
  f.content_type = "image/jpeg";
  const auto c = ietf_upload::read_creation(f, 23).value();
  BOOST_TEST((c.what.offset == 0u && c.what.length == 123u && c.what.announced == 23u && !c.what.is_last));
  BOOST_TEST(c.ask.filename == "file n\xc3\xa4me.jpg");
  BOOST_TEST((c.ask.content_type == "image/jpeg" && c.ask.size == 123u && c.ask.metadata.empty()));
}

BOOST_AUTO_TEST_CASE(the_size_of_a_file_that_comes_whole_is_that_of_the_body) {
  const auto c = ietf_upload::read_creation(creation_fields("?1"), 23).value();
  BOOST_TEST((c.ask.size == 23u && !c.what.length && c.what.is_last));
  BOOST_TEST((ietf_upload::read_creation(creation_fields("?1"), std::nullopt).value().ask.size == std::nullopt));
  BOOST_TEST((ietf_upload::read_creation(creation_fields("?0"), 23).value().ask.size == std::nullopt));
}

BOOST_AUTO_TEST_CASE(lengths_that_contradict_each_other_are_left_to_check_append) {
  auto f = creation_fields("?1");
  f.upload_length = "24";
  const auto c = ietf_upload::read_creation(f, 23).value();
  BOOST_TEST((check_append({0, std::nullopt, 0, 1000, false}, c.what).error().code == errc::bad_request));
}

BOOST_AUTO_TEST_CASE(booleans_are_structured) {
  for (const auto* yes : {"?1", " ?1 ", "?1;a", "?1;a=b;c=\"d\""})
    BOOST_TEST_CONTEXT(yes) BOOST_TEST(ietf_upload::read_creation(creation_fields(yes), 1).value().what.is_last);
  for (const auto* no : {"?0", "?0;a=?1"})
    BOOST_TEST_CONTEXT(no) BOOST_TEST(!ietf_upload::read_creation(creation_fields(no), 1).value().what.is_last);
  for (const auto* wrong : {"", "1", "0", "?2", "true", "?T", "? 1", "?1, ?1", "?", ";a", "?1?1", "?1 ;a"}) {
    BOOST_TEST_CONTEXT(wrong) {
      BOOST_TEST(is_bad(ietf_upload::read_creation(creation_fields(wrong), 1), "Upload-Complete must be ?1 or ?0"));
      BOOST_TEST(is_bad(ietf_upload::read_append(append_fields("40", wrong), 1, version::v8), "Upload-Complete"));
    }
  }
  BOOST_TEST(ietf_upload::boolean(true) == "?1");
  BOOST_TEST(ietf_upload::boolean(false) == "?0");
}

BOOST_AUTO_TEST_CASE(integers_are_structured) {
  BOOST_TEST(
      (ietf_upload::read_append(append_fields("999999999999999"), 1, version::v8).value().offset == 999999999999999u));
  BOOST_TEST((ietf_upload::read_append(append_fields(" 007;a=\"b\" "), 1, version::v8).value().offset == 7u));
  for (const auto* wrong : {"1000000000000000", "0000000000000001", "-1", "+1", "1.0", "1 2", "\"1\"", ":MQ==:", "?1",
                            "1 ;a", ";a", "(1)", "1,1", "a"}) {
    auto with_length = append_fields();
    auto creation = creation_fields();
    with_length.upload_length = creation.upload_length = wrong;
    BOOST_TEST_CONTEXT(wrong) {
      BOOST_TEST(is_bad(ietf_upload::read_append(append_fields(wrong), 1, version::v8), "Upload-Offset must be"));
      BOOST_TEST(is_bad(ietf_upload::read_append(with_length, 1, version::v8), "Upload-Length must be"));
      BOOST_TEST(is_bad(ietf_upload::read_creation(creation, 1), "Upload-Length must be"));
    }
  }
  BOOST_TEST(is_bad(ietf_upload::read_append(append_fields(""), 1, version::v8), "Upload-Offset must be"));
}

BOOST_AUTO_TEST_CASE(the_name_of_a_file_is_that_of_content_disposition) {
  BOOST_TEST(filename_of("").value() == "file");
  BOOST_TEST(filename_of("inline").value() == "file");
  BOOST_TEST(filename_of("inline; filename=\"\"").value() == "file");
  BOOST_TEST(filename_of("attachment; filename=a.png").value() == "a.png");
  BOOST_TEST(filename_of("Inline;FileName=\"a;b\\\"c\";x=y").value() == "a;b\"c");
  BOOST_TEST(filename_of("inline; filename*=utf-8'en'%e2%82%ac; filename=\"EUR\"").value() == "\xe2\x82\xac");
  // What cannot be read as UTF-8 leaves the plain name.
  BOOST_TEST(filename_of("inline; filename=a; filename*=iso-8859-1''%e9").value() == "a");
  BOOST_TEST(filename_of("inline; filename=a; filename*=UTF-8''%ff").value() == "a");
  BOOST_TEST(filename_of("inline; filename=a; filename*=UTF-8''%4").value() == "a");
  BOOST_TEST(filename_of("inline; filename*=broken").value() == "file");
  for (const auto* wrong : {";", "; filename=a", "filename=a", "inline; filename", "inline; filename=\"a", "inline, a",
                            "inline; filename=a; filename=b", "inline; filename*=UTF-8''a; filename*=UTF-8''b",
                            "inline; filename=\"\xe9\""})
    BOOST_TEST_CONTEXT(wrong) BOOST_TEST(is_bad(filename_of(wrong), "Content-Disposition"));
  const auto name = std::string(max_filename, 'a');
  BOOST_TEST(filename_of("inline; filename=" + name).value() == name);
  BOOST_TEST(is_bad(filename_of("inline; filename=a" + name), "4096 bytes"));
}

BOOST_AUTO_TEST_CASE(the_type_of_a_file_is_a_media_type) {
  auto f = creation_fields();
  BOOST_TEST((!ietf_upload::read_creation(f, 1).value().ask.content_type));
  f.content_type = "text/plain; charset=utf-8";
  BOOST_TEST((ietf_upload::read_creation(f, 1).value().ask.content_type == "text/plain; charset=utf-8"));
  for (const auto* wrong : {"png", "image/png, text/html", "a/${filename}"}) {
    f.content_type = wrong;
    BOOST_TEST_CONTEXT(wrong) BOOST_TEST(is_bad(ietf_upload::read_creation(f, 1), "Content-Type must be"));
  }
}

BOOST_AUTO_TEST_CASE(an_append_says_where_its_bytes_belong) {
  for (const auto v : all_versions) {
    auto f = append_fields("40", "?1");
    f.upload_length = "90";
    const auto a = ietf_upload::read_append(f, 50, v).value();
    BOOST_TEST((a.offset == 40u && a.length == 90u && a.announced == 50u && a.is_last));
    const auto b = ietf_upload::read_append(append_fields(), std::nullopt, v).value();
    BOOST_TEST((b.offset == 40u && !b.length && !b.announced && !b.is_last));
  }
}

BOOST_AUTO_TEST_CASE(an_append_has_a_type_from_version_6_on) {
  for (const std::string_view type : {"", "application/octet-stream", "application/offset+octet-stream"}) {
    auto f = append_fields();
    f.content_type = type;
    BOOST_TEST_CONTEXT(type) {
      BOOST_TEST((ietf_upload::read_append(f, 1, version::v5).has_value()));
      for (const auto v : {version::v6, version::v8, version::unknown})
        BOOST_TEST((ietf_upload::read_append(f, 1, v).error().code == errc::unsupported_type));
    }
  }
  for (const std::string_view type : {"Application/Partial-Upload", "application/partial-upload; a=b"}) {
    auto f = append_fields();
    f.content_type = type;
    BOOST_TEST((ietf_upload::read_append(f, 1, version::v8).has_value()));
  }
}

BOOST_AUTO_TEST_CASE(an_append_before_version_8_can_leave_out_that_it_is_not_the_last) {
  for (const auto v : {version::v5, version::v6})
    BOOST_TEST((!ietf_upload::read_append(append_fields("40", ""), 1, v).value().is_last));
  for (const auto v : {version::v8, version::unknown})
    BOOST_TEST(is_bad(ietf_upload::read_append(append_fields("40", ""), 1, v), "Upload-Complete must be"));
  for (const auto v : all_versions)
    BOOST_TEST(is_bad(ietf_upload::read_append(append_fields("40", "1"), 1, v), "Upload-Complete must be"));
}

BOOST_AUTO_TEST_CASE(an_append_is_answered_by_201_before_version_8) {
  BOOST_TEST(ietf_upload::status_of_append(version::v5) == 201);
  BOOST_TEST(ietf_upload::status_of_append(version::v6) == 201);
  BOOST_TEST(ietf_upload::status_of_append(version::v8) == 204);
  BOOST_TEST(ietf_upload::status_of_append(version::unknown) == 204);
}

BOOST_AUTO_TEST_CASE(limits_are_written_as_each_version_knows_them) {
  using std::chrono::seconds;
  const ietf_upload::limits all{1000, 1, seconds(3600)};
  BOOST_TEST(ietf_upload::limit_field(all, version::v8) == "max-size=1000, min-size=1, max-age=3600");
  BOOST_TEST(ietf_upload::limit_field(all, version::unknown) == "max-size=1000, min-size=1, max-age=3600");
  BOOST_TEST(ietf_upload::limit_field(all, version::v6) == "max-size=1000, min-size=1, expires=3600");
  BOOST_TEST(ietf_upload::limit_field(all, version::v5) == "");
  BOOST_TEST(ietf_upload::limit_field({}, version::v8) == "min-size=0");
  BOOST_TEST(ietf_upload::limit_field({{}, {}, seconds(-1)}, version::v8) == "max-age=0");
  BOOST_TEST(ietf_upload::limit_field({UINT64_MAX, {}, {}}, version::v8) == "max-size=999999999999999");
}

BOOST_AUTO_TEST_CASE(problems_have_the_types_of_the_draft) {
  const auto read = [](const std::string& body, std::string_view type, std::int64_t status, std::string_view code) {
    auto json = read_json(body).value();
    BOOST_TEST(*json.find("type")->if_string() ==
               "https://iana.org/assignments/http-problem-types#" + std::string(type));
    BOOST_TEST(*json.find("status")->if_int() == status);
    BOOST_TEST(*json.find("code")->if_string() == code);
    BOOST_TEST(*json.find("request_id")->if_string() == "R");
    BOOST_TEST(!json.find("title")->if_string()->empty());
    return json;
  };
  const auto offset = read(ietf_upload::mismatching_offset_problem(12500000, 25000000, "R"),
                           "mismatching-upload-offset", 409, text_of(errc::conflict).name);
  BOOST_TEST(*offset.find("expected-offset")->if_int() == 12500000);
  BOOST_TEST(*offset.find("provided-offset")->if_int() == 25000000);
  BOOST_TEST(*offset.find("detail")->if_string() ==
             "the next byte of the file is that at offset 12500000, but the request's offset is 25000000");
  const auto length = read(ietf_upload::inconsistent_length_problem("5 \"against\" 6", "R"),
                           "inconsistent-upload-length", 400, text_of(errc::bad_request).name);
  BOOST_TEST(*length.find("detail")->if_string() == "5 \"against\" 6");
  read(ietf_upload::completed_upload_problem("R"), "completed-upload", 400, text_of(errc::bad_request).name);
}

BOOST_AUTO_TEST_CASE(fields_that_are_cut_anywhere_are_read_or_refused) {
  const std::string inputs[] = {"999999999999999;a=\"b\"", "?1;a=b", "application/partial-upload; charset=utf-8",
                                "inline; filename=\"a \\\"b.jpg\"; filename*=UTF-8''file%20n%C3%A4me.jpg"};
  for (const auto& input : inputs)
    test::for_every_cut(input, [&](const auto& pieces) {
      for (const auto& view : pieces) {
        const std::vector<char> copy(view.begin(), view.end()); // so that a read beyond its end is seen
        const std::string_view piece(copy.data(), copy.size());
        BOOST_TEST(is_read_or_bad(ietf_upload::read_version(piece)));
        auto c = creation_fields(piece);
        BOOST_TEST(is_read_or_bad(ietf_upload::read_creation(c, 1)));
        c = creation_fields();
        c.upload_length = piece;
        BOOST_TEST(is_read_or_bad(ietf_upload::read_creation(c, 1)));
        c = creation_fields();
        c.content_type = piece;
        BOOST_TEST(is_read_or_bad(ietf_upload::read_creation(c, 1)));
        BOOST_TEST(is_read_or_bad(filename_of(piece)));
        for (const auto v : all_versions) {
          BOOST_TEST(is_read_or_bad(ietf_upload::read_append(append_fields(piece), 1, v)));
          BOOST_TEST(is_read_or_bad(ietf_upload::read_append(append_fields("1", piece), 1, v)));
          auto a = append_fields();
          a.content_type = piece;
          const bool has_type = v == version::v5 || piece.starts_with(ietf_upload::body_type);
          BOOST_TEST(ietf_upload::read_append(a, 1, v).has_value() == has_type);
        }
      }
    });
}
