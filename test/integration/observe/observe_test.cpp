// What the eyes see of a real pool and a real server.
#include "integration/connection/support.hpp"

#include <pgcoro/observe/observe.hpp>
#include <pgcoro/pgcoro.hpp>

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cmath>

using namespace pgcoro;
using std::chrono::milliseconds;

namespace
{

struct watched_pool
{
    explicit watched_pool(std::size_t size = 2)
        : pool_(io.get_executor(), options(size))
    {
        seen.watch(pool_);
    }
    pool_options options(std::size_t size)
    {
        pool_options o;
        o.connection = shared_options();
        o.name = "watched";
        o.size = size;
        o.max_overflow = 0;
        o.observer = &seen;
        return o;
    }
    template <class Body>
    void run(Body body)
    {
        run_on(io, [&]() -> asio::awaitable<void> { co_await body(pool_); });
    }

    metrics seen;
    asio::io_context io;
    pool pool_;
};

template <class Figures>
const Figures& named(const std::vector<Figures>& all, std::string_view name)
{
    auto it = std::find_if(all.begin(), all.end(), [&](auto& f) { return f.name == name; });
    if (it == all.end()) throw std::runtime_error("no figures of the name " + std::string(name));
    return *it;
}

} // namespace

BOOST_AUTO_TEST_SUITE(observe)

BOOST_AUTO_TEST_CASE(statements_are_counted_with_rows_bytes_and_where_their_time_went)
{
    watched_pool w;
    w.run([&](pool& p) -> asio::awaitable<void> {
        for (int i = 0; i < 5; ++i)
            co_await p.named("load").query("select n, 'abcd'::text from generate_series(1, $1::int) n", 3);
        co_await failure_of<server_error>(p.query("select 1/0"));
    });
    auto s = w.seen.snapshot();
    BOOST_TEST(s.queries.count == 6u);
    BOOST_TEST(s.queries.errors_by_sqlstate.at("22012") == 1u);
    auto& load = named(s.operations, "load");
    BOOST_TEST(load.count == 5u);
    BOOST_TEST(load.rows == 15u);
    BOOST_TEST(load.bytes_received == 5u * 3 * (4 + 4));
    BOOST_TEST(load.bytes_sent >= 5u * 4);
    BOOST_TEST(load.server > 0);
    auto parts = load.sending + load.server + load.receiving;
    BOOST_TEST(parts == load.duration.sum, boost::test_tools::tolerance(1e-6));
    BOOST_TEST(s.statements.size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_watched_pool_shows_its_state_and_who_waits)
{
    watched_pool w(1);
    w.run([&](pool& p) -> asio::awaitable<void> {
        auto held = co_await p.acquire();
        beside waiter(co_await asio::this_coro::executor, [&]() -> asio::awaitable<void> {
            auto second = co_await p.acquire();
            co_await second->query("select 1");
        });
        while (p.stats().waiting == 0) co_await yield();
        auto s = w.seen.snapshot();
        auto& f = s.pools.at(0);
        BOOST_TEST(f.name == "watched");
        BOOST_TEST(f.database == "postgres");
        BOOST_TEST(f.in_use == 1u);
        BOOST_TEST(f.waiting == 1u);
        BOOST_TEST(f.utilization == 1.0);
        held.release();
        while (!waiter.done()) co_await yield();
    });
    auto s = w.seen.snapshot();
    auto& f = s.pools.at(0);
    BOOST_TEST(f.acquired == 2u);
    BOOST_TEST(f.queued == 2u); // the first one waited for its connect
    BOOST_TEST(f.created == 1u);
    BOOST_TEST(f.use_time.count == 2u);
    BOOST_TEST(f.idle == 1u);
    BOOST_TEST(s.queries.waiting > 0);
}

BOOST_AUTO_TEST_CASE(a_pool_that_is_gone_leaves_its_counters)
{
    metrics seen;
    run([&]() -> asio::awaitable<void> {
        pool_options o;
        o.connection = shared_options();
        o.observer = &seen;
        pool p(co_await asio::this_coro::executor, o);
        seen.watch(p);
        co_await p.query("select 1");
        co_await p.close();
    });
    auto s = seen.snapshot();
    BOOST_TEST(!s.pools.at(0).watched);
    BOOST_TEST(s.pools.at(0).acquired == 1u);
    BOOST_TEST(s.pools.at(0).closed.at("pool closed") == 1u);
}

BOOST_AUTO_TEST_CASE(transactions_are_counted_under_their_name_with_their_statements)
{
    watched_pool w;
    w.run([&](pool& p) -> asio::awaitable<void> {
        transaction_options o;
        o.name = "pay";
        co_await transactional(
            p, [](transaction& tx) -> asio::awaitable<void> { co_await tx.query("select 1"); }, o);
        auto failing = [](transaction& tx) -> asio::awaitable<void> { co_await tx.query("select 1/0"); };
        co_await failure_of<server_error>(transactional(p, failing, o));
        co_await p.query("select 2"); // is not told under the name of who had the connection before
    });
    auto s = w.seen.snapshot();
    auto& pay = named(s.transactions_by_name, "pay");
    BOOST_TEST(pay.committed == 1u);
    BOOST_TEST(pay.rolled_back == 1u);
    BOOST_TEST(pay.active == 0u);
    BOOST_TEST(pay.failed_attempts.at("other") == 1u);
    BOOST_TEST(named(s.operations, "pay").count == 2u);
}

BOOST_AUTO_TEST_CASE(statements_run_in_a_loop_on_one_lease_are_noticed)
{
    watched_pool w(1);
    w.run([&](pool& p) -> asio::awaitable<void> {
        auto held = co_await p.acquire();
        for (int i = 0; i < 30; ++i) co_await held->query("select $1::int", i);
        held.release();
        for (int i = 0; i < 30; ++i) co_await p.query("select $1::bigint", i);
    });
    auto s = w.seen.snapshot();
    BOOST_TEST(s.queries.longest_loop == 29u); // the first prepared it
    BOOST_TEST(s.queries.repeated == 28u);
}

BOOST_AUTO_TEST_CASE(the_server_is_seen_with_who_blocks_whom)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto blocker = co_await connection::connect(shared_options());
        auto blocked = co_await connection::connect(shared_options());
        auto watcher = co_await connection::connect(shared_options());
        co_await blocker.execute("begin");
        co_await blocker.query("select pg_advisory_xact_lock(4711)");
        beside waiting(executor, [&]() -> asio::awaitable<void> {
            co_await blocked.query("select pg_advisory_xact_lock(4711), 'secret'");
        });
        inspect_options o;
        o.long_idle = o.long_query = milliseconds(0);
        server_view v;
        do {
            v = co_await inspect(watcher, o);
        } while (v.blocked.empty() || v.long_queries.empty()); // which are asked for one after the other
        BOOST_TEST(v.version >= 130'000);
        BOOST_TEST(v.database == "postgres");
        BOOST_TEST(v.max_connections >= 20);
        BOOST_TEST(v.connections >= 3);
        BOOST_TEST(v.xid_age > 0);
        BOOST_TEST(v.sessions_by_state.at("idle in transaction") >= 1);
        BOOST_TEST(v.blocked.at(0).pid == blocked.backend_pid());
        BOOST_TEST(v.blocked.at(0).blocked_by == std::vector{blocker.backend_pid()},
                   boost::test_tools::per_element());
        BOOST_TEST(v.blocked.at(0).lock == "advisory");
        BOOST_TEST(v.blocked.at(0).query == "");
        auto is = [](int pid) { return [=](auto& s) { return s.pid == pid; }; };
        BOOST_TEST(std::any_of(v.long_queries.begin(), v.long_queries.end(), is(blocked.backend_pid())));
        BOOST_TEST(std::any_of(v.idle_in_transaction.begin(), v.idle_in_transaction.end(),
                               is(blocker.backend_pid())));
        o.with_queries = true;
        auto with = co_await inspect(watcher, o);
        BOOST_TEST(contains(with.blocked.at(0).query, "'secret'"));
        co_await blocker.execute("commit");
        while (!waiting.done()) co_await yield();
    });
}

