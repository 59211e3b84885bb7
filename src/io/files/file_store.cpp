#include <postern/base/digest.hpp>
#include <postern/io/files/file_layout.hpp>
#include <postern/io/files/file_store.hpp>
#include <postern/io/files/files.hpp>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace postern {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t writeback_step = 8 << 20;

// --- the folders of one root ------------------------------------------------------------------------

struct folders {
  descriptor root, meta, paused, own; // own: this process's in tmp, locked as long as it is open
  std::string own_name;
  ~folders() {
    if (!own_name.empty()) ::unlinkat(root.get(), (".postern/tmp/" + own_name).c_str(), AT_REMOVEDIR);
  }
};

// The folder of an object, and its own name there.
struct place {
  descriptor folder;
  std::string name;
};

result<place> object_place(const folders& f, const object_name& name, bool make) {
  auto parts = path_of(name);
  if (!parts) return parts.error();
  auto last = std::move(parts->back());
  parts->pop_back();
  auto folder = open_folder(f.root.get(), *parts, make);
  if (!folder) return folder.error();
  return place{std::move(*folder), std::move(last)};
}

std::string hash_of(const object_name& name) { return sha256_hex(name.bucket + "/" + name.key); }

result<place> sidecar_place(const folders& f, const std::string& hash, bool make) {
  const std::vector<std::string> parts{hash.substr(0, 2)};
  auto folder = open_folder(f.meta.get(), parts, make);
  if (!folder) return folder.error();
  return place{std::move(*folder), hash + ".json"};
}

// A sidecar and its object are two files. Whoever changes both holds this lock (LOCK_EX), and who reads both (LOCK_SH):
// against other processes, and against this one's threads, since each has opened the folder for itself. Ends with the
// descriptor.
result<void> lock(const place& p, int how) {
  while (::flock(p.folder.get(), how) != 0)
    if (errno != EINTR) return disk_failure("locking a folder");
  return {};
}

