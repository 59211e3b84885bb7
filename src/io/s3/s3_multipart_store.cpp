#include <postern/io/s3/s3_multipart_store.hpp>

#include <utility>

namespace postern {

task<result<std::string>> s3_multipart_store::begin_multipart(object_name name, object_meta meta, bool with_checksums) {
  auto created = co_await s3_.create_multipart(std::move(name), std::move(meta), with_checksums);
  if (!created) co_return to_failure(created.error());
  co_return std::move(created->upload_id);
}

task<result<std::vector<object_part>>> s3_multipart_store::list_parts(store_upload upload) {
  const s3_multipart_upload named{std::move(upload.name), std::move(upload.id)};
  auto parts = co_await s3_.list_parts(named);
  if (!parts) co_return to_failure(parts.error());
  co_return std::move(*parts);
}

task<result<std::string>> s3_multipart_store::complete_multipart(store_upload upload, std::vector<object_part> parts,
                                                                 multipart_rules rules) {
  const s3_multipart_upload named{std::move(upload.name), std::move(upload.id), rules.crc32c.has_value()};
  auto done =
      co_await s3_.complete_multipart(named, parts, rules.crc32c.value_or(0), std::nullopt, rules.never_overwrite);
  if (!done) co_return to_failure(done.error());
  co_return std::move(done->etag);
}

task<result<void>> s3_multipart_store::abort_multipart(store_upload upload) {
  const s3_multipart_upload named{std::move(upload.name), std::move(upload.id)};
  auto aborted = co_await s3_.abort_multipart(named);
  if (!aborted) co_return to_failure(aborted.error());
  co_return result<void>{};
}

task<result<std::vector<store_upload>>> s3_multipart_store::list_multiparts(object_name name) {
  auto found = co_await s3_.list_multiparts(name.bucket, name.key);
  if (!found) co_return to_failure(found.error());
  std::vector<store_upload> own; // the prefix may be that of other keys too
  for (auto& one : *found)
    if (one.name.key == name.key) own.push_back(std::move(one));
  co_return own;
}

} // namespace postern
