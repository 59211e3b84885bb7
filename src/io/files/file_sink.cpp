#include "file_sink.hpp"

#include <postern/base/digest.hpp>

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace postern {
namespace {

constexpr std::uint64_t writeback_step = 8 << 20;

std::string sidecar_of(const std::string& id) { return id + ".json"; }

bool is_id(const std::string& id) { return id.size() == 32 && id.find_first_not_of("0123456789abcdef") == id.npos; }

} // namespace

file_sink::file_sink(std::shared_ptr<file_root> root, asio::thread_pool& pool, sidecar description, int folder,
                     std::string file_name, descriptor file)
    : root_(std::move(root)), pool_(pool), description_(std::move(description)), folder_(folder),
      file_name_(std::move(file_name)), file_(std::move(file)), size_(description_.object.size), flushed_(size_),
      crc_(description_.object.crc32c.value_or(0)) {}

file_sink::~file_sink() {
  if (!is_resumed()) discard();
}

task<result<void>> file_sink::write(std::span<const char> bytes) {
  const auto work = [this, bytes] { return append(bytes); };
  co_return co_await on_pool(pool_, work);
}

task<result<stored_object>> file_sink::finish() {
  const auto work = [this] { return publish(); };
  co_return co_await on_pool(pool_, work);
}

task<result<kept_bytes>> file_sink::keep() {
  const auto work = [this] { return keep_all(); };
  co_return co_await on_pool(pool_, work);
}

task<result<kept_bytes>> file_sink::pause() {
  const auto work = [this] {
    auto kept = keep_all();
    file_name_.clear();
    file_ = descriptor(); // releases its lock, so the upload can be resumed
    return kept;
  };
  co_return co_await on_pool(pool_, work);
}

task<> file_sink::abandon() {
  const auto work = [this] { discard(); };
  co_await on_pool(pool_, work);
}

result<void> file_sink::append(std::span<const char> bytes) {
  if (auto done = write_all(file_.get(), bytes); !done) {
    is_broken_ = true;
    return done;
  }
  crc_ = crc32c(crc_, bytes);
  size_ += bytes.size();
  if (size_ - flushed_ < writeback_step) return {};
  // The disk starts writing now, so that the fsync at the end takes less time.
  ::sync_file_range(file_.get(), static_cast<off64_t>(flushed_), static_cast<off64_t>(size_ - flushed_),
                    SYNC_FILE_RANGE_WRITE);
  flushed_ = size_;
  return {};
}

result<struct stat> file_sink::make_durable() {
  struct stat s;
  if (is_broken_) return failure{errc::store_failed, "an earlier write to " + quote(key()) + " failed"};
  if (::fsync(file_.get()) == 0 && ::fstat(file_.get(), &s) == 0) return s;
  is_broken_ = true; // a second fsync would succeed although bytes are lost
  return disk_failure("make " + quote(key()) + " durable");
}

result<stored_object> file_sink::publish() {
  if (auto same = require_paths(*root_); !same) return same.error();
  const auto file = make_durable();
  if (!file) return file.error();
  description_.mtime_ns = mtime_ns(*file);
  description_.object.size = size_;
  description_.object.crc32c = crc_;
  description_.object.etag = new_etag(size_, crc_);

  auto to = find_object(*root_, description_.name, true);
  if (!to && to.error().code == errc::object_absent)
    return failure{errc::invalid_argument, "the key " + quote(key()) +
                                               " begins with the key of another object and a slash; the file store "
                                               "cannot hold both"};
  if (!to) return to.error();
  const auto beside = find_sidecar(*root_, hash_of(description_.name), true);
  if (!beside) return beside.error();
  if (auto locked = lock(*beside, LOCK_EX); !locked) return locked.error();
  // An unfinished upload may have been discarded meanwhile. The sidecar is that of an earlier object until then.
  struct stat there;
  if (::fstatat(folder_, file_name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0 || there.st_ino != file->st_ino)
    return failure{errc::object_absent, "the upload of " + quote(key()) + " was removed"};
  const auto put = replace_file(root_->own.get(), beside->folder.get(), beside->name, to_json(description_));
  if (!put) return put.error();
  if (auto named = give_name(*to); !named) {
    ::unlinkat(beside->folder.get(), beside->name.c_str(), 0);
    return named.error();
  }
  if (::fsync(to->folder.get()) != 0) return disk_failure("make the name of " + quote(key()) + " durable");
  if (auto same = require_paths(*root_); !same) return same.error(); // lost meanwhile: not acknowledged
  return description_.object;
}

result<void> file_sink::give_name(const file_place& to) {
  if (::renameat(folder_, file_name_.c_str(), to.folder.get(), to.name.c_str()) != 0) {
    if (errno != EISDIR) return disk_failure("rename the temporary file to " + quote(key()));
    return failure{errc::invalid_argument, "the key of another object begins with " + quote(key()) +
                                               " and a slash; the file store cannot hold both"};
  }
  if (is_resumed()) ::unlinkat(folder_, sidecar_of(file_name_).c_str(), 0);
  file_name_.clear();
  file_ = descriptor();
  return {};
}

result<kept_bytes> file_sink::keep_all() {
  if (auto same = require_paths(*root_); !same) return same.error();
  if (const auto file = make_durable(); !file) return file.error();
  return kept_bytes{size_, crc_};
}

void file_sink::discard() {
  if (file_name_.empty()) return;
  ::unlinkat(folder_, file_name_.c_str(), 0);
  if (is_resumed()) ::unlinkat(folder_, sidecar_of(file_name_).c_str(), 0);
  file_name_.clear();
  file_ = descriptor(); // on this thread, because freeing the blocks of a large file takes time
}

// --- unfinished uploads -----------------------------------------------------------------------------

result<std::string> begin_paused(file_root& r, object_name name, object_meta meta) {
  if (auto path = object_path(name); !path) return path.error();
  if (auto same = require_paths(r); !same) return same.error();
  auto id = random_name();
  const int paused = r.paused.get();
  sidecar description;
  description.name = std::move(name);
  description.object.meta = std::move(meta);
  const descriptor file(::openat(paused, id.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file) return disk_failure("create a file in .postern/paused");
  const auto put = replace_file(r.own.get(), paused, sidecar_of(id), to_json(description));
  if (!put) {
    ::unlinkat(paused, id.c_str(), 0);
    return put.error();
  }
  if (::fsync(paused) != 0) return disk_failure("make a file in .postern/paused durable");
  return id;
}

result<std::unique_ptr<resumable_sink>> resume_paused(std::shared_ptr<file_root> root, asio::thread_pool& pool,
                                                      const resumable_upload& upload, kept_bytes kept) {
  if (auto same = require_paths(*root); !same) return same.error();
  const int paused = root->paused.get();
  const auto& id = upload.id;
  failure unknown{errc::object_absent, "the store keeps no upload " + quote(id)};
  if (!is_id(id)) return unknown;
  descriptor file(::openat(paused, id.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return errno == ENOENT ? unknown : disk_failure("open the unfinished upload " + id);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return failure{errc::conflict, "another request is writing to this upload"};
  // The previous holder of the lock may have finished the upload. Then this file is an object now.
  struct stat opened, named;
  if (::fstat(file.get(), &opened) != 0 || ::fstatat(paused, id.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 ||
      opened.st_ino != named.st_ino)
    return unknown;
  auto description = read_sidecar_at(paused, sidecar_of(id));
  if (!description) return description.error();
  if (description->name.bucket != upload.name.bucket || description->name.key != upload.name.key) return unknown;
  const auto size = static_cast<off_t>(kept.size);
  if (opened.st_size < size)
    return failure{errc::store_failed, "bytes of the unfinished upload " + id + " are missing"};
  // What came behind `kept` may not be whole, so it is dropped.
  if (::ftruncate(file.get(), size) != 0 || ::lseek(file.get(), size, SEEK_SET) != size)
    return disk_failure("truncate the unfinished upload " + id);
  description->object.size = kept.size;
  description->object.crc32c = kept.crc32c;
  return std::make_unique<file_sink>(std::move(root), pool, std::move(*description), paused, id, std::move(file));
}

result<void> remove_paused(file_root& r, const std::string& id) {
  if (auto same = require_paths(r); !same) return same.error();
  if (!is_id(id)) return {};
  const int paused = r.paused.get();
  for (const auto& name : {id, sidecar_of(id)})
    if (::unlinkat(paused, name.c_str(), 0) != 0 && errno != ENOENT)
      return disk_failure("remove the unfinished upload " + id);
  return {};
}

} // namespace postern
