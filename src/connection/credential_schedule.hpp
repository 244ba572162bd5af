// When a credential is used, asked for and given up. No I/O, no clock, no threads: events come in with the time at
// which they happened.
#pragma once

#include <pgcoro/detail/time.hpp>

#include <chrono>
#include <cstdint>
#include <optional>

namespace pgcoro::detail
{

class credential_schedule
{
public:
    using time_point = steady_time;
    using duration = time_point::duration;
    using serial_number = std::uint64_t; // of a credential, counted from 1

    enum class step {
        use,  // the current credential
        ask,  // for a new one; the caller then reports given(), failed() or cancelled()
        wait, // for the call under way
    };

    // What a connect does next.
    step next(time_point now);

    // The call that began at `asked` has returned a credential. 0: only the connects that waited for the call use it.
    void given(time_point asked, duration valid_for);
    void failed(time_point now);
    void cancelled() noexcept { asking_ = false; }
    // The server did not accept it.
    void refused(serial_number serial) noexcept
    {
        if (serial == serial_) usable_ = false;
    }

    serial_number serial() const noexcept { return serial_; }
    // Can the current credential still be used?
    bool is_usable(time_point now) const noexcept { return usable_ && now < current_.end; }

    // The current credential's time. `refresh`: when the next one is asked for. Both are max() if the end is not
    // known.
    struct lifetime
    {
        time_point refresh = time_point::max();
        time_point end = time_point::max();
    };
    const lifetime& current() const noexcept { return current_; }

    // When a session that logs in now with a credential is replaced: at a time between the two, so that sessions
    // do not end together. Nothing if the credential's end is not known.
    struct window
    {
        time_point first;
        time_point last;
    };
    static std::optional<window> retirement(const lifetime& of, time_point now);

    // How long before its end a credential is replaced.
    static duration margin(duration valid_for);

    // The delay before the function is asked again after the server has refused a credential for the n-th time in
    // one connect, counted from 1; nothing if it is not asked again. `is_new`: the credential was asked for in the
    // same connect. Otherwise it may be out of date, and it is asked at once.
    static std::optional<duration> delay_after_refusal(int n, bool is_new);

private:
    bool asking_ = false;
    bool usable_ = false;
    serial_number serial_ = 0;
    lifetime current_;
    duration margin_{};
    time_point ask_after_ = time_point::min(); // a call failed while the old credential served
};

} // namespace pgcoro::detail
