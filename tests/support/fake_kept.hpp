// Unfinished uploads in memory, for tests of flows. Set fake_store::keeps to it. Like S3, it keeps whole parts while
// bytes arrive, and everything at a pause.
#pragma once

#include "fakes.hpp"
#include <postern/base/digest.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace postern::test {

struct fake_kept final : resumable_store {
  static constexpr std::size_t part = 1000;

  explicit fake_kept(fake_store& s) : objects(s) { s.keeps = this; }

  fake_store& objects;
  std::map<std::string, std::string> uploads; // the bytes, by the store's id
  std::optional<failure> refuses_to_begin, refuses_to_resume, refuses_to_finish, refuses_to_pause;
  int begins = 0, resumes = 0, writes = 0;
  int fails_at_write = -1;
  bool loses_answer_of_finish = false;
  std::vector<std::string> discarded;
  std::uint64_t max_size = 1 << 30;
  resumable_upload last; // that was resumed

  struct kept_sink final : resumable_sink {
    kept_sink(fake_kept& k, resumable_upload u) : in(k), upload(std::move(u)) {}
    fake_kept& in;
    const resumable_upload upload;

    std::string& bytes() { return in.uploads[upload.id]; }
    kept_bytes first(std::size_t n) { return {n, crc32c(0, std::string_view(bytes()).substr(0, n))}; }
    task<result<void>> write(std::span<const char> b) override {
      if (in.writes++ == in.fails_at_write) co_return failure(errc::store_failed, "write");
      bytes().append(b.data(), b.size());
      co_return result<void>{};
    }
    task<result<kept_bytes>> keep() override { co_return first(bytes().size() / part * part); }
    task<result<kept_bytes>> pause() override {
      if (in.refuses_to_pause) co_return *in.refuses_to_pause;
      co_return first(bytes().size());
    }
    task<result<stored_object>> finish() override {
      if (in.refuses_to_finish) co_return *in.refuses_to_finish;
      stored_object o;
      o.size = bytes().size();
      o.etag = "kept";
      o.meta = upload.meta;
      const auto at = upload.name.bucket + "/" + upload.name.key;
      in.objects.objects[at] = o;
      in.objects.contents[at] = bytes();
      in.uploads.erase(upload.id);
      if (in.loses_answer_of_finish) co_return failure(errc::unavailable, "no answer");
      co_return o;
    }
    task<> abandon() override {
      in.uploads.erase(upload.id);
      co_return;
    }
  };

  task<result<std::string>> begin_resumable(object_name, object_meta, bool) override {
    if (refuses_to_begin) co_return *refuses_to_begin;
    const auto id = "kept " + std::to_string(++begins);
    uploads[id];
    co_return id;
  }
  task<result<std::unique_ptr<resumable_sink>>> resume(resumable_upload upload, kept_bytes kept, allowance*) override {
    ++resumes;
    last = upload;
    if (refuses_to_resume) co_return *refuses_to_resume;
    const auto found = uploads.find(upload.id);
    if (found == uploads.end()) co_return failure(errc::object_absent, upload.id);
    if (found->second.size() < kept.size) co_return failure(errc::store_failed, "bytes are missing");
    found->second.resize(kept.size);
    co_return std::make_unique<kept_sink>(*this, std::move(upload));
  }
  task<result<void>> discard(object_name, std::string id) override {
    discarded.push_back(id);
    uploads.erase(id);
    co_return result<void>{};
  }
  std::uint64_t max_resumable_memory() const override { return 0; }
  std::uint64_t max_resumable_size() const override { return max_size; }
};

} // namespace postern::test
