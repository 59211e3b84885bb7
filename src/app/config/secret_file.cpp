#include <postern/app/config/config.hpp>
#include <postern/app/config/secret_file.hpp>
#include <postern/app/config/text_file.hpp>
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

std::string name_of(const std::filesystem::path& file) { return "the secret file " + file.string(); }

config_error cannot_create(const std::filesystem::path& file, const std::string& why) {
  return config_error("server.secrets: " + name_of(file) + " cannot be created: " + why +
                      "; let this user write to the folder, or name another file with { file = \"path\" }");
}

// The command that writes a new secret to the file.
std::string remedy_for(const std::filesystem::path& file) {
  return "; write one to it with: openssl rand -hex 32 > " + file.string();
}

} // namespace

secret random_secret() {
  std::array<unsigned char, 32> bytes;
  random_bytes(bytes);
  return secret(to_hex(bytes));
}

void make_default_secret_file() {
  const std::filesystem::path file = default_secret_file;
  std::error_code ec;
  std::filesystem::create_directories(file.parent_path(), ec);
  if (ec) throw cannot_create(file, ec.message());
  const auto text = random_secret().reveal() + "\n";
  auto temporary = file;
  temporary += "." + std::to_string(::getpid());
  ::unlink(temporary.c_str()); // left by a process that had this id and died
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const bool written =
      fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  int why = errno;
  if (fd >= 0) ::close(fd);
  // link fails when another process has created the file. Then this process uses that secret.
  const bool linked = written && (::link(temporary.c_str(), file.c_str()) == 0 || errno == EEXIST);
  if (written) why = errno;
  ::unlink(temporary.c_str());
  if (!linked) throw cannot_create(file, std::strerror(why));
}

secret read_secret_file(const std::filesystem::path& file, std::size_t max) {
  std::ifstream in;
  if (const auto why = open_to_read(in, file); !why.empty())
    throw config_error(name_of(file) + " cannot be read: " + why +
                       "; name a file that exists and that this user may read");
  std::string text(max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > max)
    throw config_error(name_of(file) + " is larger than " + std::to_string(max) +
                       " bytes; name a file that holds only the secret");
  text = trim_end(text, "\r\n");
  if (text.empty()) throw config_error(name_of(file) + " is empty" + remedy_for(file));
  return secret(std::move(text));
}

secret read_server_secret(const std::filesystem::path& file) {
  std::error_code ec;
  if (!std::filesystem::exists(file, ec) && !ec) {
    if (file.lexically_normal() == default_secret_file) return {};
    throw config_error(name_of(file) + " does not exist; make it once with: (umask 077; openssl rand -hex 32 > " +
                       file.string() + "), and give the same file to every node");
  }
  auto read = read_secret_file(file);
  if (read.reveal().size() < min_secret)
    throw config_error(name_of(file) + " has fewer than " + std::to_string(min_secret) + " bytes" + remedy_for(file));
  return read;
}

} // namespace postern::app
