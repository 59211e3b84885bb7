#include <postern/base/text.hpp>
#include <postern/io/aws/shared_file.hpp>

#include <algorithm>

namespace postern {

namespace {

// Takes the next line off the front, without its end, which is LF, CR LF or CR.
std::string_view take_line(std::string_view& text) {
  const auto line = text.substr(0, text.find_first_of("\r\n"));
  text.remove_prefix(std::min(line.size() + 1, text.size())); // the LF of a CR LF ends an empty line
  return line;
}

} // namespace

std::optional<shared_settings> section_of(std::string_view text, std::string_view name) {
  std::optional<shared_settings> found;
  bool inside = false;
  while (!text.empty()) {
    const auto line = trim(take_line(text));
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      const auto end = line.find(']'); // a comment may follow
      inside = end != line.npos && trim(line.substr(1, end - 1)) == name;
      if (inside && !found) found.emplace();
      continue;
    }
    const auto equals = line.find('=');
    if (!inside || equals == line.npos) continue;
    auto key = lower(trim(line.substr(0, equals)));
    if (!key.empty()) found->insert_or_assign(std::move(key), trim(line.substr(equals + 1)));
  }
  return found;
}

// A profile's section is [name] in the credentials file and [profile name] in the config file, but [default] in both.
std::optional<shared_settings> profile_settings(std::string_view credentials, std::string_view config,
                                                std::string_view profile) {
  auto settings = section_of(credentials, profile);
  auto more = section_of(config, profile == "default" ? "default" : "profile " + std::string(profile));
  if (!settings) return more;
  if (more) settings->merge(*more);
  return settings;
}

} // namespace postern
