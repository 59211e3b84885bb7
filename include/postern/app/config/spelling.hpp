// Finds the word that somebody meant to write. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace postern::app {

// The word of `known` that takes the fewest changes to become `word`; empty when none is close.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

// "; did you mean NEAREST?", or nothing when none is close.
std::string suggestion(std::string_view word, const std::vector<std::string>& known);

} // namespace postern::app
