#include <postern/core/file_type.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <string_view>

using namespace postern;
using namespace std::string_view_literals;

namespace {

constexpr auto fits = type_verdict::fits, mismatch = type_verdict::mismatch, unknown = type_verdict::unknown;

struct row {
  std::string_view declared, found;
  type_verdict verdict;
};

constexpr auto octets = "application/octet-stream"sv, empty = "inode/x-empty"sv, none = ""sv;
constexpr auto docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"sv;

void check(const row& r, const type_equivalents& more = {}) {
  const auto verdict = judge_type(r.declared, r.found, more);
  BOOST_TEST_CONTEXT(r.declared << " with " << (r.found.empty() ? "no finding"sv : r.found))
  BOOST_TEST(name_of(verdict) == name_of(r.verdict));
}

} // namespace

BOOST_AUTO_TEST_CASE(findings_of_images) {
  for (const auto& r : {
           row{"image/png", "image/png", fits},
           row{"IMAGE/PNG; q=1", "image/png", fits},
           row{" image/png ", "image/png", fits},
           row{"image/png", "image/svg+xml", mismatch},
           row{"image/png", "text/html", mismatch},
           row{"image/png", "text/plain", mismatch},
           row{"image/png", "image/jpeg", mismatch},
           row{"image/png", "application/pdf", mismatch},
           row{"image/png", octets, unknown},
           row{"image/png", none, unknown},
           row{"image/png", empty, mismatch},
           row{"image/jpg", "image/jpeg", fits},
           row{"image/pjpeg", "image/jpeg", fits},
           row{"image/x-icon", "image/vnd.microsoft.icon", fits},
           row{"image/heic", "image/heif", fits},
           row{"image/avif", "image/avif", fits},
           row{"image/gif", "image/gif", fits},
           row{"image/svg+xml", "image/svg+xml", fits},
           row{"image/svg+xml", "text/xml", fits},
           row{"image/svg+xml", "text/html", mismatch},
           row{"image/svg+xml", "image/png", mismatch},
           // a type that the table does not have
           row{"image/x-canon-cr2", "image/tiff", fits},
           row{"image/x-canon-cr2", octets, fits},
           row{"image/x-canon-cr2", "image/svg+xml", mismatch},
           row{"image/x-canon-cr2", "text/html", mismatch},
           row{"image/x-canon-cr2", "application/zip", mismatch},
           row{"image/x-canon-cr2", empty, mismatch},
       })
    check(r);
}

BOOST_AUTO_TEST_CASE(findings_of_text) {
  for (const auto& r : {
           row{"text/plain", "text/plain", fits},
           row{"text/plain; charset=utf-8", "text/plain", fits},
           row{"text/csv", "text/plain", fits},
           row{"text/csv", "application/csv", fits},
           row{"application/vnd.ms-excel", "text/csv", fits},
           row{"text/javascript", "text/plain", fits},
           row{"application/javascript", "text/x-c", fits},
           row{"application/json", "text/plain", fits},
           row{"application/geo+json", "application/json", fits},
           row{"application/atom+xml", "text/xml", fits},
           row{"text/markdown", "text/html", fits},
           row{"text/html", "text/plain", fits},
           row{"message/rfc822", "message/rfc822", fits},
           row{"text/plain", empty, fits},
           row{"application/json", "application/x-empty", fits},
           row{"text/plain", "image/png", mismatch},
           row{"text/plain", "application/pdf", mismatch},
           row{"text/csv", "application/zip", mismatch},
           row{"text/plain", octets, unknown},
           row{"text/plain", none, unknown},
       })
    check(r);
}

BOOST_AUTO_TEST_CASE(findings_of_documents_archives_sound_and_films) {
  for (const auto& r : {
           row{"application/pdf", "application/pdf", fits},
           row{"application/pdf", "text/html", mismatch},
           row{"application/pdf", octets, unknown},
           row{"application/pdf", empty, mismatch},
           row{docx, docx, fits},
           row{docx, "application/zip", fits},
           row{docx, "application/x-ole-storage", mismatch},
           row{docx, octets, unknown},
           row{"application/vnd.oasis.opendocument.text", "application/zip", fits},
           row{"application/vnd.ms-excel.sheet.macroEnabled.12", "application/zip", fits},
           row{"application/msword", "application/x-ole-storage", fits},
           row{"application/msword", "text/html", mismatch},
           row{"application/zip", "application/zip", fits},
           row{"application/zip", "application/x-rar", mismatch},
           row{"application/x-gzip", "application/gzip", fits},
           row{"application/x-tar", "application/x-ustar", fits},
           row{"audio/mp3", "audio/mpeg", fits},
           row{"audio/x-m4a", "video/mp4", fits},
           row{"audio/wav", "audio/x-wav", fits},
           row{"video/mp4", "video/quicktime", fits},
           row{"video/webm", "video/x-matroska", fits},
           row{"video/mp2t", "video/MP2T", fits},
           row{"video/mp4", "text/html", mismatch},
           row{"video/mp4", octets, unknown},
           row{"font/ttf", "font/sfnt", fits},
           row{"application/x-msdownload", "application/vnd.microsoft.portable-executable", fits},
           row{"application/pdf", "application/vnd.microsoft.portable-executable", mismatch},
       })
    check(r);
}

