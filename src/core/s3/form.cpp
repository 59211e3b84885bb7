#include <postern/base/text.hpp>
#include <postern/core/s3/form.hpp>
#include <postern/core/s3/form_header.hpp>

#include <algorithm>

namespace postern {
namespace {

failure malformed(std::string what) { return failure{errc::malformed_form, std::move(what)}; }

// Classifies `line`, which begins like a delimiter, and returns how many of its bytes belong to the delimiter. RFC 2046
// §5.1.1: the delimiter, blanks, then CRLF, or "--".
enum class verdict { cut, data, part, closing };
struct classified {
  verdict what;
  std::size_t bytes;
};
classified classify(std::string_view line, std::string_view delimiter) {
  constexpr std::size_t max_padding = 32;
  const auto common = std::min(line.size(), delimiter.size());
  if (line.substr(0, common) != delimiter.substr(0, common)) return {verdict::data, 0};
  if (line.size() <= delimiter.size()) return {verdict::cut, 0};
  auto at = delimiter.size();
  if (line[at] == '-') {
    if (at + 1 == line.size()) return {verdict::cut, 0};
    return line[at + 1] == '-' ? classified{verdict::closing, at + 2} : classified{verdict::data, at + 1};
  }
  while (at < line.size() && at < delimiter.size() + max_padding && (line[at] == ' ' || line[at] == '\t')) ++at;
  if (at == line.size()) return {verdict::cut, 0};
  if (line[at] != '\r') return {verdict::data, at};
  if (at + 1 == line.size()) return {verdict::cut, 0};
  return line[at + 1] == '\n' ? classified{verdict::part, at + 2} : classified{verdict::data, at};
}

} // namespace

form_parser::form_parser(std::string_view boundary, form_limits limits) : delimiter_(boundary), limits_(limits) {}

void form_parser::take(std::span<const char>& piece, std::size_t n) {
  piece = piece.subspan(n);
  consumed_ += n;
}

result<form_parser::event> form_parser::next(std::span<const char>& piece) {
  if (std::exchange(wants_piece_, false)) replays_.clear();
  auto seen = bounded(piece);
  wants_piece_ = seen && *seen == event::need_more;
  return seen;
}

result<form_parser::event> form_parser::bounded(std::span<const char>& piece) {
  if (!ahead_of_file()) return advance(piece);
  const auto room = limits_.max_before_file - std::min<std::uint64_t>(limits_.max_before_file, consumed_);
  if (piece.size() <= room) return advance(piece);
  // Until the file begins, no byte beyond the limit is examined.
  auto allowed = piece.first(room);
  auto seen = advance(allowed);
  piece = piece.subspan(room - allowed.size());
  if (seen && *seen == event::need_more && ahead_of_file())
    return failure{errc::fields_too_large,
                   "limits.form_fields allows " + std::to_string(limits_.max_before_file) + " bytes before the file"};
  return seen;
}

result<form_parser::event> form_parser::advance(std::span<const char>& piece) {
  for (;;) {
    switch (place_) {
    case place::headers: {
      bool complete = false;
      if (auto read = read_headers(piece, complete); !read) return read.error();
      if (!complete) return event::need_more;
      if (auto begun = begin_part(); !begun) return begun.error();
      if (place_ == place::file) return event::file_begin;
      break;
    }
    case place::value: {
      const auto what = scan(piece);
      if (what == found::more) return event::need_more;
      if (what == found::data) {
        if (first_) return malformed("the body does not begin with its boundary");
        fields_.back().value.append(data_.data(), data_.size());
        break;
      }
      if (!first_)
        if (auto ended = end_field(); !ended) return ended.error();
      if (what == found::closing) return failure{errc::missing_file, "the form has no field named file"};
      first_ = false;
      place_ = place::headers;
      break;
    }
    case place::file: {
      const auto what = scan(piece);
      if (what == found::more) return event::need_more;
      if (what == found::data) return event::file_data;
      place_ = what == found::closing ? place::closed : place::skipping;
      return event::file_end;
    }
    case place::skipping: {
      const auto what = scan(piece);
      if (what == found::more) return event::need_more;
      if (what == found::closing) place_ = place::closed;
      break;
    }
    case place::closed: place_ = place::done; return event::done;
    case place::done:
      epilogue_.append(piece.data(), std::min(piece.size(), 3 - epilogue_.size()));
      take(piece, piece.size());
      return event::need_more;
    }
  }
}

result<void> form_parser::finish() const {
  if (place_ == place::done || place_ == place::closed) return {};
  return failure{errc::incomplete_body, "the form's closing boundary is missing"};
}

// The next run of data, or the delimiter that ends it.
form_parser::found form_parser::scan(std::span<const char>& piece) {
  if (!held_.empty()) return scan_held(piece);
  if (piece.empty()) return found::more;
  const auto at = delimiter_.find(piece);
  const auto emit = [&](std::size_t n) {
    data_ = piece.first(n);
    take(piece, n);
    return found::data;
  };
  if (at != 0) return emit(std::min(at, piece.size()));
  const auto [what, bytes] = classify({piece.data(), piece.size()}, delimiter_.text());
  switch (what) {
  case verdict::data: return emit(bytes);
  case verdict::cut:
    held_.assign(piece.data(), piece.size());
    take(piece, piece.size());
    return found::more;
  case verdict::part:
  case verdict::closing: break;
  }
  take(piece, bytes);
  return what == verdict::part ? found::part : found::closing;
}

// Continues, byte by byte, with held bytes that may be a delimiter. These are at most a hundred bytes a piece.
form_parser::found form_parser::scan_held(std::span<const char>& piece) {
  while (!piece.empty()) {
    held_ += piece.front();
    switch (classify(held_, delimiter_.text()).what) {
    case verdict::cut: take(piece, 1); break;
    case verdict::part:
    case verdict::closing: {
      const bool part = classify(held_, delimiter_.text()).what == verdict::part;
      take(piece, 1);
      held_.clear();
      return part ? found::part : found::closing;
    }
    case verdict::data:
      // The new byte stays in the piece: it may begin a delimiter itself.
      held_.pop_back();
      // A held CR, the first half of a line end, may begin a delimiter too.
      if (held_.size() > 1 && held_.back() == '\r') {
        held_.pop_back();
        replays_.push_back(std::exchange(held_, "\r"));
      } else {
        replays_.push_back(std::exchange(held_, {}));
      }
      if (first_ && replays_.back() == "\r\n" && piece.front() == '\r') {
        replays_.pop_back(); // an empty line ahead of the first boundary is accepted
        break;
      }
      data_ = replays_.back();
      return found::data;
    }
  }
  return found::more;
}

result<void> form_parser::read_headers(std::span<const char>& piece, bool& complete) {
  const auto before = block_.size();
  const auto n = std::min(piece.size(), limits_.max_part_headers - before);
  block_.append(piece.data(), n);
  // The delimiter's own line end counts as the first of the two that end an empty block.
  const auto end = block_.starts_with("\r\n") ? 0 : block_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
  if (end == block_.npos) {
    take(piece, n);
    if (block_.size() == limits_.max_part_headers)
      return malformed("a part's headers are larger than " + std::to_string(limits_.max_part_headers) + " bytes");
    return {};
  }
  const auto whole = end == 0 && block_.starts_with("\r\n") ? 2 : end + 4;
  take(piece, whole - before);
  block_.resize(end);
  complete = true;
  return {};
}

result<void> form_parser::begin_part() {
  auto part = read_part_header(block_);
  block_.clear();
  if (!part) return part.error();
  if (part->name == "file") {
    file_ = {std::move(part->filename), std::move(part->content_type)};
    block_.shrink_to_fit(); // a slow file keeps this parser for long
    place_ = place::file;
    return {};
  }
  if (find_field(fields_, part->name)) return failure{errc::duplicate_field, "field " + quote(part->name)};
  if (fields_.size() >= limits_.max_fields)
    return failure{errc::fields_too_large, "a form may have " + std::to_string(limits_.max_fields) + " fields"};
  fields_.push_back({std::move(part->name), {}});
  place_ = place::value;
  return {};
}

result<void> form_parser::end_field() {
  if (!is_utf8(fields_.back().value)) return malformed("field " + quote(fields_.back().name) + " is not UTF-8");
  return {};
}

} // namespace postern
