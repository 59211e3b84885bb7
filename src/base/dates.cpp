#include <postern/base/dates.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace postern {
namespace {

constexpr const char* month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// In `pattern`, d stands for a digit, any other character for itself. `out` gets the value of each run of digits.
bool read_pattern(std::string_view text, std::string_view pattern, std::array<int, 6>& out) {
  if (text.size() != pattern.size()) return false;
  std::size_t run = 0;
  bool in_run = false;
  static constexpr std::array<int, 6> widths{4, 2, 2, 2, 2, 2};
  int left = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (pattern[i] != 'd') {
      if (text[i] != pattern[i]) return false;
      continue;
    }
    if (text[i] < '0' || text[i] > '9') return false;
    if (left == 0) {
      if (in_run) ++run;
      in_run = true;
      left = widths[run];
      out[run] = 0;
    }
    out[run] = out[run] * 10 + (text[i] - '0');
    --left;
  }
  return true;
}

result<seconds_clock> moment(const std::array<int, 6>& p) {
  using namespace std::chrono;
  const year_month_day day{year{p[0]}, month{static_cast<unsigned>(p[1])},
                           std::chrono::day{static_cast<unsigned>(p[2])}};
  if (!day.ok() || p[3] > 23 || p[4] > 59 || p[5] > 59) return failure{errc::invalid_argument, "no such date"};
  return sys_days{day} + hours{p[3]} + minutes{p[4]} + seconds{p[5]};
}

struct broken_down {
  int year;
  unsigned month, day;
  int hour, minute, second;
  unsigned weekday;
};

broken_down break_down(seconds_clock t) {
  using namespace std::chrono;
  const auto days = floor<std::chrono::days>(t);
  const year_month_day ymd{days};
  const hh_mm_ss time{t - days};
  return {int(ymd.year()),
          unsigned(ymd.month()),
          unsigned(ymd.day()),
          static_cast<int>(time.hours().count()),
          static_cast<int>(time.minutes().count()),
          static_cast<int>(time.seconds().count()),
          weekday{days}.c_encoding()};
}

// `pattern` with its digits: Y M D h m s each stand for the next of year, month, day, hour, minute, second. Made
// several times for each form that is signed, so not by printf.
std::string dated(std::string_view pattern, const broken_down& b) {
  std::string out(pattern);
  const std::array<std::pair<char, unsigned>, 6> parts{{{'Y', static_cast<unsigned>(b.year)},
                                                        {'M', b.month},
                                                        {'D', b.day},
                                                        {'h', static_cast<unsigned>(b.hour)},
                                                        {'m', static_cast<unsigned>(b.minute)},
                                                        {'s', static_cast<unsigned>(b.second)}}};
  for (const auto& [letter, value] : parts) {
    auto n = value;
    for (auto at = out.rfind(letter); at != out.npos && out[at] == letter; --at) {
      out[at] = static_cast<char>('0' + n % 10);
      n /= 10;
      if (at == 0) break;
    }
  }
  return out;
}

} // namespace

std::string amz_date(seconds_clock t) { return dated("YYYYMMDDThhmmssZ", break_down(t)); }

result<seconds_clock> parse_amz_date(std::string_view text) {
  std::array<int, 6> parts{};
  if (!read_pattern(text, "ddddddddTddddddZ", parts))
    return failure{errc::invalid_argument, "not like 20261123T181500Z"};
  return moment(parts);
}

std::string iso8601(seconds_clock t) { return dated("YYYY-MM-DDThh:mm:ssZ", break_down(t)); }

std::string iso8601_millis(millis_clock t) {
  const auto second = std::chrono::floor<std::chrono::seconds>(t);
  auto text = dated("YYYY-MM-DDThh:mm:ss.000Z", break_down(second));
  auto n = (t - second).count();
  for (auto at = text.size() - 2; n != 0; --at, n /= 10) text[at] = static_cast<char>('0' + n % 10);
  return text;
}

result<seconds_clock> parse_iso8601(std::string_view text) {
  std::string plain(text);
  if (const auto dot = text.find('.'); dot != text.npos) {
    auto fraction = text.substr(dot + 1);
    if (!fraction.ends_with('Z')) return failure{errc::invalid_argument, "not like 2026-11-23T18:15:00Z"};
    fraction.remove_suffix(1);
    if (fraction.empty() || fraction.size() > 9 || fraction.find_first_not_of("0123456789") != fraction.npos)
      return failure{errc::invalid_argument, "not like 2026-11-23T18:15:00Z"};
    plain = std::string(text.substr(0, dot)) + "Z";
  }
  std::array<int, 6> parts{};
  if (!read_pattern(plain, "dddd-dd-ddTdd:dd:ddZ", parts))
    return failure{errc::invalid_argument, "not like 2026-11-23T18:15:00Z"};
  return moment(parts);
}

std::string http_date(seconds_clock t) {
  static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  const auto b = break_down(t);
  // The names are filled in after the digits, because they contain the same letters.
  return std::string(days[b.weekday]) + dated(", DD ", b) + month_names[b.month - 1] + dated(" YYYY hh:mm:ss ", b) +
         "GMT";
}

result<seconds_clock> parse_http_date(std::string_view text) {
  failure bad{errc::invalid_argument, "not like Mon, 23 Nov 2026 18:15:00 GMT"};
  if (text.size() != 29 || text.substr(3, 2) != ", ") return bad;
  const auto month =
      std::find(std::begin(month_names), std::end(month_names), text.substr(8, 3)) - std::begin(month_names);
  if (month == 12 || text.substr(25) != " GMT") return bad;
  const auto number = std::to_string(month + 1);
  auto t = parse_iso8601(std::string(text.substr(12, 4)) + "-" + (number.size() < 2 ? "0" : "") + number + "-" +
                         std::string(text.substr(5, 2)) + "T" + std::string(text.substr(17, 8)) + "Z");
  if (!t || http_date(*t) != text) return bad;
  return t;
}

millis_clock now_millis() { return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()); }

} // namespace postern
