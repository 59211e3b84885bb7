#include <postern/app/config/spelling.hpp>

#include <algorithm>
#include <numeric>

namespace postern::app {
namespace {

// Levenshtein's distance: letters to change, insert or delete.
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

} // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  auto least = std::max<std::size_t>(3, word.size() / 3) + 1;
  for (const auto& k : known) // a word of which every letter changes is another word: foo is not near iam
    if (const auto d = distance(word, k); d < least && d < word.size()) least = d, best = k;
  return best;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  const auto near = nearest(word, known);
  return near.empty() ? "" : "; did you mean " + near + "?";
}

} // namespace postern::app
