#include <pgcoro/transaction/advisory_lock.hpp>

#include "types/fnv_1a.hpp"

#include "connection/session.hpp"

#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;
using std::chrono::milliseconds;

advisory_key::advisory_key(std::string_view name) noexcept
{
    first_ = static_cast<std::int64_t>(detail::fnv_1a(name));
}

namespace detail
{
namespace
{

// How long the lock may take to be let go before its connection is closed instead.
constexpr std::chrono::seconds unlock_within{5};

// "select pg_catalog.pg_" + what + "($1)"
std::string call(std::string_view what, const advisory_key& key, bool shared)
{
    std::string sql = "select pg_catalog.pg_";
    sql += what;
    if (shared) sql += "_shared";
    return sql += key.second() ? "($1, $2)" : "($1)";
}

params arguments(const advisory_key& key)
{
    if (key.second()) return params::of(static_cast<std::int32_t>(key.first()), *key.second());
    return params::of(key.first());
}

[[noreturn]] void throw_not_available(std::string_view sql)
{
    diagnostics d;
    d.severity = "ERROR";
    d.sqlstate = sqlstates::lock_not_available;
    d.message = "somebody else holds this advisory lock";
    throw server_error(std::move(d), sql);
}

void check(std::optional<milliseconds> within)
{
    if (within && within->count() < 0)
        throw std::invalid_argument("advisory_lock_options.within is " + std::to_string(within->count()) +
                                    " ms and must be 0 ms (do not wait) or more");
}

// As the server's lock_timeout, in milliseconds: its numbers end at 24 days, and 0 is no limit.
std::string lock_timeout(milliseconds within)
{
    constexpr milliseconds longest{2'147'483'647};
    return within > longest ? "0" : std::to_string(within.count());
}

asio::awaitable<void> unlock(lease held, advisory_key key, bool shared)
{
    auto& session = held->session();
    bool unlocked = false;
    try {
        auto by = std::chrono::steady_clock::now() + unlock_within;
        if (!session.clean()) co_await session.recover(by, true);
        auto sql = call("advisory_unlock", key, shared);
        auto args = arguments(key);
        prologue bounded;
        bounded.deadline = by;
        request r;
        r.sql = sql;
        r.args = &args;
        r.with = &bounded;
        auto got = co_await session.run(r);
        unlocked = got.as_value<bool>();
    } catch (...) {
        // Why does not matter: the server lets go of the lock when the connection ends.
    }
    if (!unlocked) session.give_up();
}

} // namespace

session_lock::~session_lock()
{
    if (lease_ && maybe_held_) lease_->session().give_up();
}

asio::awaitable<void> session_lock::take(std::optional<milliseconds> within)
{
    check(within);
    auto& session = lease_->session();
    bool at_once = within && within->count() == 0;
    auto sql = call(at_once ? "try_advisory_lock" : "advisory_lock", key_, shared_);
    auto args = arguments(key_);
    request r;
    r.sql = sql;
    r.args = &args;
    prologue limited;
    if (within && !at_once) { // a session-level lock outlives the transaction that sets the limit
        limited.before.push_back({"begin"});
        limited.before.push_back({"set local lock_timeout = " + lock_timeout(*within)});
        limited.commit = commit_place::before_sync;
        r.with = &limited;
    }
    maybe_held_ = true;
    try {
        auto got = co_await session.run(r);
        if (!at_once || got.as_value<bool>()) co_return;
    } catch (const server_error&) {
        maybe_held_ = false; // and the pool rolls back
        throw;
    }
    maybe_held_ = false;
    throw_not_available(sql);
}

asio::awaitable<void> session_lock::end()
{
    maybe_held_ = false;
    auto executor = co_await asio::this_coro::executor;
    // In a coroutine of its own, which is not cancelled with the caller.
    co_await asio::co_spawn(executor, unlock(std::move(lease_), key_, shared_),
                            asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable));
}

void session_lock::end_in_background(const asio::any_io_executor& executor)
{
    maybe_held_ = false;
    asio::co_spawn(executor, unlock(std::move(lease_), key_, shared_), asio::detached);
}

asio::awaitable<void> take_transaction_lock(transaction& tx, advisory_key key, advisory_lock_options options)
{
    check(options.within);
    auto args = arguments(key);
    bool at_once = options.within && options.within->count() == 0;
    auto sql = call(at_once ? "try_advisory_xact_lock" : "advisory_xact_lock", key, options.shared);
    if (!options.within || at_once) {
        auto got = co_await tx.run(sql, std::move(args));
        if (at_once && !got.as_value<bool>()) throw_not_available(sql);
        co_return;
    }
    auto limit = lock_timeout(*options.within);
    auto limited = [&](transaction& inner) -> asio::awaitable<void> {
        auto all = inner.pipeline();
        all.execute("select pg_catalog.set_config('pgcoro.lock_timeout', "
                    "pg_catalog.current_setting('lock_timeout'), true), "
                    "pg_catalog.set_config('lock_timeout', $1, true)",
                    limit);
        if (key.second())
            all.execute(sql, static_cast<std::int32_t>(key.first()), *key.second());
        else
            all.execute(sql, key.first());
        all.execute("select pg_catalog.set_config('lock_timeout', "
                    "pg_catalog.current_setting('pgcoro.lock_timeout'), true)");
        co_await all.run();
    };
    co_await tx.savepoint(limited);
}

asio::awaitable<bool> had(asio::awaitable<void> taking)
{
    try {
        co_await std::move(taking);
        co_return true;
    } catch (const server_error& e) {
        if (e.sqlstate() != sqlstates::lock_not_available) throw;
    }
    co_return false;
}

} // namespace detail
} // namespace pgcoro
