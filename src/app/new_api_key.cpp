#include <postern/app/config/checks.hpp>
#include <postern/app/new_api_key.hpp>
#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/random.hpp>

#include <array>

namespace postern::app {

new_api_key make_api_key(std::string_view name) {
  check_api_key_name(name);
  std::array<unsigned char, 32> random;
  random_bytes(random);
  new_api_key made;
  made.key = to_hex(random);
  json_writer quoted_name; // a JSON string is a TOML string too
  quoted_name.string(name);
  made.toml = "{ name = " + quoted_name.take() + ", sha256 = \"" + sha256_hex(made.key) + "\" }";
  return made;
}

} // namespace postern::app
