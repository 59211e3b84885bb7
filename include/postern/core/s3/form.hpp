// A push parser for multipart/form-data (RFC 7578, RFC 2046 §5.1) as S3's POST Object takes it: fields first, one part
// named "file", and ignored fields after it. The caller pushes bytes in pieces of any size and gets fields and runs of
// file bytes. File bytes are not copied: they are views into the piece, or into the parser if a piece
// ended within bytes that look like the boundary. The parser holds one header block, the fields and a boundary at most,
// and checks each limit before it stores a byte. Pure; one thread at a time.
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

// The boundary parameter of a Content-Type value. errc::malformed_form: not multipart/form-data, or no boundary of 1 to
// 70 bytes as RFC 2046 allows (quoted or not).
result<std::string> form_boundary(std::string_view content_type);

struct form_limits {
  std::size_t max_before_file = 20'000; // bytes of the body ahead of the file's first byte, part headers included
  std::size_t max_part_headers = 4096;  // one part's header block
  std::size_t max_fields = 100;
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
    file_end,   // the file is whole; the caller may stop, or push further pieces, which are ignored
    done,       // the closing boundary; the epilogue is ignored
  };

  explicit form_parser(std::string_view boundary, form_limits limits = {});

  // Removes bytes from the front of `piece` up to the next event. Call again until need_more. Views from data() are
  // valid until the next piece is pushed, as long as the piece and the parser exist. Parts other than "file" with a
  // filename count as fields. Errors: malformed_form, fields_too_large, duplicate_field (names case-insensitive),
  // missing_file (the form has no file part). The parser cannot be used after an error.
  result<event> next(std::span<const char>& piece);

  // The body has ended. errc::incomplete_body: the closing boundary is missing, even if the file is whole.
  result<void> finish() const;

  // At the end of the body: whether the closing delimiter and its line end were the last bytes.
  bool ends_with_delimiter() const { return place_ == place::done && epilogue_ == "\r\n"; }

  const std::vector<form_field>& fields() const { return fields_; }
  std::vector<form_field>& fields() { return fields_; }
  const form_file& file() const { return file_; }
  std::span<const char> data() const { return data_; }

  // Bytes of the body so far, and the size of the shortest ending after the file ("\r\n--boundary--\r\n"). With
  // Content-Length they predict the file's size when its part begins.
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
  std::string held_ = "\r\n"; // may begin a delimiter that a piece's end cut off; the first delimiter needs no line end
  std::deque<std::string> replays_; // held bytes that proved to be data; views of them live as long as the piece
  bool wants_piece_ = true;         // the next call brings a further piece
  std::string block_;               // a part's headers so far
  std::string epilogue_;            // its first bytes: enough to tell a line end from more
};

} // namespace postern
