#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/resilience/retry.hpp>
#include <pgcoro/resilience/time_source.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace PGCORO_API pgcoro
{

class observer;

/// The states of a circuit breaker.
enum class breaker_state {
    closed,    ///< calls go through and are counted
    open,      ///< no call goes through until the time is over
    half_open, ///< some trial calls go through and decide
};

/// "closed", "open", "half_open".
std::string_view to_string(breaker_state s) noexcept;

/// The last `calls` calls are judged.
struct count_window
{
    int calls = 100;
};

/// The calls that ended in the last `length` are judged, to a tenth of it.
struct time_window
{
    std::chrono::nanoseconds length = std::chrono::seconds(60);
};

/// Is the failure one of what is behind the breaker, to be counted against it? This is what breakers ask by
/// default. True for a pgcoro::error that is transient or has lost its connection, for an expired deadline,
/// and for any `boost::system::system_error`; false for a deadlock or serialization failure (a healthy
/// server's answer), a wrong connection option, an open circuit further in, a cancellation, and everything
/// else: constraint violations, the caller's errors.
bool is_breaker_failure(const std::exception_ptr& failure) noexcept;

/// When a circuit breaker opens and closes.
struct circuit_breaker_options
{
    /// For messages and events.
    std::string name = "circuit breaker";

    /// What is judged while closed. Default: the last 100 calls.
    std::variant<count_window, time_window> window = count_window{};

    /// No judgement before so many calls are in the window; 1 or more, and no more than a count window holds.
    int min_calls = 20;

    /// Opens when this share of the calls failed, or more; above 0, at most 1.
    double failure_rate = 0.5;

    /// A call that took so long, or longer, is slow, whether it failed or not; above 0. Default: none is.
    std::chrono::nanoseconds slow_call = std::chrono::nanoseconds::max();

    /// Opens when this share of the calls was slow, or more; above 0, at most 1.
    double slow_call_rate = 1;

    /// How long it stays open; above 0.
    std::chrono::nanoseconds open_for = std::chrono::seconds(60);

    /// The trial calls of half-open, 1 or more. They may run at the same time. When all are done they are
    /// judged by the two rates; when too many failed for the others to matter, at once.
    int half_open_calls = 1;

    /// Is the exception a failure of what is behind the breaker? A server's error that is none counts as a
    /// success, for there was an answer; any other exception counts as no call at all. Called without a lock.
    std::function<bool(const std::exception_ptr&)> is_failure = is_breaker_failure;

    /// Told of each change of state; must outlive the breaker.
    pgcoro::observer* observer = nullptr;

    /// Null: time_source::steady(). Must outlive the breaker.
    time_source* time = nullptr;

    /// Opens after that many failures in a row, for that long; one trial decides.
    static circuit_breaker_options consecutive(int failures = 3,
                                               std::chrono::nanoseconds open_for = std::chrono::seconds(60));

    /// Throws `std::invalid_argument`, with the field, its value and its range, if a field is out of range.
    void validate() const;
};

/// What a breaker knows.
struct breaker_status
{
    breaker_state state = breaker_state::closed;
    int calls = 0;              ///< in the window, or of half-open's trials those that are done
    int failures = 0;           ///< of these
    int slow = 0;               ///< of these
    std::uint64_t rejected = 0; ///< calls that were not let through, ever
    std::uint64_t opened = 0;   ///< how often it opened, ever
    std::chrono::steady_clock::time_point retry_at{}; ///< while open: when the next trial may start
};

/// Stops calling what keeps failing, so that its callers fail at once instead of waiting, and it gets time to
/// recover. Closed, it counts; open, it refuses; half-open, it lets trials through to find out.
///
/// After Michael Nygard, "Release It!", 2nd edition 2018, "Circuit Breaker"; windows and rates as in
/// Resilience4j's documentation, "CircuitBreaker".
///
/// Thread-safe. Its permits, and runs that have begun, may outlive it: a coroutine that an io_context destroys may hold the
/// last ones. The observer and the time source must outlive them all. No lock is held while a call runs, nor while the
/// observer is told; two changes of state made by different threads may so be told in either order.
class circuit_breaker
{
    struct impl;

public:
    using time_point = std::chrono::steady_clock::time_point;

    /// Throws what `options.validate()` throws.
    explicit circuit_breaker(circuit_breaker_options options = circuit_breaker_options::consecutive());
    ~circuit_breaker();
    circuit_breaker(const circuit_breaker&) = delete;
    circuit_breaker& operator=(const circuit_breaker&) = delete;

    /// The right to make one call, and the duty to say how it ended. Destroyed without a word (its coroutine
    /// was cancelled, the call was not made) it counts as no call, and a trial of half-open is free for
    /// another.
    class permit
    {
    public:
        permit(permit&& other) noexcept;
        permit& operator=(permit&& other) noexcept;
        ~permit();

        /// The call succeeded.
        void succeeded();
        /// The call ended with that exception: a failure, an answer, or no call, as the options say.
        void failed(const std::exception_ptr& failure);

    private:
        friend class circuit_breaker;
        permit(std::shared_ptr<impl> breaker, std::uint64_t period, time_point started) noexcept;

        std::shared_ptr<impl> of_; // null once the word is said
        std::uint64_t period_;     // the breaker's, when the permit was given
        time_point started_;
    };

    /// Asks to make one call. Throws `circuit_open`, with the time of the next trial, when it must not be
    /// made.
    permit acquire();

    /// Makes the call if the breaker lets it: the result, or exception, is that of `op`; `circuit_open` if
    /// `op` was not called. A cancelled call counts as none: a time limit belongs inside
    /// `op`, not around run().
    template <async_operation Op>
    boost::asio::awaitable<detail::awaited_t<Op>> run(Op op)
    {
        using result_type = detail::awaited_t<Op>;
        permit granted = acquire();
        std::exception_ptr failure;
        if constexpr (std::is_void_v<result_type>) {
            try {
                co_await op();
            } catch (...) {
                failure = std::current_exception();
            }
            settle(granted, failure);
        } else {
            std::optional<result_type> result;
            try {
                result_type value = co_await op();
                result.emplace(std::move(value));
            } catch (...) {
                failure = std::current_exception();
            }
            settle(granted, failure);
            co_return std::move(*result);
        }
    }

    /// The state and the counts, as they are now. An open breaker whose time is over stays open until a call
    /// comes.
    breaker_status status() const;

    const circuit_breaker_options& options() const noexcept;

private:
    static void settle(permit& granted, const std::exception_ptr& failure)
    {
        if (!failure) return granted.succeeded();
        granted.failed(failure);
        std::rethrow_exception(failure);
    }

    std::shared_ptr<impl> impl_;
};

} // namespace pgcoro
