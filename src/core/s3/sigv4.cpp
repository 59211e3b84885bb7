#include <postern/base/dates.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/core/s3/sigv4.hpp>

#include <algorithm>

namespace postern::sigv4 {
namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";

std::string joined(const std::vector<std::string_view>& parts) {
  std::string out;
  for (const auto part : parts) out.append("/").append(part);
  return out;
}

// Normalizes a path for services other than S3: RFC 3986 §5.2.4, with each run of slashes made one.
std::string normalized(std::string_view path) {
  std::vector<std::string_view> parts;
  const bool ends_open = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
  while (!path.empty()) {
    const auto slash = path.find('/');
    const auto part = path.substr(0, slash);
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    path = slash == path.npos ? std::string_view{} : path.substr(slash + 1);
  }
  auto out = joined(parts);
  return out.empty() ? "/" : ends_open ? out + "/" : out;
}

std::string canonical_query(const std::vector<name_value>& query) {
  std::vector<name_value> encoded;
  for (const auto& [name, value] : query) encoded.emplace_back(uri_encode(name), uri_encode(value));
  std::sort(encoded.begin(), encoded.end());
  std::string out;
  for (const auto& [name, value] : encoded) out.append(out.empty() ? "" : "&").append(name).append("=").append(value);
  return out;
}

// Trims blanks at both ends and makes each run of blanks one.
std::string folded(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c != ' ' && c != '\t')
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

// Sorts by name, in lower case. Joins the values of one name in the given order.
std::vector<name_value> canonical_headers(const request& r) {
  std::vector<name_value> sorted;
  for (const auto& [name, value] : r.headers) sorted.emplace_back(lower(name), folded(value));
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<name_value> out;
  for (auto& h : sorted) {
    if (!out.empty() && out.back().first == h.first)
      out.back().second.append(",").append(h.second);
    else
      out.push_back(std::move(h));
  }
  return out;
}

} // namespace

std::string scope::text() const { return day() + "/" + region + "/" + service + "/aws4_request"; }

std::string credential(std::string_view access_key, const scope& s) { return std::string(access_key) + "/" + s.text(); }

result<parsed_credential> parse_credential(std::string_view text) {
  // Parses from the end, because an access key may contain slashes.
  std::string_view parts[4];
  for (int i = 3; i >= 0; --i) {
    const auto slash = text.rfind('/');
    if (slash == text.npos)
      return failure{errc::invalid_argument, "the credential is not key/date/region/service/aws4_request"};
    parts[i] = text.substr(slash + 1);
    text = text.substr(0, slash);
  }
  if (parts[3] != "aws4_request" || text.empty() || parts[1].empty() || parts[2].empty())
    return failure{errc::invalid_argument, "the credential is not key/date/region/service/aws4_request"};
  if (auto day = parse_amz_date(std::string(parts[0]) + "T000000Z"); !day)
    return failure{errc::invalid_argument, "the credential's date"};
  return parsed_credential{std::string(text), std::string(parts[0]), std::string(parts[1]), std::string(parts[2])};
}

std::string signed_headers(const request& r) {
  std::string out;
  for (const auto& [name, value] : canonical_headers(r)) out.append(out.empty() ? "" : ";").append(name);
  return out;
}

std::string canonical_request(const request& r) {
  const auto path = uri_encode(r.normalize_path ? normalized(r.path) : r.path, true);
  std::string out = r.method + "\n" + path + "\n" + canonical_query(r.query) + "\n";
  for (const auto& [name, value] : canonical_headers(r)) out.append(name).append(":").append(value).append("\n");
  return out.append("\n").append(signed_headers(r)).append("\n").append(r.payload_hash);
}

std::string string_to_sign(const scope& s, std::string_view canonical) {
  return std::string(algorithm) + "\n" + s.date + "\n" + s.text() + "\n" + sha256_hex(canonical);
}

sha256_bytes signing_key(const secret& secret_key, std::string_view day, std::string_view region,
                         std::string_view service) {
  auto key = hmac_sha256("AWS4" + secret_key.reveal(), day);
  key = hmac_sha256(key, region);
  key = hmac_sha256(key, service);
  return hmac_sha256(key, "aws4_request");
}

std::string signature(const sha256_bytes& signing_key, std::string_view string_to_sign) {
  return to_hex(hmac_sha256(signing_key, string_to_sign));
}

std::string authorization(const request& r, const credentials& c, const scope& s) {
  const auto key = signing_key(c.secret_key, s.day(), s.region, s.service);
  return std::string(algorithm) + " Credential=" + credential(c.access_key, s) +
         ", SignedHeaders=" + signed_headers(r) +
         ", Signature=" + signature(key, string_to_sign(s, canonical_request(r)));
}

std::string presigned_query(request r, const credentials& c, const scope& s, unsigned expires) {
  r.query.emplace_back("X-Amz-Algorithm", algorithm);
  r.query.emplace_back("X-Amz-Credential", credential(c.access_key, s));
  r.query.emplace_back("X-Amz-Date", s.date);
  r.query.emplace_back("X-Amz-Expires", std::to_string(expires));
  r.query.emplace_back("X-Amz-SignedHeaders", signed_headers(r));
  if (!c.session_token.empty()) r.query.emplace_back("X-Amz-Security-Token", c.session_token);
  const auto key = signing_key(c.secret_key, s.day(), s.region, s.service);
  return canonical_query(r.query) + "&X-Amz-Signature=" + signature(key, string_to_sign(s, canonical_request(r)));
}

std::string policy_signature(const sha256_bytes& signing_key, std::string_view policy_base64) {
  return signature(signing_key, policy_base64);
}

} // namespace postern::sigv4
