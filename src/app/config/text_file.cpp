#include <postern/app/config/text_file.hpp>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace postern::app {

std::string open_to_read(std::ifstream& into, const std::filesystem::path& file) {
  std::error_code ec;
  if (std::filesystem::is_directory(file, ec)) return std::strerror(EISDIR); // such a stream opens, and reads nothing
  errno = 0;
  into.open(file);
  return into ? std::string() : std::strerror(errno);
}

} // namespace postern::app
