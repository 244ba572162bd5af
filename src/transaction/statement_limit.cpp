#include "transaction/statement_limit.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

namespace pgcoro::detail
{

std::optional<std::chrono::milliseconds> statement_limit::next(time_point now, time_point end, milliseconds usual)
{
    // The server takes no more; that is 24 days.
    constexpr milliseconds most{std::numeric_limits<std::int32_t>::max()};
    auto left = std::chrono::ceil<milliseconds>(end - now);
    if (left >= most) return std::nullopt;
    if (usual_holds_ && usual.count() > 0 && usual <= left) return std::nullopt;
    if (sent_at_ && now - *sent_at_ < slack) return std::nullopt;
    sent_at_ = now;
    return std::max(left, milliseconds(1));
}

void statement_limit::forget() noexcept
{
    sent_at_.reset();
    usual_holds_ = false;
}

bool statement_limit::may_change(std::string_view sql) noexcept
{
    static constexpr std::array<std::string_view, 3> words{"timeout", "set_config", "reset"};
    auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    return sql.empty() || std::ranges::any_of(words, [&](std::string_view word) {
        return !std::ranges::search(sql, word, {}, lower).empty();
    });
}

} // namespace pgcoro::detail
