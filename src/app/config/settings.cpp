#include <postern/app/config/settings.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/random.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <numeric>
#include <unistd.h>

namespace postern::app {
namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

// A whole number and one of the units; the first unit is meant where none is said.
std::uint64_t parse_with_unit(std::string_view text, std::span<const unit> units, const char* like) {
  std::uint64_t n = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, ec] = std::from_chars(text.data(), end, n);
  std::string_view name(rest, static_cast<std::size_t>(end - rest));
  while (name.starts_with(' ')) name.remove_prefix(1);
  const auto found = name.empty()
                         ? units.begin()
                         : std::find_if(units.begin(), units.end(), [&](const unit& u) { return u.name == name; });
  if (ec != std::errc{} || found == units.end() || (n != 0 && found->factor > UINT64_MAX / n))
    throw config_error(quote(text) + " must be like " + like);
  return n * found->factor;
}

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

void make_secret_file(const std::filesystem::path& file) {
  std::error_code ec;
  if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path(), ec);
  std::array<unsigned char, 32> bytes;
  random_bytes(bytes);
  const auto text = to_hex(bytes) + "\n";
  auto beside = file;
  beside += "." + std::to_string(::getpid());
  ::unlink(beside.c_str()); // of a process that had this number and died
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const bool written =
      fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const int why = errno;
  if (fd >= 0) ::close(fd);
  // A link fails when another process was first; then its secret is the one.
  const bool named = written && (::link(beside.c_str(), file.c_str()) == 0 || errno == EEXIST);
  ::unlink(beside.c_str());
  if (!named) throw config_error("cannot make the secret file " + file.string() + ": " + std::strerror(why));
}

} // namespace

std::uint64_t parse_size(std::string_view text) {
  static constexpr std::array<unit, 9> units{{{"B", 1},
                                              {"KB", 1000},
                                              {"KiB", 1ull << 10},
                                              {"MB", 1000'000},
                                              {"MiB", 1ull << 20},
                                              {"GB", 1000'000'000},
                                              {"GiB", 1ull << 30},
                                              {"TB", 1000'000'000'000},
                                              {"TiB", 1ull << 40}}};
  return parse_with_unit(text, units, "\"512\", \"64KiB\" or \"5GiB\"");
}

std::chrono::milliseconds parse_time(std::string_view text) {
  static constexpr std::array<unit, 5> units{
      {{"s", 1000}, {"ms", 1}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
  const auto ms = parse_with_unit(text, units, "\"500ms\", \"30s\", \"15m\" or \"24h\"");
  if (ms > 1000ull * 86'400'000) throw config_error(quote(text) + " is longer than a thousand days");
  return std::chrono::milliseconds(static_cast<std::int64_t>(ms));
}

bool is_origin(std::string_view text) { return !text.empty() && text == origin_of(text); }

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  auto least = std::max<std::size_t>(3, word.size() / 3) + 1;
  for (const auto& k : known)
    if (const auto d = distance(word, k); d < least) least = d, best = k;
  return best;
}

secret secret_from_file(const std::filesystem::path& file, bool make) {
  std::error_code ec;
  if (make && !std::filesystem::exists(file, ec)) make_secret_file(file);
  std::ifstream in(file);
  std::string text(4097, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.empty()) throw config_error("the secret file " + file.string() + " cannot be read or is empty");
  if (text.size() > 4096) throw config_error("the secret file " + file.string() + " is larger than 4096 bytes");
  return secret(std::string(trim_end(text, "\r\n")));
}

} // namespace postern::app
