// Names at AWS: the partition of a region, the hosts of Amazon S3, and the names of buckets that Postern cannot use.
// Pure.
#pragma once

#include <string>
#include <string_view>

namespace postern {

// A group of regions with accounts and names of its own (AWS General Reference, "AWS partitions").
struct aws_partition {
  std::string_view id;     // the second field of every ARN: aws, aws-cn, aws-us-gov, …
  std::string_view domain; // of its endpoints: amazonaws.com, amazonaws.com.cn, …
};
aws_partition aws_partition_of(std::string_view region);

// Is this a host of Amazon S3, such as s3.eu-west-1.amazonaws.com, s3-fips.dualstack.us-east-1.amazonaws.com, or that
// of an interface endpoint? Other servers that run in AWS are not: an S3 server behind a load balancer, for example.
bool is_aws_s3_host(std::string_view host);

// Can the bucket's name stand in front of the endpoint's host name? The AWS SDKs have the same rules. With TLS, a name
// with dots cannot: no wildcard certificate covers it.
bool fits_host_name(std::string_view bucket, bool tls);

// Why this host of Amazon S3 cannot be an endpoint, with the remedy; the text follows the endpoint. Empty: it can, or
// it is no host of Amazon S3.
std::string why_no_endpoint(std::string_view host);

// Why no bucket is used by this name, with the remedy; the text follows the name. Empty: one can be. `at_aws`: the
// store is Amazon S3, where some endings have a meaning.
std::string why_no_bucket(std::string_view name, bool at_aws);

} // namespace postern
