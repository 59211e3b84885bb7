// HTTP/1.1 framing: where one message ends and the next begins. Requests are smuggled when two parsers disagree on
// that, so every ambiguous form is refused here, before another parser sees the header. Pure; follows RFC 9112 §§2.2,
// 5, 6, 7.
#pragma once

#include <postern/base/error.hpp>

#include <cstdint>
#include <span>
#include <string_view>

namespace postern {

struct framing {
  enum class body_kind { none, sized, chunked };
  body_kind body = body_kind::none;
  std::uint64_t length = 0; // of a sized body
  bool keep_alive = true;
  bool expects_continue = false; // 100-continue
};

constexpr std::size_t max_header_fields = 100;

// Examines a request's header block: request line to the empty line, both included. errc::bad_request names the fault:
// bare CR or LF, NUL and other control characters, a folded line, a blank before the colon, no Host (HTTP/1.1) or two,
// Content-Length twice, not plain digits or beside Transfer-Encoding, any Transfer-Encoding but exactly "chunked",
// chunked in HTTP/1.0, an unknown expectation, a Connection option that is no token. errc::header_too_large: there are
// more than max_header_fields. The parser needs some 80 bytes for each field, even for one of 4.
result<framing> examine_header(std::string_view block);

// Decodes a chunked body. Strict: sizes are 1 to 15 hex digits, lines end in CRLF, extensions are at most
// 256 bytes, trailers at most 4 KiB and then dropped.
class chunk_decoder {
public:
  // Removes bytes from the front of `in` and returns the next run of data, a view into `in`; empty when `in` is used up
  // or the body is done(). Call again while `in` is not empty. errc::bad_request; the decoder cannot be used after it.
  result<std::span<const char>> next(std::span<const char>& in);
  bool done() const { return at_ == place::done; }

private:
  enum class place {
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_start,
    trailer,
    trailer_lf,
    last_lf,
    done
  };
  result<void> step(char c);

  place at_ = place::size;
  std::uint64_t left_ = 0; // of this chunk's data, or its size while it is read
  unsigned digits_ = 0;
  unsigned extra_ = 0; // bytes of extension or trailers so far
};

} // namespace postern