BOOST_AUTO_TEST_CASE(a_role_without_pg_monitor_is_told_what_it_cannot_see)
{
    shared_server().psql("drop role if exists nobody_special; create role nobody_special login");
    auto options = shared_options();
    options.parameters["user"] = "nobody_special";
    with_connection(options, [](connection& c) -> asio::awaitable<void> {
        auto v = co_await inspect(c);
        BOOST_TEST(v.connections >= 1);
        BOOST_TEST(std::any_of(v.not_seen.begin(), v.not_seen.end(),
                               [](auto& text) { return contains(text, "GRANT pg_monitor"); }));
        auto tables = co_await sequential_scans(c);
        auto indexes = co_await unused_indexes(c);
        BOOST_TEST(c.is_open());
    });
}

BOOST_AUTO_TEST_CASE(within_a_transaction_the_server_is_not_inspected)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        co_await c.execute("begin");
        co_await failure_of<std::logic_error>(inspect(c));
    });
}

BOOST_AUTO_TEST_CASE(a_sampler_fills_history_and_alerts)
{
    watched_pool w(1);
    history h;
    alerts a;
    sampler s(w.seen, h, &a, {.inspected = &w.pool_});
    w.run([&](pool& p) -> asio::awaitable<void> {
        co_await s.take();
        for (int i = 0; i < 20; ++i) co_await failure_of<server_error>(p.query("select 1/0"));
        co_await s.take();
    });
    BOOST_TEST(h.size() == 2u);
    BOOST_TEST(h.last()->errors == 20);
    BOOST_TEST(h.last()->error_rate > 0.5);
    BOOST_TEST(!std::isnan(h.last()->server_connection_use));
    BOOST_TEST(s.server()->database == "postgres");
    auto active = a.active();
    BOOST_TEST(
        std::any_of(active.begin(), active.end(), [](auto& each) { return each.name == "error_rate"; }));
}

BOOST_AUTO_TEST_CASE(a_check_tells_whether_the_database_answers)
{
    watched_pool w(1);
    w.run([&](pool& p) -> asio::awaitable<void> {
        auto up = co_await check_health(p, patience);
        BOOST_TEST(up.healthy);
        BOOST_TEST(up.response_time > 0);
        auto held = co_await p.acquire();
        auto full = co_await check_health(p, milliseconds(20));
        BOOST_TEST(!full.healthy);
        BOOST_TEST(contains(full.error, "no connection became free"));
    });
}

BOOST_AUTO_TEST_CASE(the_log_ends_with_the_pool)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        std::optional<pool> p;
        pool_options o;
        o.connection = shared_options();
        o.name = "orders";
        p.emplace(executor, o);
        std::vector<std::string> lines;
        auto sink = [&](std::string_view line) { lines.emplace_back(line); };
        beside logging(executor, [&]() { return log_stats(*p, sink, milliseconds(1)); });
        while (lines.size() < 2) co_await yield();
        BOOST_TEST(contains(lines.at(0), "pool 'orders': 0 in use, 0 idle"));
        p.reset();
        while (!logging.done()) co_await yield();
        BOOST_TEST(!logging.error());
    });
}

BOOST_AUTO_TEST_SUITE_END()
