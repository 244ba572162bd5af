// How a host is asked, again and again, what it is.
#include "cluster/changing.hpp"

#include "base/server_questions.hpp"
#include "cluster/position.hpp"
#include "connection/clock.hpp"
#include "resilience/is_a.hpp"
#include "resilience/text.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <charconv>

namespace pgcoro::detail
{

namespace
{

// The position of a primary is that of the last insertion: also what was committed with synchronous_commit
// off is before it. A standby follows each timeline that one of three says: its last restart point is on it, what was written
// back must be recovered on it, or it receives it. The last is for members of pg_monitor; the others come later. A
// server whose log has gone beyond the fork says none of them.
std::string question(std::uint32_t rights)
{
    std::string timelines = "(select received_tli from pg_catalog.pg_stat_wal_receiver)";
    if (rights & server_right::control)
        timelines += ", (select timeline_id from pg_catalog.pg_control_checkpoint()), "
                     "(select min_recovery_end_timeline from pg_catalog.pg_control_recovery())";
    return "select standby, coalesce(case when standby then pg_catalog.pg_last_wal_replay_lsn() "
           "else pg_catalog.pg_current_wal_insert_lsn() end - '0/0', 0)::bigint, " +
           identity_expression(rights) + ", coalesce(greatest(" + timelines +
           "), 0) from (select pg_catalog.pg_is_in_recovery() as standby) as role";
}

constexpr std::string_view position_question =
    "select (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::bigint";

bool is_lost(const std::exception_ptr& failure)
{
    return is_a<connection_error>(failure, [](auto& e) { return e.why() == connection_failure::lost; });
}

} // namespace

asio::awaitable<cluster_core::answer> cluster_impl::ask(watching& w)
{
    using row = std::tuple<bool, std::int64_t, std::string, std::int32_t>;
    auto [standby, position, identity, followed] = co_await w.connection.query_value<row>(w.question);
    auto server = parse_server_identity(identity);
    cluster_core::answer a;
    a.in_recovery = standby;
    a.position = static_cast<std::uint64_t>(position);
    if (!standby) a.position = end_of_record(a.position);
    // A primary without the right to tell its own has the one of its last checkpoint: right but for some seconds
    // behind a promotion.
    a.timeline = standby || server.timeline == 0 ? static_cast<std::uint32_t>(followed) : server.timeline;
    a.system = server.system;
    a.started = server.started;
    a.serializable = standby && w.serializable;
    co_return a;
}

asio::awaitable<commit_token> cluster_impl::written_by_now()
{
    auto until = clock::now() + options_.catch_up_timeout + options_.check_timeout;
    auto route = co_await primary(until);
    auto held = co_await route.pool->acquire(options_.check_timeout);
    auto position = co_await held->query_value<std::int64_t>(position_question);
    co_return commit_token(end_of_record(static_cast<std::uint64_t>(position)));
}

asio::awaitable<cluster_impl::watching> cluster_impl::connect_to_ask(const cluster_member& m)
{
    auto how = m.connection;
    how.application_name = options_.pool.name + " (watch)";
    how.connect_timeout = how.statement_timeout = options_.check_timeout;
    how.response_grace = std::chrono::milliseconds(100);
    how.lock_timeout = how.idle_in_transaction_session_timeout = std::chrono::milliseconds(0);
    how.observer = nullptr;
    auto made = co_await connection::connect(std::move(how));
    // SHOW and SET take no snapshot, which a standby refuses at this level.
    auto isolation = co_await made.query_value<std::string>("show default_transaction_isolation");
    bool serializable = isolation == "serializable";
    if (serializable) co_await made.execute("set default_transaction_isolation = 'read committed'");
    server_knowledge known;
    auto rights = co_await made.query_value<std::optional<std::string>>(rights_query);
    learn(known, rights.value_or("0"));
    watching w{std::move(made), question(known.may), serializable};
    co_return w;
}

// With the lock held.
std::chrono::milliseconds cluster_impl::pause_after(const cluster_member& m) const
{
    bool calm = core_.primary() && core_.role(m.id) != host_role::unreachable;
    return calm ? options_.check_interval : std::min(options_.check_interval, options_.recheck_interval);
}

asio::awaitable<void> cluster_impl::watch(std::shared_ptr<cluster_member> m)
{
    auto self = shared_from_this();
    m->watched = true;
    std::optional<watching> asked;
    for (;;) {
        std::shared_ptr<one_shot> kick;
        {
            std::lock_guard lock(mutex_);
            if (closed_ || core_.role(m->id) == host_role::removed) break;
            kick = m->kick = std::make_shared<one_shot>(); // who kicks from here on wants a later answer
        }
        std::exception_ptr failure;
        cluster_core::answer answer;
        auto sent = clock::now();
        // A connection that was lost since the last check says nothing of the host: a new one is tried first.
        for (bool again = true; again;) {
            again = asked.has_value();
            failure = nullptr;
            try {
                if (!asked) {
                    auto made = co_await connect_to_ask(*m);
                    asked.emplace(std::move(made));
                }
                sent = clock::now();
                answer = co_await ask(*asked);
                break;
            } catch (...) {
                failure = std::current_exception();
                asked.reset();
            }
            again = again && is_lost(failure);
        }
        std::string why_failed = failure ? first_line(failure) : std::string();
        std::chrono::milliseconds pause;
        {
            changing act(*this);
            if (closed_) break;
            ++m->checks;
            m->last_failure = std::move(why_failed);
            if (failure) {
                ++m->failed_checks;
                core_.failed(m->id, act.changes);
            } else {
                core_.answered(m->id, answer, sent, clock::now(), act.changes);
            }
            pause = pause_after(*m);
        }
        auto why = co_await kick->async_wait(clock::now() + pause, asio::deferred);
        if (why == wake::cancelled) break;
        if (why == wake::done && failure) {
            // Asked to look again where nobody answered: not in a tight loop.
            asio::steady_timer timer(m->strand, std::min(pause, std::chrono::milliseconds(20)));
            co_await timer.async_wait(asio::deferred);
        }
    }
    m->watched = false;
}

} // namespace pgcoro::detail
