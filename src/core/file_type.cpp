#include <postern/base/text.hpp>
#include <postern/core/file_type.hpp>
#include <postern/core/sign_request.hpp>

#include <algorithm>
#include <array>

namespace postern {
namespace {

// Types that mean the same or contain each other, separated by spaces.
struct known_type {
  std::string_view declared, findings;
};

constexpr std::string_view zip = "application/zip application/x-zip-compressed ";
constexpr std::string_view base_video = "video/mp4 video/x-m4v video/quicktime video/3gpp video/3gpp2 ";

// NOLINTNEXTLINE(readability-function-size): a table
constexpr std::array known_types = std::to_array<known_type>({
    // images
    {"image/jpeg image/jpg image/pjpeg", "image/jpeg"},
    {"image/png image/x-png image/apng image/vnd.mozilla.apng", "image/png image/apng image/vnd.mozilla.apng"},
    {"image/gif", "image/gif"},
    {"image/webp", "image/webp"},
    {"image/avif image/avif-sequence", "image/avif image/heif"},
    {"image/heic image/heif image/heic-sequence image/heif-sequence",
     "image/heic image/heif image/heic-sequence image/heif-sequence"},
    {"image/bmp image/x-bmp image/x-ms-bmp", "image/bmp image/x-ms-bmp"},
    {"image/tiff", "image/tiff"},
    {"image/x-icon image/vnd.microsoft.icon", "image/vnd.microsoft.icon image/x-icon"},
    {"image/svg+xml", "image/svg+xml text/xml application/xml text/plain"}, // a comment may hide the svg element
    {"image/jp2", "image/jp2"},
    {"image/jxl", "image/jxl"},
    {"image/vnd.adobe.photoshop image/x-photoshop application/x-photoshop", "image/vnd.adobe.photoshop"},
    // documents
    {"application/pdf application/x-pdf", "application/pdf"},
    {"application/postscript", "application/postscript"},
    {"application/illustrator", "application/pdf application/postscript"},
    {"application/msword application/vnd.ms-word",
     "application/msword application/x-ole-storage application/cdfv2 text/rtf"},
    // Windows with Excel declares .csv so.
    {"application/vnd.ms-excel application/excel",
     "application/vnd.ms-excel application/x-ole-storage application/cdfv2 text/csv text/plain"},
    {"application/vnd.ms-powerpoint application/vnd.ms-outlook application/vnd.visio application/vnd.ms-project "
     "application/x-msi application/x-ole-storage",
     "application/vnd.ms-powerpoint application/vnd.ms-outlook application/vnd.visio application/x-ole-storage "
     "application/cdfv2"},
    {"application/epub+zip", "application/epub+zip application/zip"},
    // archives
    {"application/zip application/x-zip-compressed application/x-zip",
     "application/zip application/x-zip-compressed application/epub+zip application/java-archive"},
    {"application/java-archive application/x-java-archive application/vnd.android.package-archive",
     "application/java-archive application/zip application/vnd.android.package-archive"},
    {"application/gzip application/x-gzip application/x-tgz application/x-compressed-tar application/x-gtar",
     "application/gzip application/x-gzip"},
    {"application/x-tar", "application/x-tar application/x-ustar application/x-gtar"},
    {"application/x-7z-compressed", "application/x-7z-compressed"},
    {"application/vnd.rar application/x-rar application/x-rar-compressed", "application/x-rar application/vnd.rar"},
    {"application/x-bzip2 application/x-bzip", "application/x-bzip2"},
    {"application/x-xz", "application/x-xz"},
    {"application/zstd", "application/zstd application/x-zstd"},
    // sound
    {"audio/mpeg audio/mp3 audio/x-mpeg audio/mpeg3", "audio/mpeg"},
    {"audio/wav audio/x-wav audio/wave audio/vnd.wave", "audio/x-wav audio/wav audio/vnd.wave"},
    {"audio/ogg audio/opus audio/vorbis application/ogg", "audio/ogg application/ogg video/ogg"},
    {"audio/flac audio/x-flac", "audio/flac audio/x-flac"},
    {"audio/aac audio/x-aac audio/aacp", "audio/x-hx-aac-adts audio/x-hx-aac-adif audio/aac audio/x-m4a"},
    {"audio/mp4 audio/x-m4a audio/m4a", "audio/x-m4a audio/mp4 video/mp4 video/quicktime"},
    {"audio/webm", "video/webm audio/webm video/x-matroska"},
    {"audio/midi audio/mid audio/x-midi", "audio/midi"},
    {"audio/aiff audio/x-aiff", "audio/x-aiff audio/aiff"},
    {"audio/amr", "audio/amr"},
    // films
    {"video/mp4 video/x-m4v video/quicktime video/3gpp video/3gpp2 video/mp4v-es", base_video},
    {"video/webm video/x-matroska video/matroska", "video/webm video/x-matroska"},
    {"video/ogg", "video/ogg application/ogg audio/ogg"},
    {"video/mpeg video/mp2p video/mp2t", "video/mpeg video/mp2p video/mp2t video/mpeg4-generic"},
    {"video/x-msvideo video/avi video/vnd.avi video/msvideo", "video/x-msvideo video/avi video/vnd.avi"},
    {"video/x-ms-wmv video/x-ms-asf audio/x-ms-wma", "video/x-ms-asf video/x-ms-wmv audio/x-ms-wma"},
    {"video/x-flv", "video/x-flv"},
    // fonts
    {"font/woff application/font-woff", "font/woff application/font-woff"},
    {"font/woff2", "font/woff2 application/font-woff2"},
    {"font/ttf font/otf font/sfnt font/collection application/x-font-ttf application/x-font-otf",
     "font/sfnt font/ttf font/otf font/collection application/vnd.ms-opentype application/x-font-ttf"},
    // programs and data
    {"application/vnd.microsoft.portable-executable application/x-msdownload application/x-dosexec "
     "application/x-msdos-program application/exe application/x-exe",
     "application/vnd.microsoft.portable-executable application/x-dosexec application/x-msdownload"},
    {"application/x-executable application/x-elf application/x-sharedlib application/x-pie-executable",
     "application/x-executable application/x-sharedlib application/x-pie-executable application/x-object"},
    {"application/wasm", "application/wasm"},
    {"application/vnd.sqlite3 application/x-sqlite3", "application/vnd.sqlite3 application/x-sqlite3"},
    {"application/dicom", "application/dicom"},
});

// Text, although its name does not begin with text/.
constexpr std::array text_types = std::to_array<std::string_view>({"application/json",
                                                                   "application/x-json",
                                                                   "application/x-ndjson",
                                                                   "application/ndjson",
                                                                   "application/jsonl",
                                                                   "application/xml",
                                                                   "application/javascript",
                                                                   "application/x-javascript",
                                                                   "application/ecmascript",
                                                                   "application/typescript",
                                                                   "application/yaml",
                                                                   "application/x-yaml",
                                                                   "application/toml",
                                                                   "application/sql",
                                                                   "application/csv",
                                                                   "application/rtf",
                                                                   "application/x-sh",
                                                                   "application/x-shellscript",
                                                                   "application/x-httpd-php",
                                                                   "application/x-php",
                                                                   "application/x-python",
                                                                   "application/x-perl",
                                                                   "application/x-ruby",
                                                                   "application/x-tex",
                                                                   "application/x-latex",
                                                                   "application/x-subrip",
                                                                   "application/x-pem-file",
                                                                   "application/graphql",
                                                                   "application/vnd.apple.mpegurl",
                                                                   "application/x-mpegurl",
                                                                   "audio/x-mpegurl",
                                                                   "application/pgp-signature",
                                                                   "application/pgp-keys",
                                                                   "application/pgp-encrypted",
                                                                   "application/x-wine-extension-ini",
                                                                   "message/rfc822",
                                                                   "message/news",
                                                                   "image/svg+xml",
                                                                   "application/x-setupscript"});

// Formats on which others are built.
constexpr std::array containers = std::to_array<std::string_view>(
    {"application/zip", "application/gzip", "application/vnd.sqlite3", "application/x-ole-storage", "text/plain",
     "text/xml", "application/json", "text/csv"});

bool is_in(std::string_view list, std::string_view type) {
  while (!list.empty()) {
    const auto end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) == type) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

template <class List> bool is_one_of(const List& list, std::string_view type) {
  return std::find(list.begin(), list.end(), type) != list.end();
}

// In lower case, without parameters.
std::string essence(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (type.starts_with(' ') || type.starts_with('\t')) type.remove_prefix(1);
  return lower(trim_end(type));
}

bool is_octet_stream(std::string_view type) {
  return type.empty() || type == "application/octet-stream" || type == "binary/octet-stream";
}
bool is_empty_file(std::string_view found) { return found == "inode/x-empty" || found == "application/x-empty"; }
bool is_text(std::string_view type) {
  return type.starts_with("text/") || type.ends_with("+xml") || type.ends_with("+json") || is_one_of(text_types, type);
}

// The findings that fit a declared type of the table; empty: it is not in the table. OOXML and ODF are dozens of types,
// which are zips.
std::string_view findings_of(std::string_view declared) {
  for (const auto& known : known_types)
    if (is_in(known.declared, declared)) return known.findings;
  const bool is_zip = declared.starts_with("application/vnd.openxmlformats-officedocument.") ||
                      declared.starts_with("application/vnd.oasis.opendocument.") ||
                      declared.starts_with("application/vnd.ms-word.") ||
                      declared.starts_with("application/vnd.ms-excel.") ||
                      declared.starts_with("application/vnd.ms-powerpoint.") || declared.ends_with("+zip");
  return is_zip ? zip : std::string_view{};
}

bool is_media(std::string_view type) {
  return type.starts_with("image/") || type.starts_with("audio/") || type.starts_with("video/") ||
         type.starts_with("font/");
}

bool is_program_text(std::string_view found) {
  return found == "text/html" || found == "image/svg+xml" || found == "application/xhtml+xml";
}

type_verdict judge_unlisted(std::string_view declared, std::string_view found) {
  using enum type_verdict;
  if (is_octet_stream(found)) return fits;
  if (is_media(declared))
    return found.starts_with(declared.substr(0, declared.find('/') + 1)) && !is_program_text(found) ? fits : mismatch;
  return is_empty_file(found) || is_one_of(containers, found) ? fits : mismatch;
}

} // namespace

std::string_view name_of(type_verdict v) {
  static constexpr std::array<std::string_view, 3> names{"fits", "mismatch", "unknown"};
  return names[static_cast<std::size_t>(v)];
}

type_verdict judge_type(std::string_view declared_type, std::string_view found_type, const type_equivalents& more) {
  using enum type_verdict;
  const auto declared = essence(declared_type), found = essence(found_type);
  if (const auto listed = more.find(declared); listed != more.end() && !found.empty())
    if (std::any_of(listed->second.begin(), listed->second.end(),
                    [&](const auto& pattern) { return type_matches(pattern, found); }))
      return fits;
  if (is_octet_stream(declared)) return fits;
  const auto unless_unknown = [&](bool does_fit) {
    if (does_fit) return fits;
    return is_octet_stream(found) ? unknown : mismatch;
  };
  const auto findings = findings_of(declared);
  if (!findings.empty()) return unless_unknown(found == declared || is_in(findings, found));
  if (is_text(declared)) return unless_unknown(is_text(found) || is_empty_file(found));
  return found == declared ? fits : judge_unlisted(declared, found);
}

std::string complete_finding(std::string_view found, std::string_view first_bytes) {
  using namespace std::string_view_literals;
  if (first_bytes.empty()) return "inode/x-empty";
  if (found.empty() || !is_octet_stream(found)) return std::string(found);
  if (first_bytes.size() == 1) {
    const auto c = static_cast<unsigned char>(first_bytes.front());
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c < 0x7f) ? "text/plain" : std::string(found);
  }
  if (first_bytes.starts_with("PK\3\4"sv)) return "application/zip";
  if (first_bytes.starts_with("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv)) return "application/x-ole-storage";
  if (first_bytes.starts_with("ID3\2"sv) || first_bytes.starts_with("ID3\3"sv) || first_bytes.starts_with("ID3\4"sv))
    return "audio/mpeg";
  return std::string(found);
}

bool is_same_content_type(std::string_view a, std::string_view b) {
  const auto normal = [](std::string_view type) {
    auto text = lower(type);
    std::erase_if(text, [](char c) { return c == ' ' || c == '\t' || c == '"'; });
    return is_octet_stream(text) ? std::string("application/octet-stream") : text;
  };
  return normal(a) == normal(b);
}

} // namespace postern
