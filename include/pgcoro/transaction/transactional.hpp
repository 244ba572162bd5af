#pragma once

#include <pgcoro/detail/owned.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/observer/observer.hpp>
#include <pgcoro/resilience/retry.hpp>
#include <pgcoro/transaction/transaction.hpp>

#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{

namespace detail
{

struct running_transaction;
class connection_source;
class open_span;
class pool_source;
enum class transaction_cause;

// All attempts of one `transactional` call, but for the body.
class transaction_run
{
public:
    // `outcomes`: where connections come from to ask what became of a COMMIT; null for the pool.
    transaction_run(std::shared_ptr<pool_impl> p, const transaction_options& options, std::source_location where,
                    connection_source* outcomes = nullptr);
    ~transaction_run();
    transaction_run(const transaction_run&) = delete;
    transaction_run& operator=(const transaction_run&) = delete;

    // Acquires a connection for the next attempt.
    boost::asio::awaitable<void> start();
    transaction& current() noexcept { return *transaction_; }
    // The body returned.
    boost::asio::awaitable<void> commit();
    // The attempt failed: rolls back, then waits for the next one, or throws when there is none.
    boost::asio::awaitable<void> failed(std::exception_ptr failure);
    // Of what failed() has thrown: nothing of any attempt stays, and the failure was this transaction's own, or there
    // was no connection for it. Another server may do better then.
    bool may_run_elsewhere() const noexcept { return may_run_elsewhere_; }
    // Of what failed() has thrown: nothing of any attempt stays.
    bool took_no_effect() const noexcept { return took_no_effect_; }

private:
    struct verdict;

    // Of what a failure made another attempt worthwhile; see transaction_core::cause.
    using cause = transaction_cause;

    verdict judge(const std::exception_ptr& failure);
    cause cause_of(const std::exception_ptr& failure);
    bool must_change(const error& e);
    void count(cause why);
    void evict_if_demoted(const std::exception_ptr& failure, bool ours);
    void note_resolved();
    void succeeded();
    void finish(transaction_outcome outcome, const std::exception_ptr& failure = nullptr);
    void begin_attempt();

    std::shared_ptr<pool_impl> pool_; // a coroutine may outlive its pool
    owned<pool_source> own_source_;
    connection_source& outcomes_;
    std::source_location where_;
    const transaction_options& options_;
    std::chrono::steady_clock::time_point begun_;
    deadline until_;
    retry_options retry_options_;
    retry_loop loop_;
    transaction_metrics metrics_;
    owned<running_transaction> watched_; // null when it is not to be reported
    std::optional<transaction> transaction_;
    owned<open_span> span_; // null when nobody wants any
    owned<open_span> attempt_;
    std::vector<std::string> unprepared_; // texts whose prepared plan did not fit: sent as they are from then on
    bool resolved_ = false;
    bool finished_ = false;
    bool may_run_elsewhere_ = false;
    bool took_no_effect_ = true;
};

template <class Body>
std::invoke_result_t<Body&, transaction&> run_attempts(transaction_run& run, Body& body)
{
    using value_type = typename awaited<std::invoke_result_t<Body&, transaction&>>::type;
    for (;;) {
        std::exception_ptr failure; // a catch block must not suspend
        if constexpr (std::is_void_v<value_type>) {
            try {
                co_await run.start();
                co_await body(run.current());
                co_await run.commit();
                co_return;
            } catch (...) {
                failure = std::current_exception();
            }
        } else {
            try {
                co_await run.start();
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

} // namespace detail

/// Runs `body` in a transaction: COMMIT if it returns, ROLLBACK if it throws. Gives what the body gives.
///
/// After a deadlock (40P01), a serialization failure (40001), a lost connection or what `options.retry_if`
/// names, the whole is run again, on a connection that works, within the bounds of `options.retry` and
/// `options.timeout`: the body must be fit to run more than once. Only failures of this transaction's own statements
/// count: an error of another connection that leaves the body is passed on, whatever its type. A COMMIT is never
/// repeated blindly: if its answer is lost the server is asked what came of it, and only what was aborted is run
/// again. Success is reported only when the server confirmed the commit as `synchronous_commit` asks for it.
///
/// A COMMIT that is answered with ROLLBACK is an error (25P02). A write on a server that is read-only is one,
/// too (25006), and is not retried; where that server is a standby, the pool's connections are evicted, so
/// that the next ones may find the primary.
///
/// Any other exception of the body reaches the caller unchanged, after the rollback, and is not retried. When
/// the attempts are used up the last error reaches the caller, with a note of all attempts. Other errors:
/// those of `pool::acquire`; `commit_unknown`; `deadline_exceeded`. Cancellation: any kind; the transaction
/// is rolled back in the background, and one whose COMMIT is under way may take effect. `body` is kept in the coroutine
/// until it ends. The pool may be destroyed before it.
template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> transactional(
    pool& p, Body body, transaction_options options = transaction_options(),
    std::source_location where = std::source_location::current())
{
    detail::transaction_run run(p.shared(), options, where);
    if constexpr (std::is_void_v<typename detail::awaited<std::invoke_result_t<Body&, transaction&>>::type>) {
        co_await detail::run_attempts(run, body);
    } else {
        auto value = co_await detail::run_attempts(run, body);
        co_return value;
    }
}

/// Runs these statements as a transaction of their own, retried as above, with BEGIN and COMMIT in the same
/// round trip:
///
/// ```cpp
/// pgcoro::statement_list all;
/// all.execute("update account set cents = cents - $1 where id = $2", 500, 1);
/// auto left = all.query_value<std::int64_t>("select cents from account where id = $1", 1);
/// co_await pgcoro::transactional(pool, all);
/// use(left.get());
/// ```
/// The handles have the results of the attempt that was committed. With `resolve_commit`, unless it is
/// read-only, COMMIT takes a second round trip: the transaction's id must be known before. An empty list is
/// no round trip. `all` must live until it ends.
boost::asio::awaitable<void> transactional(pool& p, const statement_list& all,
                                           transaction_options options = transaction_options(),
                                           std::source_location where = std::source_location::current());

/// `transactional` with that many attempts: for transactions that take locks in no fixed order.
template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> with_deadlock_retry(
    pool& p, Body body, int attempts = 5, transaction_options options = transaction_options(),
    std::source_location where = std::source_location::current())
{
    options.retry.max_attempts = attempts;
    return transactional(p, std::move(body), std::move(options), where);
}

/// `transactional` at isolation level serializable, with that many attempts.
template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> with_serializable_retry(
    pool& p, Body body, int attempts = 5, transaction_options options = transaction_options(),
    std::source_location where = std::source_location::current())
{
    options.isolation = isolation::serializable;
    options.retry.max_attempts = attempts;
    return transactional(p, std::move(body), std::move(options), where);
}

} // namespace pgcoro
