#include "integration/beside.hpp"
#include "integration/transaction/bank.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>

using pgcoro::transaction;
using pgcoro::transactional;
using namespace std::chrono_literals;

namespace
{

std::string held()
{
    return shared_server().psql("select count(*) from pg_locks where locktype = 'advisory' and granted");
}

// Somebody else's lock of the number 42, for as long as the connection lives.
asio::awaitable<pgcoro::connection> holder()
{
    auto c = co_await pgcoro::connection::connect(shared_server().uri());
    co_await c.execute("select pg_advisory_lock(42)");
    co_return c;
}

// Until nobody holds one: the background, or the server, has seen to it.
asio::awaitable<void> all_free()
{
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (held() != "0") {
        timer.expires_after(5ms);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(advisory_locks)

BOOST_AUTO_TEST_CASE(names_are_hashed_by_fnv_1a)
{
    // Landon Curt Noll's test vectors.
    BOOST_TEST(static_cast<std::uint64_t>(pgcoro::advisory_key("").first()) == 0xcbf29ce484222325u);
    BOOST_TEST(static_cast<std::uint64_t>(pgcoro::advisory_key("a").first()) == 0xaf63dc4c8601ec8cu);
    BOOST_TEST(static_cast<std::uint64_t>(pgcoro::advisory_key("foobar").first()) == 0x85944171f73967e8u);
}

BOOST_AUTO_TEST_CASE(a_session_lock_is_held_while_the_body_runs_and_let_go_however_it_ends)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [](pgcoro::connection& c) -> asio::awaitable<int> {
            BOOST_TEST(held() == "1");
            co_return co_await c.query_value<int>("select 7");
        };
        BOOST_TEST(co_await pgcoro::with_advisory_lock(b.p, 0, body) == 7);
        BOOST_TEST(held() == "0");
        BOOST_TEST(co_await pgcoro::with_advisory_lock(b.p, pgcoro::advisory_key(1, 2), body) == 7);
        BOOST_TEST(held() == "0");
        auto throws = [](pgcoro::connection& c) -> asio::awaitable<void> {
            co_await c.execute("begin");
            co_await c.execute("select 1/0");
        };
        BOOST_CHECK_THROW(co_await pgcoro::with_advisory_lock(b.p, "nightly", throws), pgcoro::server_error);
        BOOST_TEST(held() == "0");
        BOOST_TEST(b.p.stats().closes == 0u);
    });
}

BOOST_AUTO_TEST_CASE(a_session_lock_that_cannot_be_unlocked_ends_with_its_connection)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto unlocks = [](pgcoro::connection& c) -> asio::awaitable<void> {
            co_await c.execute("select pg_advisory_unlock_all()");
        };
        co_await pgcoro::with_advisory_lock(b.p, 42, unlocks);
        BOOST_TEST(b.p.stats().closes == 1u);
    });
}

BOOST_AUTO_TEST_CASE(a_cancelled_caller_goes_on_and_its_lock_is_let_go)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        bank b(executor);
        bool locked = false;
        auto sleeps = [&](pgcoro::connection& c) -> asio::awaitable<void> {
            locked = true;
            co_await c.execute("select pg_sleep(60)");
        };
        beside given_up(executor, [&]() -> asio::awaitable<void> {
            co_await pgcoro::with_advisory_lock(b.p, 42, sleeps);
        });
        while (!locked) co_await yield();
        co_await given_up.end();
        BOOST_TEST(given_up.threw<boost::system::system_error>());
        co_await all_free();
        BOOST_TEST(b.p.stats().closes == 0u);
    });
}

BOOST_AUTO_TEST_CASE(who_cannot_have_a_lock_in_time_is_told_and_holds_nothing)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto other = co_await holder();
        int ran = 0;
        auto body = [&](pgcoro::connection&) -> asio::awaitable<void> {
            ++ran;
            co_return;
        };
        pgcoro::advisory_lock_options soon;
        soon.within = 20ms;
        BOOST_TEST(!co_await pgcoro::try_with_advisory_lock(b.p, 42, body));
        BOOST_TEST(!co_await pgcoro::try_with_advisory_lock(b.p, 42, body, soon));
        bool refused = false;
        try {
            co_await pgcoro::with_advisory_lock(b.p, 42, body, soon);
        } catch (const pgcoro::server_error& e) {
            refused = e.sqlstate() == pgcoro::sqlstates::lock_not_available;
        }
        BOOST_TEST(refused);
        pgcoro::advisory_lock_options never;
        never.within = -1ms;
        BOOST_CHECK_THROW(co_await pgcoro::with_advisory_lock(b.p, 42, body, never), std::invalid_argument);
        BOOST_TEST(ran == 0);
        other.close();
        co_await all_free();
        BOOST_TEST(co_await pgcoro::try_with_advisory_lock(b.p, 42, body, soon));
        BOOST_TEST(ran == 1);
        BOOST_TEST(held() == "0");
        BOOST_TEST(co_await b.p.query_value<std::string>("show lock_timeout") == "10s");
    });
}

BOOST_AUTO_TEST_CASE(a_transactions_lock_lasts_to_its_end_and_one_that_is_not_had_leaves_it_usable)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto other = co_await holder();
        auto body = [](transaction& tx) -> asio::awaitable<std::string> {
            auto seven = [](transaction&) -> asio::awaitable<int> { co_return 7; };
            pgcoro::advisory_lock_options soon;
            soon.within = 20ms;
            auto none = co_await pgcoro::try_with_advisory_lock(tx, 42, seven);
            auto late = co_await pgcoro::try_with_advisory_lock(tx, 42, seven, soon);
            BOOST_TEST(!none.has_value());
            BOOST_TEST(!late.has_value());
            auto had = co_await pgcoro::try_with_advisory_lock(tx, pgcoro::advisory_key(1, 2), seven, soon);
            BOOST_TEST((had == 7));
            auto plain = co_await pgcoro::with_advisory_lock(tx, "job", seven);
            BOOST_TEST(plain == 7);
            BOOST_TEST(held() == "3"); // with the other's
            co_return co_await tx.query_value<std::string>("show lock_timeout");
        };
        BOOST_TEST(co_await transactional(b.p, body) == "10s");
        BOOST_TEST(held() == "1");
    });
}

BOOST_AUTO_TEST_SUITE_END()