BOOST_AUTO_TEST_CASE(findings_of_types_that_say_nothing_or_are_not_known) {
  for (const auto& r : {
           row{"application/octet-stream", "text/html", fits},
           row{"application/octet-stream", octets, fits},
           row{"application/octet-stream", none, fits},
           row{"binary/octet-stream", "image/png", fits},
           row{"", "image/png", fits},
           row{"application/octet-stream", empty, fits},
           row{"application/vnd.example", octets, fits},
           row{"application/vnd.example", none, fits},
           row{"application/vnd.example", "application/zip", fits},
           row{"application/vnd.example", "text/xml", fits},
           row{"application/vnd.example", empty, fits},
           row{"application/vnd.example", "application/vnd.example", fits},
           row{"application/vnd.example", "text/html", mismatch},
           row{"application/vnd.example", "image/svg+xml", mismatch},
           row{"application/vnd.example", "image/png", mismatch},
           row{"application/vnd.example", "application/x-sharedlib", mismatch},
           row{"model/gltf-binary", octets, fits},
           row{"model/gltf-binary", "text/x-shellscript", mismatch},
           row{"application/vnd.example+zip", "application/zip", fits},
           row{"application/vnd.example+zip", "text/plain", mismatch},
       })
    check(r);
}

BOOST_AUTO_TEST_CASE(a_profile_adds_to_the_table) {
  const type_equivalents more{
      {"image/png", {"image/jpeg"}}, {"application/x-tar", {"application/octet-stream"}}, {"video/mp4", {"audio/*"}}};
  for (const auto& r : {
           row{"Image/PNG; a=b", "image/jpeg", fits},
           row{"image/png", "image/png", fits},
           row{"image/png", "image/gif", mismatch},
           row{"image/gif", "image/jpeg", mismatch},
           row{"application/x-tar", octets, fits},
           row{"application/x-tar", none, unknown}, // the look failed: nothing was found that could be allowed
           row{"video/mp4", "audio/x-m4a", fits},
       })
    check(r, more);
}

BOOST_AUTO_TEST_CASE(findings_are_completed) {
  BOOST_TEST(complete_finding("application/x-empty", "") == "inode/x-empty");
  BOOST_TEST(complete_finding(octets, "a") == "text/plain");
  BOOST_TEST(complete_finding(octets, "\n") == "text/plain");
  BOOST_TEST(complete_finding(octets, "\1") == octets);
  BOOST_TEST(complete_finding(octets, "\xff") == octets);
  BOOST_TEST(complete_finding(octets, "PK\3\4....") == "application/zip");
  BOOST_TEST(complete_finding(docx, "PK\3\4....") == docx);
  BOOST_TEST(complete_finding(octets, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1..") == "application/x-ole-storage");
  BOOST_TEST(complete_finding(octets, "ID3\4.......") == "audio/mpeg");
  BOOST_TEST(complete_finding(octets, "ID3 is a tag") == octets);
  BOOST_TEST(complete_finding("text/plain", "ID3\4......") == "text/plain");
  BOOST_TEST(complete_finding("", "PK\3\4....").empty()); // the look failed
}

BOOST_AUTO_TEST_CASE(content_types_are_compared_with_their_parameters) {
  BOOST_TEST(is_same_content_type("image/png", "image/png"));
  BOOST_TEST(is_same_content_type("Text/HTML; charset=\"UTF-8\"", "text/html;charset=utf-8"));
  BOOST_TEST(is_same_content_type("", "binary/octet-stream"));
  BOOST_TEST(is_same_content_type("application/octet-stream", "binary/octet-stream"));
  BOOST_TEST(!is_same_content_type("image/png", "text/html"));
  BOOST_TEST(!is_same_content_type("image/png", ""));
  BOOST_TEST(!is_same_content_type("text/html; charset=utf-8", "text/html; charset=utf-7"));
  BOOST_TEST(!is_same_content_type("text/html; charset=utf-8", "text/html"));
}
