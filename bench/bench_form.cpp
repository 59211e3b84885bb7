// How many bytes a second go through the form parser, beside a plain memchr over the same bytes? Data of three kinds:
// random, as most files are; full of what looks like the boundary; and nothing but CR, with which careless parsers
// become quadratic.
#include "measure.hpp"
#include <postern/core/s3/form.hpp>

#include <cstring>
#include <random>
#include <string>

using namespace postern;

namespace {

constexpr std::size_t size = 256 << 20, piece_size = 256 << 10;
const std::string boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

std::string form_around(const std::string& data) {
  return "--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n" + data +
         "\r\n--" + boundary + "--\r\n";
}

std::size_t parse(const std::string& body) {
  form_parser parser(boundary);
  std::size_t seen = 0;
  for (std::size_t at = 0; at < body.size(); at += piece_size) {
    auto piece = std::span<const char>(body).subspan(at, std::min(piece_size, body.size() - at));
    for (;;) {
      const auto event = parser.next(piece);
      if (!event || *event == form_parser::event::need_more) break;
      if (*event == form_parser::event::file_data) seen += parser.data().size();
    }
  }
  return seen;
}

void measure(const char* kind, const std::string& data) {
  const auto body = form_around(data);
  const double parsed = bench::best_of(5, [&] {
    if (parse(body) != data.size()) std::puts("wrong!");
  });
  // A byte that is not there, so that all of it is looked at; piece by piece, as the parser gets it.
  const double scanned = bench::best_of(5, [&] {
    for (std::size_t at = 0; at < body.size(); at += piece_size)
      bench::use(std::memchr(body.data() + at, 1, std::min(piece_size, body.size() - at)));
  });
  const double gigabytes = static_cast<double>(body.size()) / 1e9;
  std::printf("form parser, %-12s %6.2f GB/s   memchr %6.2f GB/s   ratio %.2f\n", kind, gigabytes / parsed,
              gigabytes / scanned, scanned / parsed);
}

} // namespace

int main() {
  std::string data(size, '\0');
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    auto n = random() | 0x0202020202020202u; // no byte 1, which memchr looks for
    std::memcpy(data.data() + i, &n, 8);
  }
  measure("random", data);
  const auto almost = "\r\n--" + boundary.substr(0, boundary.size() - 1);
  for (std::size_t i = 0; i < size; ++i) data[i] = almost[i % almost.size()];
  measure("look-alikes", data);
  data.assign(size, '\r');
  measure("all CR", data);
}
