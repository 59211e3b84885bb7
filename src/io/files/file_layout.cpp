#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/io/files/file_layout.hpp>
#include <postern/io/files/files.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <sys/stat.h>

namespace postern {
namespace {

using pairs = std::vector<std::pair<std::string, std::string>>;

// A bucket's name must also be the name of a folder on every file system, and must not be hidden.
bool is_bucket(std::string_view b) { return is_bucket_name(b) && b.size() <= 63 && b.front() != '.'; }

void write_pairs(json_writer& w, std::string_view name, const pairs& from) {
  w.key(name);
  w.begin_object();
  for (const auto& [n, v] : from) w.member(n, v);
  w.end_object();
}

pairs read_pairs(const json_value* v) {
  pairs out;
  if (const auto* members = v ? v->if_object() : nullptr)
    for (const auto& [name, value] : *members)
      if (const auto* text = value.if_string()) out.emplace_back(name, *text);
  return out;
}

} // namespace

result<std::vector<std::string>> object_path(const object_name& name) {
  if (!is_bucket(name.bucket)) return failure{errc::no_such_bucket, quote(name.bucket)};
  if (name.key.size() > 1024)
    return failure{errc::key_too_long, "the key has " + std::to_string(name.key.size()) + " bytes, at most 1024"};
  if (!is_utf8(name.key)) return failure{errc::invalid_argument, "the key is not UTF-8"};
  std::vector<std::string> parts{name.bucket};
  std::string_view rest = name.key;
  for (bool has_more = true; has_more;) {
    const auto slash = rest.find('/');
    has_more = slash != rest.npos;
    const auto part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.find('\0') != part.npos)
      return failure{errc::invalid_argument,
                     "the key has a part that cannot be a file's name in the file store: " + quote(part)};
    if (part.size() > 255)
      return failure{errc::key_too_long, "a part of the key between slashes has " + std::to_string(part.size()) +
                                             " bytes; the file store takes at most 255"};
    parts.emplace_back(part);
    if (has_more) rest.remove_prefix(slash + 1);
  }
  return parts;
}

std::uint64_t mtime_ns(const struct stat& file) {
  const auto seconds = static_cast<std::uint64_t>(file.st_mtim.tv_sec);
  return seconds * 1'000'000'000u + static_cast<std::uint64_t>(file.st_mtim.tv_nsec);
}

bool sidecar::describes(const struct stat& file) const {
  return mtime_ns == postern::mtime_ns(file) && object.size == static_cast<std::uint64_t>(file.st_size);
}

std::string to_json(const sidecar& s) {
  json_writer w;
  w.begin_object();
  w.member("bucket", s.name.bucket);
  w.member("key", s.name.key);
  w.member("mtime_ns", s.mtime_ns);
  w.member("size", s.object.size);
  w.member("etag", s.object.etag);
  if (s.object.crc32c) w.member("crc32c", *s.object.crc32c);
  write_pairs(w, "headers", s.object.meta.headers);
  write_pairs(w, "user", s.object.meta.user);
  w.end_object();
  return w.take();
}

result<sidecar> read_sidecar(std::string_view json) {
  const auto v = read_json(json);
  if (!v) return v.error();
  const auto text = [&](std::string_view name) {
    const auto* m = v->find(name);
    const auto* s = m ? m->if_string() : nullptr;
    return s ? *s : std::string{};
  };
  const auto number = [&](std::string_view name) -> std::optional<std::uint64_t> {
    const auto* m = v->find(name);
    const auto* n = m ? m->if_int() : nullptr;
    return n && *n >= 0 ? std::optional(static_cast<std::uint64_t>(*n)) : std::nullopt;
  };
  sidecar s;
  s.name = {text("bucket"), text("key")};
  s.mtime_ns = number("mtime_ns").value_or(0);
  s.object.size = number("size").value_or(0);
  s.object.etag = text("etag");
  if (const auto crc = number("crc32c")) s.object.crc32c = static_cast<std::uint32_t>(*crc);
  s.object.meta.headers = read_pairs(v->find("headers"));
  s.object.meta.user = read_pairs(v->find("user"));
  return s;
}

stored_object object_without_sidecar(const struct stat& file) {
  stored_object object;
  object.size = static_cast<std::uint64_t>(file.st_size);
  std::array<char, 40> etag;
  std::snprintf(etag.data(), etag.size(), "%016llx%012llx", static_cast<unsigned long long>(mtime_ns(file)),
                static_cast<unsigned long long>(object.size));
  object.etag = etag.data();
  return object;
}

std::string new_etag(std::uint64_t size, std::uint32_t crc32c) {
  std::array<char, 48> text;
  std::snprintf(text.data(), text.size(), "%08x%012llx%.12s", crc32c, static_cast<unsigned long long>(size),
                random_name().c_str());
  return text.data();
}

} // namespace postern
