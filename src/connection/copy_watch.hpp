// Whether a server that is sent rows by COPY has answered with an error. No I/O, no clock.
#pragma once

#include <pgcoro/detail/time.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace pgcoro::detail
{

// While rows are sent, libpq reads notices and leaves an error where it is, unseen, until the COPY is ended; the server
// takes all further rows and throws them away. So what arrives is counted, and what notices explain is taken off: if
// bytes are left over, and nothing more arrives for a while, they are an error, for the rest of a notice would follow.
// It is taken for one, not known to be one: who acts on it ends the COPY by CopyFail, after which nothing stays.
class copy_watch
{
public:
    static constexpr std::chrono::milliseconds quiet{1000};

    void begin() noexcept { *this = copy_watch(); }

    // A notice of so many bytes was read.
    void explained(std::size_t bytes) noexcept { explained_ += static_cast<std::int64_t>(bytes); }

    // So many bytes were read, at least, among them the notices told since the last call. Under TLS their number is not
    // known: then any number above 0, and a notice explains all of them.
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
