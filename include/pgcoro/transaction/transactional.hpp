#pragma once

#include <pgcoro/observer/observer.hpp>
#include <pgcoro/resilience/retry.hpp>
#include <pgcoro/transaction/transaction.hpp>

#include <concepts>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace pgcoro
{

namespace detail
{

// All attempts of one `transactional` call, but for the body.
class transaction_run
{
public:
    transaction_run(pool& p, const transaction_options& options);
    ~transaction_run();

    // Acquires a connection for the next attempt.
    boost::asio::awaitable<void> start(std::source_location where);
    transaction& current() noexcept { return *transaction_; }
    // The body returned.
    boost::asio::awaitable<void> commit();
    // The attempt failed: rolls back, then waits for the next one, or throws when there is none.
    boost::asio::awaitable<void> failed(std::exception_ptr failure);

private:
    enum class cause { none, serialization, deadlock, connection, requested, stale_plan };

    cause cause_of(const std::exception_ptr& failure) const;
    boost::asio::awaitable<void> resolve(std::exception_ptr lost, std::string id);
    void finish(transaction_outcome outcome);

    pool& pool_;
    const transaction_options& options_;
    std::chrono::steady_clock::time_point begun_;
    deadline until_;
    retry_options retry_options_;
    retry_loop loop_;
    transaction_metrics metrics_;
    std::optional<transaction> transaction_;
    bool committing_ = false;
    bool resolved_ = false;
    bool finished_ = false;
};

} // namespace detail

/// A coroutine function that takes `transaction&`.
template <class Body>
concept transaction_body = requires
{
    typename detail::awaited<std::invoke_result_t<Body&, transaction&>>::type;
};

/// Runs `body` in a transaction: COMMIT if it returns, ROLLBACK if it throws. Gives what the body gives.
///
/// After a deadlock (40P01), a serialization failure (40001), a lost connection or what `options.retry_if`
/// names, the whole is run again, on a connection that works, within the bounds of `options.retry` and
/// `options.timeout`: the body must be fit to run more than once. A COMMIT is never repeated blindly: if its
/// answer is lost the server is asked what came of it, and only what was aborted is run again.
///
/// Any other exception of the body reaches the caller unchanged, after the rollback, and is not retried. When
/// the attempts are used up the last error reaches the caller, with a note of all attempts. Other errors:
/// those of `pool::acquire`; `commit_unknown`; `deadline_exceeded`. Cancellation: any kind; the transaction
/// is rolled back in the background. `body` is kept in the coroutine until it ends; `pool` must outlive it.
template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> transactional(
    pool& p, Body body, transaction_options options = transaction_options(),
    std::source_location where = std::source_location::current())
{
    using value_type = typename detail::awaited<std::invoke_result_t<Body&, transaction&>>::type;
    detail::transaction_run run(p, options);
    for (;;) {
        std::exception_ptr failure; // a catch block must not suspend
        if constexpr (std::is_void_v<value_type>) {
            try {
                co_await run.start(where);
                co_await body(run.current());
                co_await run.commit();
                co_return;
            } catch (...) {
                failure = std::current_exception();
            }
        } else {
            try {
                co_await run.start(where);
                value_type value = co_await body(run.current());
                co_await run.commit();
                co_return value;
            } catch (...) {
                failure = std::current_exception();
            }
        }
        co_await run.failed(std::move(failure));
    }
}

/// `transactional` with that many attempts: for transactions that take locks in no fixed order.
template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> with_deadlock_retry(
    pool& p, Body body, int attempts = 5, transaction_options options = transaction_options())
{
    options.retry.max_attempts = attempts;
    return transactional(p, std::move(body), std::move(options));
}

/// `transactional` at isolation level serializable, with that many attempts.
template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> with_serializable_retry(
    pool& p, Body body, int attempts = 5, transaction_options options = transaction_options())
{
    options.isolation = isolation::serializable;
    options.retry.max_attempts = attempts;
    return transactional(p, std::move(body), std::move(options));
}

} // namespace pgcoro
