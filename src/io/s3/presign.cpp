#include "s3_call.hpp"
#include <postern/base/encoding.hpp>
#include <postern/io/s3/presign.hpp>

#include <algorithm>

namespace postern {

task<result<presigned_url>> s3_presigner::presign_put(object_name name, signed_body body,
                                                      std::chrono::seconds lifetime) {
  return presign("PUT", std::move(name), {}, std::move(body), lifetime);
}

task<result<presigned_url>> s3_presigner::presign_part(object_name name, std::string upload_id, int part_number,
                                                       signed_body body, std::chrono::seconds lifetime) {
  std::vector<sigv4::name_value> query{{"partNumber", std::to_string(part_number)}, {"uploadId", std::move(upload_id)}};
  return presign("PUT", std::move(name), std::move(query), std::move(body), lifetime);
}

task<result<presigned_url>> s3_presigner::presign_get(object_name name, std::chrono::seconds lifetime,
                                                      response_headers headers) {
  std::vector<sigv4::name_value> query;
  if (!headers.content_disposition.empty())
    query.emplace_back("response-content-disposition", std::move(headers.content_disposition));
  if (!headers.content_type.empty()) query.emplace_back("response-content-type", std::move(headers.content_type));
  return presign("GET", std::move(name), std::move(query), {}, lifetime);
}

task<result<presigned_url>> s3_presigner::presign(const char* method, object_name name,
                                                  std::vector<sigv4::name_value> query, signed_body body,
                                                  std::chrono::seconds lifetime) {
  auto held = co_await s3_.credentials().get();
  if (!held) co_return held.error();
  const auto& credentials = **held;
  auto options = s3_.options();
  if (!options.public_endpoint.empty()) options.endpoint = options.public_endpoint;
  auto place = locate_bucket(options, s3_.region_of(name.bucket), name.bucket);
  if (!place) co_return place.error();
  auto headers = object_headers(body.meta);
  if (!headers) co_return headers.error();
  headers->insert(headers->end(), body.headers.begin(), body.headers.end());

  const auto now = s3_.store_time();
  lifetime = std::min<std::chrono::seconds>(lifetime, std::chrono::days(7));
  if (credentials.expires) lifetime = std::min(lifetime, *credentials.expires - now);
  if (lifetime.count() < 1)
    co_return failure{errc::unavailable, "a presigned URL for " + quote(name.key) + " would expire before its use"};

  sigv4::request r;
  r.method = method;
  r.path = signed_path(*place, name.bucket, name.key);
  r.query = std::move(query);
  r.headers = *headers;
  r.headers.emplace_back("host", place->at.authority());
  if (body.size) r.headers.emplace_back("content-length", std::to_string(*body.size));
  r.payload_hash = unsigned_payload;
  const sigv4::scope scope{amz_date(now), place->region, "s3"};
  const auto signed_query = sigv4::presigned_query(r, credentials.keys, scope, static_cast<unsigned>(lifetime.count()));
  auto url = place->at.origin() + uri_encode(r.path, true) + "?" + signed_query;
  co_return presigned_url{std::move(url), now + lifetime, std::move(*headers)};
}

} // namespace postern
