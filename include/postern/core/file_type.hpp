// Whether a file is what it declares: compares its declared Content-Type with the type that libmagic finds in its first
// bytes. Pure.
//
// The rules, in their order. Types are compared without parameters, in any case.
//   1. What the profile's type_equivalents name for the declared type fits.
//   2. application/octet-stream, binary/octet-stream and no type at all declare nothing: every file fits.
//   3. Text (text/*, application/json, …+xml and the like): every text that libmagic finds fits, because it guesses
//      between kinds of text. Text can be empty. A PNG, a PDF or an unknown finding does not fit.
//   4. A type of the built-in table, such as image/png or a .docx: only the findings of its row fit. The table holds
//   the
//      other names of the type, its containers (a .docx is a zip), and nothing that a browser would run.
//   5. Any other type below image, audio, video, font: a finding below the same top-level type fits, such as image/tiff
//      for a camera's raw image, and an unknown one.
//   6. Any other type, such as application/vnd.example: an unknown finding fits, because libmagic has no magic for it;
//      an empty file too; and the common containers (zip, gzip, plain text, XML, JSON, SQLite, OLE). HTML, SVG, images,
//      scripts and programs do not.
// "Unknown" is a finding of application/octet-stream, or none because the look failed. It never fits a declared type
// that libmagic would recognise. So an unknown file cannot pass as an image, a document or text.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

inline constexpr std::size_t looked_at_bytes = 4096; // at the beginning of a file

enum class type_verdict {
  fits,
  mismatch, // another type was found
  unknown,  // no type was found, and the declared one would have been
};
std::string_view name_of(type_verdict v);

// By declared type in lower case: what may be found too, each as in type_matches ("text/plain", "text/*").
using type_equivalents = std::map<std::string, std::vector<std::string>>;

// `declared`: a Content-Type. `found`: what libmagic said, completed by complete_finding; empty: the look failed.
type_verdict judge_type(std::string_view declared, std::string_view found, const type_equivalents& more);

// Completes what libmagic said of the first bytes, where it does not look or looks too deep: an empty file is
// inode/x-empty, one printable byte is text/plain; an MP3 behind a large ID3 tag is audio/mpeg, and a zip or an OLE
// file
// (.doc, .xls) is that, whatever is in it.
std::string complete_finding(std::string_view found, std::string_view first_bytes);

// Are the two the same Content-Type? Parameters count; case, spaces around ; and quotes do not. No type is the same as
// application/octet-stream and binary/octet-stream, which S3 gives to objects that came without one.
bool is_same_content_type(std::string_view a, std::string_view b);

} // namespace postern
