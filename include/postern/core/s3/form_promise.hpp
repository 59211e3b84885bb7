// The promise of a form that nothing follows its file: the field x-ignore-nothing-follows with the value true, ahead of
// the file. S3 ignores it. It says that the file is the last part, and that the closing delimiter with its line end
// ends the body. Then Content-Length tells the file's exact size before the file comes. Nobody signs the promise, so
// what comes is compared with it. Pure; one form at a time.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/s3/form.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

class form_promise {
public:
  static constexpr std::string_view field_name = "x-ignore-nothing-follows", kept = "true";

  // Whether the form promises it. Other values promise nothing.
  static bool is_given(const std::vector<form_field>& fields);

  // The promise of a form whose file begins now, in a body of `body_size` bytes. errc::malformed_form: the body is too
  // short for any file.
  static result<form_promise> read(const form_parser& at_file, std::uint64_t body_size);

  // Of the file, in bytes.
  std::uint64_t size() const { return size_; }

  // To be asked whenever bytes of the file came: `bytes` in all. errc::malformed_form: it is larger than promised, or
  // it has ended and is smaller.
  result<void> check(std::uint64_t bytes, bool has_ended) const;
  // To be asked at the end of the body. errc::malformed_form: it does not end with the closing delimiter.
  result<void> check_end(const form_parser& at_end) const;

private:
  explicit form_promise(std::uint64_t size) : size_(size) {}
  static failure broken(const std::string& what);

  std::uint64_t size_;
};

} // namespace postern
