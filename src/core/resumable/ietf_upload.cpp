#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/core/resumable/ietf_upload.hpp>
#include <postern/core/s3/form_header.hpp>

#include <algorithm>
#include <utility>

namespace postern::ietf_upload {
namespace {

constexpr std::size_t max_digits = 15; // of a structured integer (RFC 9651 §3.3.1)
constexpr std::uint64_t max_integer = 999'999'999'999'999;

failure bad(std::string what) { return failure{errc::bad_request, std::move(what)}; }

// A structured item without its parameters.
std::string_view bare_item(std::string_view field) {
  field = trim(field, " ");
  return field.substr(0, field.find(';'));
}

result<bool> read_boolean(std::string_view name, std::string_view field) {
  const auto item = bare_item(field);
  if (item != boolean(true) && item != boolean(false))
    return bad(std::string(name) + " must be ?1 or ?0, not " + quote(field));
  return item == boolean(true);
}

result<std::uint64_t> read_integer(std::string_view name, std::string_view field) {
  const auto item = bare_item(field);
  const auto n = parse_number(item);
  if (!n || item.size() > max_digits)
    return bad(std::string(name) + " must be an integer of at most 15 digits, not " + quote(field));
  return *n;
}

result<std::optional<std::uint64_t>> read_length(std::string_view field) {
  if (field.empty()) return std::optional<std::uint64_t>();
  auto length = read_integer("Upload-Length", field);
  if (!length) return length.error();
  return std::optional(*length);
}

// The file's name in a Content-Disposition (RFC 6266). Empty: it has none.
result<std::string> read_filename(std::string_view field) {
  if (field.empty()) return std::string();
  const auto unreadable = [whole = field] {
    return bad("Content-Disposition must be such as inline; filename=\"a.png\", not " + quote(whole));
  };
  const auto end = std::min(field.find(';'), field.size());
  if (!is_plain_name(trim(field.substr(0, end)))) return unreadable();
  field.remove_prefix(end);
  std::optional<std::string> plain, extended;
  while (!field.empty()) {
    auto parameter = take_parameter(field);
    if (!parameter) return unreadable();
    const bool is_extended = parameter->name == "filename*";
    if (!is_extended && parameter->name != "filename") continue;
    auto& name = is_extended ? extended : plain;
    if (name) return bad("Content-Disposition has " + parameter->name + " twice");
    // An unreadable filename* is ignored (RFC 8187 §3.2), filename is for that case.
    name = is_extended ? extended_value(parameter->value).value_or("") : std::move(parameter->value);
  }
  auto& name = extended && !extended->empty() && is_utf8(*extended) ? extended : plain;
  if (!name) return std::string();
  if (!is_utf8(*name) || name->size() > max_filename)
    return bad("the file's name in Content-Disposition must be UTF-8 of at most " + std::to_string(max_filename) +
               " bytes; filename* can have any name");
  return std::move(*name);
}

json_writer begin_problem(std::string_view type, std::string_view title, errc code, std::string_view detail) {
  json_writer w;
  w.begin_object();
  w.member("type", "https://iana.org/assignments/http-problem-types#" + std::string(type));
  w.member("title", title);
  w.member("status", static_cast<std::uint64_t>(text_of(code).status));
  w.member("detail", detail);
  w.member("code", text_of(code).name);
  return w;
}

std::string end_problem(json_writer w, std::string_view request_id) {
  w.member("request_id", request_id);
  w.end_object();
  return w.take();
}

} // namespace

result<std::optional<version>> read_version(std::string_view field) {
  if (field.empty()) return std::optional<version>();
  const auto n = read_integer("Upload-Draft-Interop-Version", field);
  if (!n) return n.error();
  for (const auto known : {version::v5, version::v6, version::v8})
    if (*n == static_cast<std::uint64_t>(known)) return std::optional(known);
  return std::optional(version::unknown);
}

std::string_view name_of(version v) {
  switch (v) {
  case version::v5: return "5";
  case version::v6: return "6";
  case version::v8: return "8";
  case version::unknown: break;
  }
  return "";
}

result<creation> read_creation(const fields& f, std::optional<std::uint64_t> announced) {
  creation out;
  const auto is_complete = read_boolean("Upload-Complete", f.upload_complete);
  if (!is_complete) return is_complete.error();
  auto length = read_length(f.upload_length);
  if (!length) return length.error();
  out.what = {0, *length, announced, *is_complete};
  out.ask.size = *length ? *length : *is_complete ? announced : std::nullopt;
  auto name = read_filename(f.content_disposition);
  if (!name) return name.error();
  out.ask.filename = name->empty() ? unnamed_file : std::string_view(*name);
  if (f.content_type.empty()) return out;
  if (!is_content_type(f.content_type))
    return bad("Content-Type must be a media type such as image/png, not " + quote(f.content_type));
  out.ask.content_type = f.content_type;
  return out;
}

result<append_request> read_append(const fields& f, std::optional<std::uint64_t> announced, version v) {
  if (v != version::v5 && !type_matches(body_type, f.content_type))
    return failure{errc::unsupported_type,
                   "the body's type must be " + std::string(body_type) + ", not " + quote(f.content_type)};
  const auto offset = read_integer("Upload-Offset", f.upload_offset);
  if (!offset) return offset.error();
  auto length = read_length(f.upload_length);
  if (!length) return length.error();
  // The examples of the drafts before -06 leave the field out when the file does not end with the body.
  const bool may_be_absent = v == version::v5 || v == version::v6;
  const auto is_last = may_be_absent && f.upload_complete.empty() ? result<bool>(false)
                                                                  : read_boolean("Upload-Complete", f.upload_complete);
  if (!is_last) return is_last.error();
  return append_request{*offset, *length, announced, *is_last};
}

int status_of_append(version v) { return v == version::v5 || v == version::v6 ? 201 : 204; }

std::string limit_field(const limits& l, version v) {
  if (v == version::v5) return {};
  std::string out;
  const auto add = [&out](std::string_view name, std::uint64_t value) {
    if (!out.empty()) out += ", ";
    out.append(name).append("=").append(std::to_string(std::min(value, max_integer)));
  };
  if (l.max_size) add("max-size", *l.max_size);
  if (l.min_size) add("min-size", *l.min_size);
  if (l.max_age)
    add(v == version::v6 ? "expires" : "max-age",
        static_cast<std::uint64_t>(std::max<std::int64_t>(l.max_age->count(), 0)));
  if (out.empty()) add("min-size", 0); // an empty field would say that uploads cannot be resumed
  return out;
}

std::string mismatching_offset_problem(std::uint64_t expected, std::uint64_t provided, std::string_view request_id) {
  auto w = begin_problem("mismatching-upload-offset", "offset from request does not match offset of resource",
                         errc::conflict,
                         "the next byte of the file is that at offset " + std::to_string(expected) +
                             ", but the request's offset is " + std::to_string(provided));
  w.member("expected-offset", expected);
  w.member("provided-offset", provided);
  return end_problem(std::move(w), request_id);
}

std::string inconsistent_length_problem(std::string_view detail, std::string_view request_id) {
  return end_problem(
      begin_problem("inconsistent-upload-length", "inconsistent length values for upload", errc::bad_request, detail),
      request_id);
}

std::string completed_upload_problem(std::string_view request_id) {
  return end_problem(begin_problem("completed-upload", "upload is already completed", errc::bad_request,
                                   "the file is complete and takes no more bytes"),
                     request_id);
}

} // namespace postern::ietf_upload