result<sidecar> read_sidecar_at(int folder, const std::string& name) {
  const descriptor file(::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return errno == ENOENT ? failure{errc::object_absent, "its sidecar"} : disk_failure("opening a sidecar");
  auto text = read_whole(file.get(), max_sidecar_bytes);
  if (!text) return text.error();
  return read_sidecar(*text);
}

// --- reading and removing ---------------------------------------------------------------------------

result<stored_object> look_at(const folders& f, const object_name& name) {
  auto at = object_place(f, name, false);
  if (!at) return at.error();
  const auto beside = sidecar_place(f, hash_of(name), false);
  if (beside)
    if (auto locked = lock(*beside, LOCK_SH); !locked) return locked.error();
  struct stat file;
  if (::fstatat(at->folder.get(), at->name.c_str(), &file, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? failure{errc::object_absent, "the object"} : disk_failure("looking at an object");
  if (!S_ISREG(file.st_mode)) return failure{errc::object_absent, "the object"};
  if (beside)
    if (auto said = read_sidecar_at(beside->folder.get(), beside->name); said && said->describes(file))
      return std::move(said->object);
  return plain_object(file);
}

result<void> erase(const folders& f, const object_name& name) {
  auto at = object_place(f, name, false);
  if (!at) return at.error().code == errc::object_absent ? result<void>{} : result<void>(at.error());
  const auto beside = sidecar_place(f, hash_of(name), false);
  if (beside)
    if (auto locked = lock(*beside, LOCK_EX); !locked) return locked.error();
  // EISDIR: the key is only the beginning of others.
  if (::unlinkat(at->folder.get(), at->name.c_str(), 0) != 0)
    return errno == ENOENT || errno == EISDIR ? result<void>{} : result<void>(disk_failure("removing an object"));
  if (::fsync(at->folder.get()) != 0) return disk_failure("removing an object");
  if (beside) ::unlinkat(beside->folder.get(), beside->name.c_str(), 0);
  return {};
}

// --- starting ---------------------------------------------------------------------------------------

[[noreturn]] void cannot(const fs::path& root, const std::string& why) {
  throw std::runtime_error("store.path: \"" + root.string() + "\" cannot be used: " + why +
                           ". Name a folder that this user may write to.");
}

// A process that died between writing a sidecar and naming its object left the sidecar of nothing. The name of what it
// was writing begins with the object's hash.
void remove_orphan(const folders& f, const std::string& file_name) {
  if (file_name.size() < 64) return;
  const auto beside = sidecar_place(f, file_name.substr(0, 64), false);
  if (!beside || !lock(*beside, LOCK_EX)) return;
  const auto said = read_sidecar_at(beside->folder.get(), beside->name);
  if (!said) return;
  const auto at = object_place(f, said->of, false);
  struct stat file;
  const bool there = at && ::fstatat(at->folder.get(), at->name.c_str(), &file, AT_SYMLINK_NOFOLLOW) == 0;
  if (!there) ::unlinkat(beside->folder.get(), beside->name.c_str(), 0);
}

// A folder whose lock can be had belongs to nobody who lives.
void remove_leftovers(const folders& f, const fs::path& tmp) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(tmp, ignored)) {
    const descriptor folder(::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder || ::flock(folder.get(), LOCK_EX | LOCK_NB) != 0) continue;
    for (const auto& file : fs::directory_iterator(entry.path(), ignored))
      remove_orphan(f, file.path().filename().string());
    fs::remove_all(entry.path(), ignored);
  }
}

std::shared_ptr<folders> open_folders(const fs::path& root) {
  std::error_code ec;
  fs::create_directories(root, ec);
  if (ec) cannot(root, ec.message());
  auto f = std::make_shared<folders>();
  f->root = descriptor(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!f->root) cannot(root, std::strerror(errno));
  const auto make = [&](const std::string& name) {
    const std::vector<std::string> parts{".postern", name};
    auto made = open_folder(f->root.get(), parts, true);
    if (!made) cannot(root, made.error().on);
    return std::move(*made);
  };
  f->meta = make("meta");
  f->paused = make("paused");
  const auto tmp = make("tmp");
  remove_leftovers(*f, root / ".postern" / "tmp");

  // Between its making and its lock, another process that starts may have taken it for a dead one's.
  for (int tries = 0; tries < 100; ++tries) {
    const std::vector<std::string> name{random_name()};
    auto made = open_folder(tmp.get(), name, true);
    if (!made && made.error().code != errc::object_absent) cannot(root, made.error().on);
    struct stat s;
    if (!made || ::flock(made->get(), LOCK_EX | LOCK_NB) != 0 || ::fstat(made->get(), &s) != 0 || s.st_nlink == 0)
      continue;
    f->own = std::move(*made);
    f->own_name = name.front();
    return f;
  }
  cannot(root, "its .postern/tmp cannot be locked");
}

// --- writing one object -----------------------------------------------------------------------------

class file_sink final : public resumable_sink {
public:
  // The file is `file_name` in `folder`, which is one of f's. `kept` says what it is to become, and for one that goes
  // on, what it is so far.
  file_sink(std::shared_ptr<folders> f, asio::thread_pool& pool, sidecar kept, int folder, std::string file_name,
            descriptor file)
      : f_(std::move(f)), pool_(pool), kept_(std::move(kept)), folder_(folder), file_name_(std::move(file_name)),
        file_(std::move(file)), size_(kept_.object.size), flushed_(size_), crc_(kept_.object.crc32c.value_or(0)) {}
  ~file_sink() override { discard(); }

  task<result<void>> write(std::span<const char> bytes) override {
    const auto work = [this, bytes] { return append(bytes); };
    co_return co_await on_pool(pool_, work);
  }
  task<result<stored_object>> finish() override {
    const auto work = [this] { return publish(); };
    co_return co_await on_pool(pool_, work);
  }
  task<result<std::string>> pause() override {
    const auto work = [this] { return set_aside(); };
    co_return co_await on_pool(pool_, work);
  }
  task<> abandon() override {
    const auto work = [this] { discard(); };
    co_await on_pool(pool_, work);
  }

private:
  bool was_paused() const { return folder_ == f_->paused.get(); }

  result<void> append(std::span<const char> bytes) {
    if (auto done = write_all(file_.get(), bytes); !done) {
      broken_ = true;
      return done;
    }
    crc_ = crc32c(crc_, bytes);
    size_ += bytes.size();
    if (size_ - flushed_ < writeback_step) return {};
    // Begun now, so that the fsync at the end finds little left to do.
    ::sync_file_range(file_.get(), static_cast<off64_t>(flushed_), static_cast<off64_t>(size_ - flushed_),
                      SYNC_FILE_RANGE_WRITE);
    flushed_ = size_;
    return {};
  }

  result<struct stat> make_durable() {
    struct stat s;
    if (broken_) return failure{errc::store_failed, "an earlier write failed"};
    if (::fsync(file_.get()) == 0 && ::fstat(file_.get(), &s) == 0) return s;
    broken_ = true; // a second fsync would find nothing to do, and say all is well
    return disk_failure("making an object durable");
  }

  result<stored_object> publish() {
    const auto file = make_durable();
    if (!file) return file.error();
    kept_.mtime_ns = mtime_ns(*file);
    kept_.object.size = size_;
    kept_.object.crc32c = crc_;
    kept_.object.etag = new_etag(size_, crc_);

    auto to = object_place(*f_, kept_.of, true);
    if (!to && to.error().code == errc::object_absent)
      return failure{errc::invalid_argument,
                     "a part of the key is the name of another object; this store cannot hold both"};
    if (!to) return to.error();
    const auto beside = sidecar_place(*f_, hash_of(kept_.of), true);
    if (!beside) return beside.error();
    if (auto locked = lock(*beside, LOCK_EX); !locked) return locked.error();
    const auto put = replace_file(f_->own.get(), beside->folder.get(), beside->name, to_json(kept_));
    if (!put) return put.error();
    if (auto named = give_name(*to); !named) {
      ::unlinkat(beside->folder.get(), beside->name.c_str(), 0);
      return named.error();
    }
    if (::fsync(to->folder.get()) != 0) return disk_failure("making an object's name durable");
    return kept_.object;
  }

  result<void> give_name(const place& to) {
    if (::renameat(folder_, file_name_.c_str(), to.folder.get(), to.name.c_str()) != 0) {
      if (errno != EISDIR) return disk_failure("naming an object");
      return failure{errc::invalid_argument,
                     "the key is the beginning of another object's; this store cannot hold both"};
    }
    if (was_paused()) ::unlinkat(folder_, (file_name_ + ".json").c_str(), 0);
    file_name_.clear();
    file_ = descriptor();
    return {};
  }

  result<std::string> set_aside() {
    if (const auto file = make_durable(); !file) return file.error();
    const auto bookmark = was_paused() ? file_name_ : random_name();
    const int paused = f_->paused.get();
    kept_.object.size = size_;
    kept_.object.crc32c = crc_;
    const auto put = replace_file(f_->own.get(), paused, bookmark + ".json", to_json(kept_));
    if (!put) return put.error();
    if (!was_paused() && ::renameat(folder_, file_name_.c_str(), paused, bookmark.c_str()) != 0) {
      const auto why = disk_failure("setting an upload aside");
      ::unlinkat(paused, (bookmark + ".json").c_str(), 0);
      return why;
    }
    file_name_.clear();
    file_ = descriptor(); // its lock with it: from here on others may reopen it
    if (::fsync(paused) != 0) return disk_failure("making a paused upload durable");
    return bookmark;
  }

  void discard() {
    if (file_name_.empty()) return;
    ::unlinkat(folder_, file_name_.c_str(), 0);
    if (was_paused()) ::unlinkat(folder_, (file_name_ + ".json").c_str(), 0);
    file_name_.clear();
    file_ = descriptor(); // here and not later: giving back the blocks of a large file takes time
  }

  std::shared_ptr<folders> f_;
  asio::thread_pool& pool_;
  sidecar kept_;
  int folder_;
  std::string file_name_; // empty: no longer ours to remove
  descriptor file_;
  std::uint64_t size_, flushed_;
  std::uint32_t crc_;
  bool broken_ = false;
};

class file_store final : public store, public resumable_store {
public:
  file_store(const file_store_options& options, asio::thread_pool& pool)
      : f_(open_folders(options.root)), pool_(pool) {}

  task<result<std::unique_ptr<sink>>> open(object_name name, object_meta meta,
                                           std::optional<std::uint64_t> expected_size) override {
    auto opened = co_await open_resumable(std::move(name), std::move(meta), expected_size);
    if (!opened) co_return opened.error();
    co_return std::move(*opened);
  }
  std::uint64_t memory_for(std::optional<std::uint64_t>) const override { return 0; }
  resumable_store* as_resumable_store() override { return this; }
  task<result<std::unique_ptr<resumable_sink>>> open_resumable(object_name name, object_meta meta,
                                                               std::optional<std::uint64_t>) override {
    const auto work = [&] { return begin(std::move(name), std::move(meta)); };
    co_return co_await on_pool(pool_, work);
  }
  task<result<std::unique_ptr<resumable_sink>>> reopen(std::string bookmark) override {
    const auto work = [&] { return go_on(bookmark); };
    co_return co_await on_pool(pool_, work);
  }
  task<result<stored_object>> head(object_name name) override {
    const auto work = [&] { return look_at(*f_, name); };
    co_return co_await on_pool(pool_, work);
  }
  task<result<void>> remove(object_name name) override {
    const auto work = [&] { return erase(*f_, name); };
    co_return co_await on_pool(pool_, work);
  }

private:
  result<std::unique_ptr<resumable_sink>> begin(object_name name, object_meta meta) {
    if (auto path = path_of(name); !path) return path.error();
    auto beside = hash_of(name) + "." + random_name();
    descriptor file(::openat(f_->own.get(), beside.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file) return disk_failure("making a file");
    sidecar kept;
    kept.of = std::move(name);
    kept.object.meta = std::move(meta);
    return std::make_unique<file_sink>(f_, pool_, std::move(kept), f_->own.get(), std::move(beside), std::move(file));
  }

  result<std::unique_ptr<resumable_sink>> go_on(const std::string& bookmark) {
    const int paused = f_->paused.get();
    const failure unknown{errc::object_absent, "the paused upload"};
    if (bookmark.size() != 32 || bookmark.find_first_not_of("0123456789abcdef") != bookmark.npos) return unknown;
    descriptor file(::openat(paused, bookmark.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (!file) return errno == ENOENT ? unknown : disk_failure("opening a paused upload");
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
      return failure{errc::conflict, "another request goes on with this upload"};
    // Whoever held the lock before may have finished it: then this is an object now, and not to be touched.
    struct stat opened, named;
    if (::fstat(file.get(), &opened) != 0 || ::fstatat(paused, bookmark.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 ||
        opened.st_ino != named.st_ino)
      return unknown;
    auto kept = read_sidecar_at(paused, bookmark + ".json");
    if (!kept) return kept.error();
    const auto size = static_cast<off_t>(kept->object.size);
    // Bytes beyond the last pause were never promised.
    if (::ftruncate(file.get(), size) != 0 || ::lseek(file.get(), size, SEEK_SET) != size)
      return disk_failure("going on with an upload");
    return std::make_unique<file_sink>(f_, pool_, std::move(*kept), paused, bookmark, std::move(file));
  }

  std::shared_ptr<folders> f_;
  asio::thread_pool& pool_;
};

} // namespace

std::unique_ptr<store> make_file_store(file_store_options options, asio::thread_pool& pool) {
  return std::make_unique<file_store>(options, pool);
}

} // namespace postern
