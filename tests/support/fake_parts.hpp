// Multipart uploads and presigned URLs in memory, for tests of flows. Set fake_store::parts and fake_store::signs to
// it.
#pragma once

#include "fakes.hpp"
#include <postern/io/multipart_store.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace postern::test {

struct fake_parts final : multipart_store, presigner {
  explicit fake_parts(fake_store& s) : objects(s) {}

  struct begun {
    object_name name;
    object_meta meta;
    bool has_checksums = false;
    std::vector<object_part> parts;
  };
  fake_store& objects;
  std::map<std::string, begun> uploads; // by the store's id
  std::optional<failure> broken, refuses_to_complete;
  int begins = 0, completes = 0;
  multipart_rules rules;                // of the last completion
  std::vector<signed_body> signed_with; // the bodies of the signed URLs
  std::function<void()> before_begin_ends, before_abort_ends;

  task<result<std::string>> begin_multipart(object_name name, object_meta meta, bool with_checksums) override {
    if (broken) co_return *broken;
    const auto id = "upload " + std::to_string(++begins);
    uploads[id] = {std::move(name), std::move(meta), with_checksums, {}};
    if (before_begin_ends) before_begin_ends();
    co_return id;
  }
  task<result<std::vector<object_part>>> list_parts(store_upload upload) override {
    if (broken) co_return *broken;
    const auto found = uploads.find(upload.id);
    if (found == uploads.end()) co_return failure(errc::object_absent, upload.id);
    co_return found->second.parts;
  }
  task<result<std::string>> complete_multipart(store_upload upload, std::vector<object_part> parts,
                                               multipart_rules wanted) override {
    ++completes;
    rules = wanted;
    if (refuses_to_complete) co_return *refuses_to_complete;
    const auto found = uploads.find(upload.id);
    if (found == uploads.end()) co_return failure(errc::object_absent, upload.id);
    stored_object made;
    for (const auto& part : parts) made.size += part.size;
    made.etag = "of parts";
    made.meta = found->second.meta;
    objects.objects[upload.name.bucket + "/" + upload.name.key] = made;
    uploads.erase(found);
    co_return made.etag;
  }
  task<result<void>> abort_multipart(store_upload upload) override {
    if (broken) co_return *broken;
    uploads.erase(upload.id);
    if (before_abort_ends) before_abort_ends();
    co_return result<void>{};
  }
  task<result<std::vector<store_upload>>> list_multiparts(object_name name) override {
    if (broken) co_return *broken;
    std::vector<store_upload> all;
    for (const auto& [id, one] : uploads)
      if (one.name.key == name.key) all.push_back({one.name, id});
    co_return all;
  }

  task<result<presigned_url>> presign_put(object_name name, signed_body body, std::chrono::seconds lifetime) override {
    if (broken) co_return *broken;
    signed_with.push_back(body);
    co_return presigned_url{"https://s3/" + name.key, seconds_clock{lifetime}, std::move(body.headers)};
  }
  task<result<presigned_url>> presign_get(object_name, std::chrono::seconds, response_headers) override {
    co_return failure(errc::internal, "not needed");
  }
  task<result<presigned_url>> presign_part(object_name, std::string upload_id, int number, signed_body body,
                                           std::chrono::seconds lifetime) override {
    if (broken) co_return *broken;
    signed_with.push_back(body);
    co_return presigned_url{"https://s3/?" + upload_id + "&" + std::to_string(number), seconds_clock{lifetime},
                            std::move(body.headers)};
  }
};

} // namespace postern::test
