#pragma once

#include <pgcoro/error/error.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/resilience/failure.hpp>
#include <pgcoro/resilience/retry_budget.hpp>
#include <pgcoro/resilience/retry_loop.hpp>
#include <pgcoro/resilience/retry_policy.hpp>
#include <pgcoro/resilience/retry_statistics.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>

#include <concepts>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace PGCORO_API pgcoro
{

namespace detail
{

template <class T>
struct awaited;

template <class T>
struct awaited<boost::asio::awaitable<T>>
{
    using type = T;
};

template <class Op>
using awaited_t = typename awaited<std::invoke_result_t<Op&>>::type;

template <class Predicate>
bool applies(Predicate& predicate, const std::exception_ptr& failure)
{
    if constexpr (std::predicate<Predicate&, const std::exception&>) {
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& e) {
            return predicate(e);
        } catch (...) {
            return false;
        }
    } else if constexpr (std::predicate<Predicate&, const error&>) {
        try {
            std::rethrow_exception(failure);
        } catch (const error& e) {
            return predicate(e);
        } catch (...) {
            return false;
        }
    } else {
        return predicate(failure);
    }
}

} // namespace detail

/// A function without parameters that returns `asio::awaitable<T>`.
template <class Op>
concept async_operation = std::invocable<Op&> && requires
{
    typename detail::awaited_t<Op>;
};

/// Says of an exception whether it is worth another attempt. It takes `const std::exception&`,
/// `const pgcoro::error&` (any other exception is then not retried) or `const std::exception_ptr&`.
template <class P>
concept retry_predicate = std::predicate<P&, const std::exception&> || std::predicate<P&, const error&> ||
    std::predicate<P&, const std::exception_ptr&>;

/// Calls `op` until it succeeds, `retryable` says no, or a bound is reached: the policy's attempts and time,
/// the deadline, the budget. Waits between the attempts, on the caller's executor.
///
/// `op` is called anew for each attempt, and must itself undo what a failed one did. The result is that of
/// the attempt that succeeded. Otherwise throws the last attempt's own exception, unchanged in type; a
/// pgcoro::error tells of the earlier attempts in its what(). Throws `std::invalid_argument` for a policy out
/// of range.
///
/// Cancellation goes to the attempt or ends the delay, and is never retried. When a breaker inside is open
/// (`circuit_open`), the delay lasts at least until its next trial, and there is none beyond the longest
/// delay of the policy. Policy, operation and options are kept in the coroutine; each call is independent of
/// others.
///
/// A call is one coroutine frame, and no allocation besides while nothing fails.
template <async_operation Op, retry_predicate Predicate>
boost::asio::awaitable<detail::awaited_t<Op>> retry(retry_policy policy, Op op, Predicate retryable,
                                                    retry_options options = retry_options())
{
    using result_type = detail::awaited_t<Op>;
    retry_loop loop(policy, options);
    for (;;) {
        // A catch block must not suspend: it only takes the exception out.
        std::exception_ptr failure;
        if constexpr (std::is_void_v<result_type>) {
            try {
                co_await op();
            } catch (...) {
                failure = std::current_exception();
            }
            if (!failure) {
                loop.succeeded();
                co_return;
            }
        } else {
            std::optional<result_type> result;
            try {
                result_type value = co_await op();
                result.emplace(std::move(value));
            } catch (...) {
                failure = std::current_exception();
            }
            if (!failure) {
                loop.succeeded();
                co_return std::move(*result);
            }
        }
        const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
        const bool cancelled = cancellation.cancelled() != boost::asio::cancellation_type::none;
        if (!loop.failed(failure, detail::applies(retryable, failure), cancelled)) loop.rethrow();
        failure = nullptr;
        co_await loop.wait();
    }
}

/// The same for errors whose `is_transient()` is true.
template <async_operation Op>
boost::asio::awaitable<detail::awaited_t<Op>> retry(retry_policy policy, Op op,
                                                    retry_options options = retry_options())
{
    return retry(
        std::move(policy), std::move(op), [](const error& e) { return e.is_transient(); },
        std::move(options));
}

} // namespace pgcoro
