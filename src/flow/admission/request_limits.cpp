#include <postern/flow/admission/request_limits.hpp>

#include <string>

namespace postern {
namespace {

std::string refusal(const char* setting, std::uint64_t per_second, const char* of) {
  return std::string(setting) + " allows " + std::to_string(per_second) + " " + of + " a second";
}

} // namespace

request_limits::request_limits(const request_rates& r)
    : sign(r.sign, r.sign_burst, refusal("limits.sign_rate", r.sign, "forms")),
      status(r.status, r.status_burst, refusal("limits.status_rate", r.status, "questions")),
      stream(r.stream, r.stream_burst, refusal("limits.event_stream_rate", r.stream, "new event streams")),
      streams(r.streams) {}

} // namespace postern
