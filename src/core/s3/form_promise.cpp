#include <postern/core/s3/form_promise.hpp>

#include <string>

namespace postern {

bool form_promise::is_given(const std::vector<form_field>& fields) {
  const auto* value = find_field(fields, field_name);
  return value && *value == kept;
}

result<form_promise> form_promise::read(const form_parser& at_file, std::uint64_t body_size) {
  const auto needed = at_file.consumed() + at_file.shortest_ending();
  if (body_size >= needed) return form_promise(body_size - needed);
  return broken("the body has " + std::to_string(body_size) + " bytes, and even an empty file needs " +
                std::to_string(needed));
}

result<void> form_promise::check(std::uint64_t bytes, bool has_ended) const {
  const auto size = std::to_string(size_);
  if (bytes > size_) return broken("the file goes on after the " + size + " bytes that Content-Length leaves for it");
  if (has_ended && bytes < size_)
    return broken("the file ended after " + std::to_string(bytes) + " bytes, and " + std::to_string(size_ - bytes) +
                  " bytes more follow it; Content-Length leaves " + size + " for the file");
  return {};
}

result<void> form_promise::check_end(const form_parser& at_end) const {
  if (at_end.ends_with_delimiter()) return {};
  return broken("the body does not end with the closing delimiter and a line end");
}

failure form_promise::broken(const std::string& what) {
  return failure{errc::malformed_form, "the field " + std::string(field_name) +
                                           " promises that nothing follows the file, but " + what +
                                           ". Send the form without this field"};
}

} // namespace postern
