// A caller as a value: who sent a request, and what that caller may do. flow/admission makes one for each request from
// the request's credentials. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

enum class caller_right : unsigned char {
  sign = 1,   // ask for a form
  read = 2,   // see the key and metadata of the uploads of its user
  user = 4,   // sign for any user, and read or manage the uploads of all users
  manage = 8, // claim, delete, accept and reject the uploads of its user
};

// A set of rights.
class caller_rights {
public:
  constexpr caller_rights() = default;
  constexpr caller_rights(caller_right r) : bits_(static_cast<unsigned char>(r)) {}
  constexpr caller_rights operator|(caller_rights other) const { return caller_rights(bits_ | other.bits_); }
  constexpr bool has(caller_right r) const { return (bits_ & static_cast<unsigned char>(r)) != 0; }

private:
  constexpr explicit caller_rights(int bits) : bits_(static_cast<unsigned char>(bits)) {}
  unsigned char bits_ = 0;
};

// Of API keys that name no others, and of all other callers.
inline constexpr caller_rights default_rights = caller_rights(caller_right::sign) | caller_right::read;

struct caller_limits {
  std::optional<std::uint64_t> max_size; // bytes of one upload, besides the profile's own limit
  std::optional<std::uint64_t> quota;    // bytes of all its uploads in a profile, instead of the profile's per_user
};

struct caller {
  std::string name;                  // of the API key, or "jwt" or "forward"; empty: anonymous
  std::string user;                  // stands for ${user} in keys; empty: anonymous
  std::vector<std::string> profiles; // that the caller may use; "*": all
  caller_rights rights;
  caller_limits limits;

  bool is_anonymous() const { return name.empty(); }
  bool may(caller_right r) const { return rights.has(r); }
  bool may_use(std::string_view profile) const {
    for (const auto& p : profiles)
      if (p == "*" || p == profile) return true;
    return false;
  }
  // May this caller see the key and metadata of an upload in that profile, of that user?
  bool may_see(std::string_view profile, std::string_view owner) const {
    return may(caller_right::read) && covers(profile, owner);
  }
  // May this caller claim or delete it?
  bool may_manage(std::string_view profile, std::string_view owner) const {
    return may(caller_right::manage) && covers(profile, owner);
  }

private:
  bool covers(std::string_view profile, std::string_view owner) const {
    return may_use(profile) && (owner == user || may(caller_right::user));
  }
};

} // namespace postern
