// Detects that the server has answered a COPY … FROM STDIN with an error. No I/O, no clock.
#pragma once

#include <pgcoro/detail/time.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace pgcoro::detail
{

// While rows are sent, libpq parses notices, but leaves an error unparsed until the COPY is ended, and the server discards
// all further rows. So this counts the bytes that arrive and subtracts those of the notices. If bytes remain and nothing
// more arrives for a while, they are taken for an error: the rest of a notice would have followed. This is a guess. The
// caller must end the COPY by CopyFail, so that a wrong guess loses no rows silently.
class copy_watch
{
public:
    static constexpr std::chrono::milliseconds quiet{1000};

    void begin() noexcept { *this = copy_watch(); }

    // Records a notice of this size.
    void explained(std::size_t bytes) noexcept { explained_ += static_cast<std::int64_t>(bytes); }

    // Records that at least this many bytes were read, including the notices since the last call. Under TLS the number is
    // not exact: any number above 0 then means "some", and a notice accounts for all of them.
    void arrived(std::size_t bytes, bool is_exact, steady_time now) noexcept
    {
        auto left_over = unexplained_ + static_cast<std::int64_t>(bytes) - explained_;
        if (!is_exact && explained_ > 0) left_over = 0;
        unexplained_ = std::max<std::int64_t>(0, left_over); // below 0 if libpq had read unseen
        explained_ = 0;
        if (bytes > 0) last_ = now;
    }

    bool is_error_likely(steady_time now) const noexcept { return unexplained_ > 0 && now >= time_after(last_, quiet); }

private:
    std::int64_t unexplained_ = 0;
    std::int64_t explained_ = 0;
    steady_time last_{};
};

} // namespace pgcoro::detail
