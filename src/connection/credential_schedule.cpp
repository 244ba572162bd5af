#include "connection/credential_schedule.hpp"

#include <algorithm>

namespace pgcoro::detail
{

credential_schedule::step credential_schedule::next(time_point now)
{
    if (is_usable(now) && (asking_ || now < current_.refresh || now < ask_after_)) return step::use;
    if (asking_) return step::wait;
    asking_ = true;
    return step::ask;
}

void credential_schedule::given(time_point asked, duration valid_for)
{
    asking_ = false;
    ++serial_;
    usable_ = valid_for > duration::zero();
    margin_ = margin(valid_for);
    current_ = {};
    if (usable_) current_.end = time_after(asked, valid_for);
    if (current_.end != time_point::max()) current_.refresh = time_after(current_.end, -margin_);
    ask_after_ = time_point::min();
}

void credential_schedule::failed(time_point now)
{
    asking_ = false;
    ask_after_ = time_after(now, std::min<duration>(margin_ / 10, std::chrono::seconds(10)));
}

std::optional<credential_schedule::window> credential_schedule::retirement(const lifetime& of, time_point now)
{
    if (of.end == time_point::max()) return std::nullopt;
    if (now >= of.end) return window{now, now};
    // A session that began after the time to refresh, because no new credential could be had, would otherwise be
    // replaced at once, and by one like it.
    auto first = std::max(of.refresh, time_after(now, (of.end - now) / 2));
    return window{first, time_after(first, (of.end - first) / 2)};
}

credential_schedule::duration credential_schedule::margin(duration valid_for)
{
    return std::min<duration>(valid_for / 5, std::chrono::minutes(5));
}

std::optional<credential_schedule::duration> credential_schedule::delay_after_refusal(int n, bool is_new)
{
    constexpr int most = 4;
    if (n > most) return std::nullopt;
    if (n == 1 && !is_new) return duration::zero();
    return std::chrono::milliseconds(200) * (1 << (n - 1));
}

} // namespace pgcoro::detail
