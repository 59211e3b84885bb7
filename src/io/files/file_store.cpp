#include "file_list.hpp"
#include "file_sink.hpp"
#include <postern/base/digest.hpp>
#include <postern/io/files/file_store.hpp>

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <limits>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace postern {
namespace {

// --- reading and removing ---------------------------------------------------------------------------

stored_object describe_file(const struct stat& file, const result<file_place>& beside) {
  if (beside)
    if (auto found = read_sidecar_at(beside->folder.get(), beside->name); found && found->describes(file))
      return std::move(found->object);
  return object_without_sidecar(file);
}

failure absent(const object_name& name) { return {errc::object_absent, quote(name.key)}; }
failure other_object(const object_name& name) {
  return {errc::conflict, "another object is stored as " + quote(name.key)};
}

result<stored_object> look_at(const file_root& r, const object_name& name) {
  auto at = find_object(r, name, false);
  if (!at) return at.error();
  const auto beside = find_sidecar(r, hash_of(name), false);
  if (beside)
    if (auto locked = lock(*beside, LOCK_SH); !locked) return locked.error();
  struct stat file;
  if (::fstatat(at->folder.get(), at->name.c_str(), &file, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? absent(name) : disk_failure("look at " + quote(name.key));
  if (!S_ISREG(file.st_mode)) return failure{errc::object_absent, quote(name.key) + " is not a file"};
  return describe_file(file, beside);
}

// The object's file, open for reading, as it was when it had the ETag.
struct opened_object {
  descriptor file;
  struct stat at;
};

result<opened_object> open_object(const file_root& r, const object_name& name, const std::string& etag) {
  auto at = find_object(r, name, false);
  if (!at) return at.error();
  const auto beside = find_sidecar(r, hash_of(name), false);
  if (beside)
    if (auto locked = lock(*beside, LOCK_SH); !locked) return locked.error();
  // O_NONBLOCK: another program can have made a FIFO.
  descriptor file(::openat(at->folder.get(), at->name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file && (errno == ENOENT || errno == ELOOP)) return absent(name);
  struct stat s;
  if (!file || ::fstat(file.get(), &s) != 0) return disk_failure("open " + quote(name.key));
  if (!S_ISREG(s.st_mode)) return failure{errc::object_absent, quote(name.key) + " is not a file"};
  if (describe_file(s, beside).etag != etag) return other_object(name);
  return opened_object{std::move(file), s};
}

// From the file that was opened, also when another object gets its name meanwhile.
result<std::string> read_piece(const file_root& r, const object_name& name, const std::string& etag,
                               std::uint64_t offset, std::size_t max) {
  const auto object = open_object(r, name, etag);
  if (!object) return object.error();
  const int file = object->file.get();
  const auto size = static_cast<std::uint64_t>(object->at.st_size);
  if (offset >= size) return std::string{};
  std::string bytes(std::min<std::uint64_t>(max, size - offset), '\0');
  for (std::size_t have = 0; have < bytes.size();) {
    const auto n = ::pread(file, bytes.data() + have, bytes.size() - have, static_cast<off_t>(offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return disk_failure("read " + quote(name.key));
    if (n == 0) return other_object(name); // cut by another program
    have += static_cast<std::size_t>(n);
  }
  // Another program can write into the file itself. One long write changes the time once, at its beginning, so what
  // counts is the time at which the file had the ETag.
  struct stat after;
  if (::fstat(file, &after) != 0) return disk_failure("look at " + quote(name.key));
  if (mtime_ns(after) != mtime_ns(object->at) || after.st_size != object->at.st_size) return other_object(name);
  return bytes;
}

result<void> erase_at(const file_place& at, const result<file_place>& beside, const object_name& name) {
  if (::unlinkat(at.folder.get(), at.name.c_str(), 0) != 0) {
    if (errno == ENOENT || errno == EISDIR) return {}; // EISDIR: a folder of other keys has this name
    return disk_failure("remove " + quote(name.key));
  }
  if (::fsync(at.folder.get()) != 0) return disk_failure("make the removal of " + quote(name.key) + " durable");
  if (beside) ::unlinkat(beside->folder.get(), beside->name.c_str(), 0);
  return {};
}

// With `etag`: only if the object has it.
result<void> erase(const file_root& r, const object_name& name, const std::string* etag) {
  auto at = find_object(r, name, false);
  if (!at) return at.error().code == errc::object_absent ? result<void>{} : result<void>(at.error());
  const auto beside = find_sidecar(r, hash_of(name), etag != nullptr); // created, so that there is a lock
  if (etag && !beside) return beside.error();
  if (beside)
    if (auto locked = lock(*beside, LOCK_EX); !locked) return locked.error();
  if (!etag) return erase_at(*at, beside, name);
  struct stat file;
  if (::fstatat(at->folder.get(), at->name.c_str(), &file, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? result<void>{} : disk_failure("look at " + quote(name.key));
  if (!S_ISREG(file.st_mode)) return {};
  if (describe_file(file, beside).etag != *etag) return other_object(name);
  return erase_at(*at, beside, name);
}

class file_store final : public store, public resumable_store {
public:
  file_store(const file_store_options& options, asio::thread_pool& pool)
      : root_(open_file_root(options.root)), pool_(pool) {}

  task<result<std::unique_ptr<sink>>> open(object_name name, object_meta meta, std::optional<expected_size>,
                                           allowance*) override {
    const auto work = [&] { return begin(std::move(name), std::move(meta)); };
    co_return co_await on_pool(pool_, work);
  }
  std::uint64_t max_memory() const override { return 0; }
  resumable_store* as_resumable_store() override { return this; }
  task<result<std::string>> begin_resumable(object_name name, object_meta meta, bool) override {
    const auto work = [&] { return begin_paused(*root_, std::move(name), std::move(meta)); };
    co_return co_await on_pool(pool_, work);
  }
  task<result<std::unique_ptr<resumable_sink>>> resume(resumable_upload upload, kept_bytes kept, allowance*) override {
    const auto work = [&] { return resume_paused(root_, pool_, upload, kept); };
    co_return co_await on_pool(pool_, work);
  }
  task<result<void>> discard(object_name, std::string id) override {
    const auto work = [&] { return remove_paused(*root_, id); };
    co_return co_await on_pool(pool_, work);
  }
  std::uint64_t max_resumable_memory() const override { return 0; }
  std::uint64_t max_resumable_size() const override { return std::numeric_limits<std::int64_t>::max(); }
  task<result<stored_object>> head(object_name name) override {
    const auto work = [&]() -> result<stored_object> {
      if (auto same = require_paths(*root_); !same) return same.error();
      return look_at(*root_, name);
    };
    co_return co_await on_pool(pool_, work);
  }
  task<result<std::vector<std::string>>> list(std::string bucket, std::string prefix, std::size_t max) override {
    const auto work = [&] { return list_keys(*root_, bucket, prefix, max); };
    co_return co_await on_pool(pool_, work);
  }
  task<result<void>> remove(object_name name) override {
    const auto work = [&]() -> result<void> {
      if (auto same = require_paths(*root_); !same) return same.error();
      return erase(*root_, name, nullptr);
    };
    co_return co_await on_pool(pool_, work);
  }
  task<result<void>> remove_if_match(object_name name, std::string etag) override {
    const auto work = [&]() -> result<void> {
      if (auto same = require_paths(*root_); !same) return same.error();
      return erase(*root_, name, &etag);
    };
    co_return co_await on_pool(pool_, work);
  }
  task<result<std::string>> read_some(object_name name, std::string etag, std::uint64_t offset,
                                      std::size_t max) override {
    const auto work = [&]() -> result<std::string> {
      if (auto same = require_paths(*root_); !same) return same.error();
      return read_piece(*root_, name, etag, offset, std::clamp<std::size_t>(max, 1, max_read));
    };
    co_return co_await on_pool(pool_, work);
  }
  task<result<stored_object>> copy(object_name from, std::string etag, object_name to) override {
    auto source = co_await head(from);
    if (!source) co_return source.error();
    if (source->etag != etag) co_return other_object(from);
    auto opened = co_await open(std::move(to), source->meta, std::nullopt, nullptr);
    if (!opened) co_return opened.error();
    auto& copied = **opened; // removes what it has when it is destroyed
    for (std::uint64_t at = 0; at < source->size;) {
      auto piece = co_await read_some(from, etag, at, max_read);
      if (!piece) co_return piece.error();
      if (piece->empty()) co_return other_object(from); // cut by another program
      at += piece->size();
      auto written = co_await copied.write(*piece);
      if (!written) co_return written.error();
    }
    co_return co_await copied.finish();
  }
  task<result<void>> check() override {
    const auto work = [this] { return require_paths(*root_); };
    co_return co_await on_pool(pool_, work);
  }

private:
  result<std::unique_ptr<sink>> begin(object_name name, object_meta meta) {
    if (auto path = object_path(name); !path) return path.error();
    if (auto same = require_paths(*root_); !same) return same.error();
    auto temporary_name = hash_of(name) + "." + random_name();
    const int own = root_->own.get();
    descriptor file(::openat(own, temporary_name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file) return disk_failure("create a temporary file in .postern/tmp");
    sidecar description;
    description.name = std::move(name);
    description.object.meta = std::move(meta);
    return std::make_unique<file_sink>(root_, pool_, std::move(description), own, std::move(temporary_name),
                                       std::move(file));
  }

  std::shared_ptr<file_root> root_;
  asio::thread_pool& pool_;
};

} // namespace

std::unique_ptr<store> make_file_store(const file_store_options& options, asio::thread_pool& pool) {
  return std::make_unique<file_store>(options, pool);
}

} // namespace postern
