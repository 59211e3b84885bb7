// Private to io/files: writes one object, into a temporary file of its own or into the file of an upload that was
// paused. A transfer owns it, and uses it on its thread; the disk is used on threads of the pool.
#pragma once

#include "file_root.hpp"
#include <postern/io/files/file_layout.hpp>

#include <boost/asio/thread_pool.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace postern {

class file_sink final : public resumable_sink {
public:
  // Writes to `file`, which is `file_name` in `folder`: the root's own or paused. `description` has the object's name
  // and metadata, and for a paused upload the size and checksum of the bytes that the file has.
  file_sink(std::shared_ptr<file_root> root, asio::thread_pool& pool, sidecar description, int folder,
            std::string file_name, descriptor file);
  ~file_sink() override;

  task<result<void>> write(std::span<const char> bytes) override;
  task<result<stored_object>> finish() override;
  task<result<kept_bytes>> keep() override;
  task<result<kept_bytes>> pause() override;
  task<> abandon() override;

private:
  bool is_resumed() const { return folder_ == root_->paused.get(); }
  result<void> append(std::span<const char> bytes);
  result<struct stat> make_durable();
  result<stored_object> publish();
  result<void> give_name(const file_place& to);
  result<kept_bytes> keep_all();
  void discard();
  const std::string& key() const { return description_.name.key; }

  std::shared_ptr<file_root> root_;
  asio::thread_pool& pool_;
  sidecar description_;
  int folder_;
  std::string file_name_; // empty: the sink has ended and must not remove the file
  descriptor file_;
  std::uint64_t size_, flushed_;
  std::uint32_t crc_;
  bool is_broken_ = false;
};

// Unfinished uploads, in .postern/paused: a file with the bytes, and a sidecar with the object's name and metadata.
result<std::string> begin_paused(file_root& r, object_name name, object_meta meta); // its id
result<std::unique_ptr<resumable_sink>> resume_paused(std::shared_ptr<file_root> root, asio::thread_pool& pool,
                                                      const resumable_upload& upload, kept_bytes kept);
result<void> remove_paused(file_root& r, const std::string& id);

} // namespace postern
