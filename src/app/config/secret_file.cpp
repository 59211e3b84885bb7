#include <postern/app/config/config.hpp>
#include <postern/app/config/secret_file.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/random.hpp>
#include <postern/base/text.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <unistd.h>

namespace postern::app {
namespace {

constexpr std::size_t max_secret = 4096;

void make_secret_file(const std::filesystem::path& file) {
  std::error_code ec;
  if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path(), ec);
  std::array<unsigned char, 32> bytes;
  random_bytes(bytes);
  const auto text = to_hex(bytes) + "\n";
  auto temporary = file;
  temporary += "." + std::to_string(::getpid());
  ::unlink(temporary.c_str()); // left by a process that had this id and died
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const bool written =
      fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const int why = errno;
  if (fd >= 0) ::close(fd);
  // link fails when another process has created the file. Then this process uses that secret.
  const bool linked = written && (::link(temporary.c_str(), file.c_str()) == 0 || errno == EEXIST);
  ::unlink(temporary.c_str());
  if (!linked) throw config_error("the secret file " + file.string() + " cannot be created: " + std::strerror(why));
}

} // namespace

secret read_secret_file(const std::filesystem::path& file, bool make) {
  std::error_code ec;
  if (make && !std::filesystem::exists(file, ec)) make_secret_file(file);
  std::ifstream in(file);
  std::string text(max_secret + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.empty()) throw config_error("the secret file " + file.string() + " is missing, unreadable or empty");
  if (text.size() > max_secret)
    throw config_error("the secret file " + file.string() + " is larger than " + std::to_string(max_secret) + " bytes");
  return secret(std::string(trim_end(text, "\r\n")));
}

} // namespace postern::app
