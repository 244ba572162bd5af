#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/resilience/retry.hpp>
#include <pgcoro/transaction/transaction.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace PGCORO_API pgcoro
{

/// What an advisory lock is called ("Advisory Locks", chapter 13.3 of PostgreSQL's documentation): a number,
/// two numbers, or a name. The server keeps those of one number apart from those of two; all of a database
/// share them.
class advisory_key
{
public:
    template <std::integral T>
    advisory_key(T key) noexcept
        : first_(static_cast<std::int64_t>(key))
    {}
    advisory_key(std::int32_t first, std::int32_t second) noexcept
        : first_(first)
        , second_(second)
    {}
    /// The number is the name's 64-bit FNV-1a hash (offset basis 0xcbf29ce484222325, prime 0x100000001b3,
    /// over the bytes, as a signed number): the same on every machine and in every version.
    advisory_key(std::string_view name) noexcept;
    advisory_key(const char* name) noexcept
        : advisory_key(std::string_view(name))
    {}

    /// The number, or the first of two.
    std::int64_t first() const noexcept { return first_; }
    std::optional<std::int32_t> second() const noexcept { return second_; }

private:
    std::int64_t first_ = 0;
    std::optional<std::int32_t> second_;
};

/// How an advisory lock is taken.
struct advisory_lock_options
{
    /// Beside others that are shared, too.
    bool shared = false;

    /// How long to wait for it. Nothing: `with_advisory_lock` waits for as long as the session's
    /// `lock_timeout` lets it, `try_with_advisory_lock` not at all. 0: not at all.
    std::optional<std::chrono::milliseconds> within = std::nullopt;
};

namespace detail
{

// A session-level lock on a lease.
class session_lock
{
public:
    session_lock(lease held, advisory_key key, bool shared) noexcept
        : lease_(std::move(held))
        , key_(key)
        , shared_(shared)
    {}
    session_lock(const session_lock&) = delete;
    session_lock& operator=(const session_lock&) = delete;
    // A lock that may still be held ends with its connection.
    ~session_lock();

    pgcoro::connection& connection() const { return *lease_; }

    // Throws server_error 55P03 when it cannot be had.
    boost::asio::awaitable<void> take(std::optional<std::chrono::milliseconds> within);
    // Unlocks and gives the connection back. Does not throw, and goes on where the caller is cancelled.
    boost::asio::awaitable<void> end();
    void end_in_background(const boost::asio::any_io_executor& executor);

private:
    lease lease_;
    advisory_key key_;
    bool shared_;
    bool maybe_held_ = false;
};

// Throws server_error 55P03 when it cannot be had.
boost::asio::awaitable<void> take_transaction_lock(transaction& tx, advisory_key key,
                                                   advisory_lock_options options);

// Waits for the lock; false when it cannot be had in time.
boost::asio::awaitable<bool> had(boost::asio::awaitable<void> taking);

template <class Body, class On>
using awaited_of = typename awaited<std::invoke_result_t<Body&, On&>>::type;

// What a try gives: whether it ran, or what the body gave.
template <class T>
using tried = std::conditional_t<std::is_void_v<T>, bool, std::optional<T>>;

template <class Body>
boost::asio::awaitable<awaited_of<Body, connection>> run_locked(session_lock& lock, Body& body)
{
    using value = awaited_of<Body, connection>;
    std::exception_ptr failure;
    [[maybe_unused]] std::conditional_t<std::is_void_v<value>, bool, std::optional<value>> made{};
    try {
        if constexpr (std::is_void_v<value>) {
            co_await body(lock.connection());
        } else {
            auto got = co_await body(lock.connection());
            made.emplace(std::move(got));
        }
    } catch (...) {
        failure = std::current_exception();
    }
    auto cancellation = co_await boost::asio::this_coro::cancellation_state;
    auto executor = co_await boost::asio::this_coro::executor;
    if (cancellation.cancelled() == boost::asio::cancellation_type::none)
        co_await lock.end();
    else // who is cancelled cannot await anything
        lock.end_in_background(executor);
    if (failure) std::rethrow_exception(failure);
    if constexpr (!std::is_void_v<value>) co_return std::move(*made);
}

} // namespace detail

/// Runs `body(connection&)` with a session-level advisory lock, on a connection of the pool, and gives what
/// it gives. The lock is let go however the body ends, transactions that it left open being rolled back
/// first; if that fails, the connection is closed, and the lock with it. For locks that are held for longer
/// than a transaction.
///
/// **Errors:** `server_error` 55P03 when the lock cannot be had in time; those of `pool::acquire`, of the
/// body and of statements. **Cancellation:** any kind; the caller goes on at once, and the lock is let go in
/// the background. `body` is kept in the coroutine until it ends.
template <class Body>
boost::asio::awaitable<detail::awaited_of<Body, connection>> with_advisory_lock(
    pool& p, advisory_key key, Body body, advisory_lock_options options = advisory_lock_options(),
    std::source_location where = std::source_location::current())
{
    lease held = co_await p.acquire(where);
    detail::session_lock lock(std::move(held), key, options.shared);
    co_await lock.take(options.within);
    co_return co_await detail::run_locked(lock, body);
}

/// The same, but if the lock cannot be had the body is not run, and the result is nothing (`false`, where the
/// body gives nothing).
template <class Body>
boost::asio::awaitable<detail::tried<detail::awaited_of<Body, connection>>> try_with_advisory_lock(
    pool& p, advisory_key key, Body body, advisory_lock_options options = advisory_lock_options(),
    std::source_location where = std::source_location::current())
{
    using tried = detail::tried<detail::awaited_of<Body, connection>>;
    lease held = co_await p.acquire(where);
    detail::session_lock lock(std::move(held), key, options.shared);
    bool taken = co_await detail::had(lock.take(options.within.value_or(std::chrono::milliseconds(0))));
    if (!taken) co_return tried();
    if constexpr (std::is_same_v<tried, bool>) {
        co_await detail::run_locked(lock, body);
        co_return true;
    } else {
        tried made = co_await detail::run_locked(lock, body);
        co_return made;
    }
}

/// Takes a transaction-level advisory lock, then runs `body(transaction&)` with the same transaction, and
/// gives what it gives. The lock is held to the transaction's end, beyond the body's; a savepoint around it
/// that is undone lets it go.
///
/// **Errors:** `server_error` 55P03 when the lock cannot be had in time; without `within` the transaction can
/// then only be rolled back, else it can go on.
template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> with_advisory_lock(
    transaction& tx, advisory_key key, Body body, advisory_lock_options options = advisory_lock_options())
{
    co_await detail::take_transaction_lock(tx, key, options);
    co_return co_await body(tx);
}

/// The same, but if the lock cannot be had the body is not run, and the result is nothing (`false`, where the
/// body gives nothing).
template <transaction_body Body>
boost::asio::awaitable<detail::tried<detail::awaited_of<Body, transaction>>> try_with_advisory_lock(
    transaction& tx, advisory_key key, Body body, advisory_lock_options options = advisory_lock_options())
{
    using tried = detail::tried<detail::awaited_of<Body, transaction>>;
    options.within = options.within.value_or(std::chrono::milliseconds(0));
    bool taken = co_await detail::had(detail::take_transaction_lock(tx, key, options));
    if (!taken) co_return tried();
    if constexpr (std::is_same_v<tried, bool>) {
        co_await body(tx);
        co_return true;
    } else {
        tried made = co_await body(tx);
        co_return made;
    }
}

} // namespace pgcoro
