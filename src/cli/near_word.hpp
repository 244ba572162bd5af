#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::cli
{

/// How many letters must be put in, left out, changed or swapped with their neighbour to make one word the
/// other: the optimal string alignment distance (L. Boytsov, "Indexing Methods for Approximate Dictionary
/// Searching", ACM Journal of Experimental Algorithmics 16, 2011).
std::size_t distance_of(std::string_view a, std::string_view b);

/// The word that was probably meant: the nearest that a third of the letters, and one at least, make of it.
std::optional<std::string> near_word(std::string_view typed, const std::vector<std::string>& known);

} // namespace pgcoro::cli
