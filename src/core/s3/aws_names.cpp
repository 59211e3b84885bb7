#include <postern/core/s3/aws_names.hpp>
#include <postern/core/s3/policy.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace postern {
namespace {

struct partition_row {
  std::string_view prefix; // of its regions
  aws_partition partition;
};
// The last row is that of all other regions.
constexpr std::array<partition_row, 8> partitions{{{"cn-", {"aws-cn", "amazonaws.com.cn"}},
                                                   {"us-gov-", {"aws-us-gov", "amazonaws.com"}},
                                                   {"us-iso-", {"aws-iso", "c2s.ic.gov"}},
                                                   {"us-isob-", {"aws-iso-b", "sc2s.sgov.gov"}},
                                                   {"eu-isoe-", {"aws-iso-e", "cloud.adc-e.uk"}},
                                                   {"us-isof-", {"aws-iso-f", "csp.hci.ic.gov"}},
                                                   {"eusc-", {"aws-eusc", "amazonaws.eu"}},
                                                   {"", {"aws", "amazonaws.com"}}}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

// s3, s3-fips, s3-accelerate, s3-eu-west-1 (an older form), s3express-usw2-az1
bool is_service(std::string_view label) {
  return label == "s3" || label.starts_with("s3-") || label.starts_with("s3express-");
}

bool is_region(std::string_view label) {
  return !label.empty() && !is_service(label) && label.find('-') != label.npos && is_digit(label.back());
}

// Removes the last label of a host name and returns it.
std::string_view take_last(std::string_view& host) {
  const auto dot = host.rfind('.');
  const auto label = dot == host.npos ? host : host.substr(dot + 1);
  host = dot == host.npos ? std::string_view() : host.substr(0, dot);
  return label;
}

// [front.]service[.dualstack][.region][.vpce].domain
struct s3_host {
  std::string_view front, service;
  bool is_private = false; // of an interface endpoint
};
std::optional<s3_host> read_host(std::string_view host) {
  for (const auto& row : partitions) {
    const auto domain = row.partition.domain;
    if (!host.ends_with(domain) || !host.substr(0, host.size() - domain.size()).ends_with('.')) continue;
    auto front = host.substr(0, host.size() - domain.size() - 1);
    auto label = take_last(front);
    const bool is_private = label == "vpce";
    if (is_private) label = take_last(front);
    if (is_region(label)) label = take_last(front);
    if (label == "dualstack") label = take_last(front);
    if (is_service(label)) return s3_host{front, label, is_private};
  }
  return std::nullopt;
}

// RFC 1123 §2.1, in lower case because browsers write a host so
bool is_host_label(std::string_view label) {
  const auto is_end = [](char c) { return is_letter(c) || is_digit(c); };
  return !label.empty() && label.size() <= 63 && is_end(label.front()) && is_end(label.back()) &&
         std::all_of(label.begin(), label.end(), [&](char c) { return is_end(c) || c == '-'; });
}

constexpr const char* multi_region = "is a Multi-Region Access Point, which needs signatures of another kind "
                                     "(SigV4A); name a bucket, or the alias of an access point in one region";

// arn:aws:s3:us-west-2:123456789012:accesspoint/name, or arn:aws:s3:::bucket
std::string why_no_arn(std::string_view arn) {
  if (arn.ends_with(".mrap")) return multi_region;
  if (arn.find(":accesspoint") != arn.npos)
    return "is the ARN of an access point; use its alias, which ends in -s3alias. This prints it: aws s3control "
           "get-access-point --account-id ACCOUNT --name NAME";
  return "is an ARN; write the name of the bucket alone";
}

} // namespace

aws_partition aws_partition_of(std::string_view region) {
  return std::find_if(partitions.begin(), partitions.end() - 1,
                      [&](const auto& row) { return region.starts_with(row.prefix); })
      ->partition;
}

bool is_aws_s3_host(std::string_view host) { return read_host(host).has_value(); }

bool fits_host_name(std::string_view bucket, bool tls) {
  if (tls) return is_host_label(bucket);
  while (bucket.find('.') != bucket.npos)
    if (!is_host_label(take_last(bucket))) return false;
  return is_host_label(bucket);
}

std::string why_no_endpoint(std::string_view host) {
  const auto is = read_host(host);
  if (!is) return {};
  if (is->service.starts_with("s3express-"))
    return "is for S3 Express One Zone, which takes no forms; name the region's endpoint and a general purpose bucket";
  if (is->service == "s3-accesspoint")
    return "is for access points; leave it out, and name the access point's alias, which ends in -s3alias, as bucket";
  if (!is->front.empty() && !is->is_private)
    return "has a bucket's name in front; write https://" + std::string(host.substr(is->front.size() + 1)) +
           " and name the bucket in store.bucket";
  return {};
}

std::string why_no_bucket(std::string_view name, bool at_aws) {
  if (name.starts_with("arn:")) return why_no_arn(name);
  if (!is_bucket_name(name))
    return "cannot be the name of a bucket; use letters, digits, hyphens, dots and underscores";
  if (!at_aws) return {};
  if (name.ends_with(".mrap")) return multi_region;
  if (name.ends_with("--x-s3") || name.ends_with("--xa-s3"))
    return "is a directory bucket (S3 Express One Zone), which takes no forms and wants a session for each client; "
           "name a general purpose bucket";
  return {};
}

} // namespace postern
