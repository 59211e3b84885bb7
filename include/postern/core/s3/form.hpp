// A push parser for multipart/form-data (RFC 7578, RFC 2046 §5.1) as S3's POST Object takes it: fields first, one part
// named "file", whatever follows it ignored. Bytes are pushed in pieces of any size; fields and runs of file bytes come
// out. File bytes are not copied: they are views into the pushed piece (or into the parser's own boundary text, where a
// look-alike was cut by the piece's end). Held at most: one header block, the fields, a boundary. Every limit is
// checked before a byte is kept. Pure; no I/O. The boundary is found with memory search, not byte by byte.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/s3/delimiter.hpp>
#include <postern/core/s3/policy.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

// The boundary parameter of a Content-Type value. errc::malformed_form when it is not multipart/form-data or has no
// boundary of 1 to 70 bytes as RFC 2046 allows (quoted or not).
result<std::string> form_boundary(std::string_view content_type);

struct form_limits {
  std::size_t before_file = 20'000; // bytes of the body ahead of the file's first byte, part headers included
  std::size_t part_headers = 4096;  // one part's header block
  std::size_t fields = 100;
};

// The file part's own headers.
struct form_file {
  std::string filename;     // as sent, unescaped; may be empty
  std::string content_type; // may be empty
};

class form_parser {
public:
  enum class event {
    need_more,  // the piece is used up
    file_begin, // all fields are known: see fields() and file()
    file_data,  // see data()
    file_end,   // the file is whole; the caller may stop, or go on pushing to let what follows be ignored
    done,       // the closing boundary; the epilogue is ignored
  };

  explicit form_parser(std::string_view boundary, form_limits limits = {});

  // Takes bytes off the front of `piece` up to the next event and removes them from it. Call again until need_more.
  // Views from data() live as long as the piece that they came with, and the parser, until a further piece is pushed.
  // Errors: malformed_form, fields_too_large, duplicate_field (names case-insensitive). After an error the parser is
  // dead. Parts other than "file" with a filename count as fields. A form that is done without a file part:
  // missing_file.
  result<event> next(std::span<const char>& piece);

  // No more bytes will come. errc::incomplete_body unless done was seen: a body that stops is not a form, even when the
  // file in it is whole.
  result<void> finish() const;

  const std::vector<form_field>& fields() const { return fields_; }
  std::vector<form_field>& fields() { return fields_; }
  const form_file& file() const { return file_; }
  std::span<const char> data() const { return data_; }

  // Bytes of body taken so far, and how many bytes the shortest ending behind the file's data has
  // ("\r\n--boundary--\r\n"); together with Content-Length they predict the file's size when its part begins.
  std::uint64_t consumed() const { return consumed_; }
  std::size_t shortest_ending() const { return delimiter_.text().size() + 4; }

private:
  enum class place { value, headers, file, skipping, closed, done };
  enum class found { more, data, part, closing };
  result<event> bounded(std::span<const char>& piece);
  result<event> advance(std::span<const char>& piece);
  result<void> read_headers(std::span<const char>& piece, bool& complete);
  result<void> begin_part();
  result<void> end_field();
  found scan(std::span<const char>& piece);
  found scan_held(std::span<const char>& piece);
  void take(std::span<const char>& piece, std::size_t n);
  bool ahead_of_file() const { return place_ == place::value || place_ == place::headers; }

  delimiter delimiter_;
  form_limits limits_;
  std::vector<form_field> fields_;
  form_file file_;
  std::span<const char> data_;
  std::uint64_t consumed_ = 0;
  place place_ = place::value;
  bool first_ = true;         // nothing may stand ahead of the first delimiter
  std::string held_ = "\r\n"; // what may be a delimiter, cut by a piece's end; the first needs no line end of its own
  std::deque<std::string> replays_; // what was held and proved to be data; views of it live as long as the piece
  bool wants_piece_ = true;         // the next call brings a further piece
  std::string block_;               // a part's headers so far
};

} // namespace postern
