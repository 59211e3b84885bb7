#include <postern/core/object.hpp>

#include <algorithm>

namespace postern {

std::string_view bare_etag(std::string_view etag) {
  if (etag.starts_with("W/\"")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return etag;
}

std::string quoted_etag(std::string_view bare) { return '"' + std::string(bare) + '"'; }

std::string upload_id_of(const object_meta& meta) {
  for (const auto& [name, value] : meta.user)
    if (name == "postern-id") return value;
  return {};
}

std::string content_type_of(const object_meta& meta) {
  const auto type =
      std::find_if(meta.headers.begin(), meta.headers.end(), [](const auto& h) { return h.first == "content-type"; });
  return type == meta.headers.end() ? std::string{} : type->second;
}

} // namespace postern
