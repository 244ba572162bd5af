// A caller is cancelled after the n-th step of the event loop, for every n until it gets through: whatever it
// was waiting for then, nothing may be lost.
#include "integration/beside.hpp"
#include "integration/fixture.hpp"
#include "integration/run.hpp"

#include <pgcoro/pgcoro.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using pgcoro::pool;

namespace
{

pgcoro::pool_options options()
{
    pgcoro::pool_options o;
    o.overflow_linger = std::chrono::milliseconds(0);
    o.connection = pgcoro::connection_options::from_uri(shared_server().uri());
    o.size = 2;
    o.max_overflow = 1;
    o.name = "cancelled";
    return o;
}

// Runs the pool until nothing of it is out or under way; then it must still serve.
void settle(asio::io_context& io, pool& p)
{
    auto until = std::chrono::steady_clock::now() + patience;
    for (;;) {
        auto s = p.stats();
        if (s.in_use + s.cleaning + s.connecting + s.waiting == 0) break;
        BOOST_REQUIRE_MESSAGE(std::chrono::steady_clock::now() < until,
                              "lost: " << s.in_use << " in use, " << s.cleaning << " being cleaned, "
                                       << s.connecting << " connecting, " << s.waiting << " waiting");
        io.restart();
        io.run_one_for(10ms);
    }
    auto s = p.stats();
    BOOST_TEST(s.idle <= 2u);
    auto one =
        run_on(io, [&]() -> asio::awaitable<int> { co_return co_await p.query_value<int>("select 1"); });
    BOOST_TEST(one == 1);
}

// Begins it, lets it run for n steps, then cancels it, and waits for its end.
void cancel_after(asio::io_context& io, int n, beside& caller)
{
    caller.begin(io);
    for (int i = 0; i < n && !caller.done(); ++i) io.run_one_for(1s);
    if (!caller.done()) run_on(io, [&] { return caller.end(); });
}

// Gives the number of steps at which the caller got through.
template <class MakeCaller>
int cancel_at_every_step(asio::io_context& io, pool& p, MakeCaller make_caller)
{
    watchdog dog(4 * patience);
    for (int n = 0;; ++n) {
        BOOST_TEST_CONTEXT("cancelled after " << n << " steps")
        {
            beside caller(io.get_executor(), make_caller);
            cancel_after(io, n, caller);
            if (caller.error() && !pgcoro::is_cancellation(caller.error()))
                std::rethrow_exception(caller.error());
            settle(io, p);
            if (!caller.error()) return n;
        }
        BOOST_REQUIRE(n < 1000);
    }
}

std::string running()
{
    return shared_server().psql("select count(*) from pg_stat_activity where state <> 'idle' and "
                                "application_name = 'cancelled'");
}

} // namespace

BOOST_AUTO_TEST_SUITE(pool_cancellation)

BOOST_AUTO_TEST_CASE(of_a_first_acquire_that_has_to_connect)
{
    asio::io_context io;
    int steps = 0;
    {
        // A pool of its own for each attempt, so that each has to connect.
        for (int n = 0; n < 40; ++n) {
            pool p(io.get_executor(), options());
            beside caller(io.get_executor(), [&]() -> asio::awaitable<void> {
                auto held = co_await p.acquire();
                ++steps;
            });
            cancel_after(io, n, caller);
            settle(io, p);
            BOOST_TEST(p.stats().connect_failures == 0u); // those under way arrive
        }
    }
    BOOST_TEST(steps > 0); // some got through
}

BOOST_AUTO_TEST_CASE(of_a_query_on_a_connection_that_has_to_be_checked)
{
    asio::io_context io;
    auto o = options();
    o.pre_ping = pgcoro::pre_ping::always;
    pool p(io.get_executor(), o);
    auto steps = cancel_at_every_step(io, p, [&]() -> asio::awaitable<void> {
        auto held = co_await p.acquire();
        co_await held->execute("select 1");
        co_await held->query("select n from generate_series(1, 10) n");
    });
    BOOST_TEST(steps >= 3);
    BOOST_TEST(running() == "0");
}

BOOST_AUTO_TEST_CASE(of_a_transaction)
{
    shared_server().psql(
        "drop table if exists cancelled; create table cancelled (n int); insert into cancelled values (0)");
    asio::io_context io;
    pool p(io.get_executor(), options());
    int committed = 0;
    auto steps = cancel_at_every_step(io, p, [&]() -> asio::awaitable<void> {
        auto body = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("update cancelled set n = n + 1");
            co_await tx.query_value<int>("select n from cancelled");
        };
        co_await pgcoro::transactional(p, body);
        ++committed;
    });
    BOOST_TEST(steps >= 3);
    BOOST_TEST(committed == 1);
    // A caller cancelled while COMMIT is on its way may have committed; one before that cannot.
    auto n = std::stoi(shared_server().psql("select n from cancelled"));
    BOOST_TEST(n >= 1);
    BOOST_TEST(n <= steps);
    BOOST_TEST(running() == "0");
}

BOOST_AUTO_TEST_CASE(of_a_caller_in_the_queue)
{
    asio::io_context io;
    pool p(io.get_executor(), options());
    std::vector<pgcoro::lease> held;
    for (int i = 0; i < 3; ++i)
        held.push_back(run_on(io, [&]() -> asio::awaitable<pgcoro::lease> {
            auto one = co_await p.acquire();
            co_return one;
        }));
    beside caller(io.get_executor(), [&]() -> asio::awaitable<void> { auto mine = co_await p.acquire(); });
    caller.begin(io);
    while (p.stats().waiting == 0) io.run_one_for(1ms);
    run_on(io, [&] { return caller.end(); });
    held.clear();
    settle(io, p);
}

BOOST_AUTO_TEST_SUITE_END()
