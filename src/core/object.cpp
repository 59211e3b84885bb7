#include <postern/core/object.hpp>

namespace postern {

std::string_view bare_etag(std::string_view etag) {
  if (etag.starts_with("W/\"")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return etag;
}

std::string quoted_etag(std::string_view bare) { return '"' + std::string(bare) + '"'; }

} // namespace postern
