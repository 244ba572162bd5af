#include "cli/near_word.hpp"

#include <algorithm>

namespace pgcoro::cli
{

std::size_t distance_of(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            std::size_t changed = a[i - 1] != b[j - 1];
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + changed});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before.swap(last);
        last.swap(row);
    }
    return last[b.size()];
}

std::optional<std::string> near_word(std::string_view typed, const std::vector<std::string>& known)
{
    std::optional<std::string> best;
    auto least = std::max<std::size_t>(typed.size() / 3, 1) + 1;
    for (auto& word : known) {
        auto d = distance_of(typed, word);
        if (d >= least) continue;
        least = d;
        best = word;
    }
    return best;
}

} // namespace pgcoro::cli
