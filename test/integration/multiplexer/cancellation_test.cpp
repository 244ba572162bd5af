// Every kind of cancellation, of a statement in every state.
#include "support.hpp"

#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>

namespace
{

constexpr asio::cancellation_type kinds[] = {
    asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total};

// A statement that can be cancelled with any kind.
class cancellable
{
public:
    template <class Ask>
    cancellable(asio::any_io_executor executor, Ask ask)
    {
        asio::co_spawn(executor, run(std::move(ask)),
                       asio::bind_cancellation_slot(stop_.slot(), [this](std::exception_ptr e) {
                           error_ = e;
                           done_ = true;
                       }));
    }
    cancellable(const cancellable&) = delete;

    void cancel(asio::cancellation_type kind) { stop_.emit(kind); }
    bool done() const { return done_; }
    const std::exception_ptr& error() const { return error_; }

private:
    template <class Ask>
    asio::awaitable<void> run(Ask ask)
    {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await ask();
    }

    asio::cancellation_signal stop_;
    std::exception_ptr error_;
    bool done_ = false;
};

asio::awaitable<void> until_running(std::string_view sql, bool running)
{
    auto conn = co_await pgcoro::connection::connect(shared_options());
    for (bool now = !running; now != running;)
        now = co_await conn.query_value<bool>(
            "select exists (select from pg_stat_activity where query = $1 and state = 'active')", sql);
}

} // namespace

BOOST_AUTO_TEST_SUITE(multiplexer_cancellation)

BOOST_AUTO_TEST_CASE(any_kind_ends_a_queued_statement_that_is_never_sent)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.pool.execute("drop table if exists mux_queued");
        co_await m.pool.execute("create table mux_queued(n int)");
        for (auto kind : kinds) {
            auto held = co_await m.pool.acquire(); // the only connection
            cancellable queued(m.io.get_executor(), [&]() -> asio::awaitable<void> {
                co_await m.mux.execute("insert into mux_queued values (1)");
            });
            co_await until([&] { return m.mux.stats().waiting == 1; });
            queued.cancel(kind);
            co_await until([&] { return queued.done(); });
            BOOST_TEST(pgcoro::is_cancellation(queued.error()));
            BOOST_TEST(m.mux.stats().waiting == 0u);
        }
        auto rows = co_await m.mux.read().query_value<std::int64_t>("select count(*) from mux_queued");
        BOOST_TEST(rows == 0);
    });
}

BOOST_AUTO_TEST_CASE(any_kind_ends_a_sent_statement_and_stops_the_server)
{
    auto sql = "select pg_sleep(60 * $1::int) as mux_sent";
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.learn(sql, 0);
        for (auto kind : kinds) {
            cancellable sent(m.io.get_executor(),
                             [&]() -> asio::awaitable<void> { co_await m.mux.execute(sql, 1); });
            co_await until_running(sql, true);
            sent.cancel(kind);
            co_await until([&] { return sent.done(); });
            BOOST_TEST(pgcoro::is_cancellation(sent.error()));
            co_await until_running(sql, false);
        }
        auto four = co_await m.mux.read().query_value<int>("select 2 + 2");
        BOOST_TEST(four == 4);
    });
}

BOOST_AUTO_TEST_CASE(any_kind_ends_an_exclusive_one_and_stops_the_server)
{
    auto sql = "call mux_nap($1)";
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.pool.execute("drop procedure if exists mux_nap");
        co_await m.pool.execute(
            "create procedure mux_nap(n int) language plpgsql as 'begin perform pg_sleep(n); end'");
        co_await m.learn(sql, 0);
        for (auto kind : kinds) {
            cancellable exclusive(m.io.get_executor(),
                                  [&]() -> asio::awaitable<void> { co_await m.mux.execute(sql, 60); });
            co_await until_running(sql, true);
            exclusive.cancel(kind);
            co_await until([&] { return exclusive.done(); });
            BOOST_TEST(pgcoro::is_cancellation(exclusive.error()));
            co_await until_running(sql, false);
        }
        BOOST_TEST(m.mux.stats().exclusive == 3u);
        auto four = co_await m.mux.read().query_value<int>("select 2 + 2");
        BOOST_TEST(four == 4);
    });
}

BOOST_AUTO_TEST_CASE(any_kind_ends_an_exclusive_one_without_a_connection)
{
    multiplexed m;
    m.run([&]() -> asio::awaitable<void> {
        co_await m.learn("set search_path = public");
        for (auto kind : kinds) {
            auto held = co_await m.pool.acquire(); // the only connection
            cancellable exclusive(m.io.get_executor(), [&]() -> asio::awaitable<void> {
                co_await m.mux.execute("set search_path = public");
            });
            co_await until([&] { return m.pool.stats().waiting == 1; });
            exclusive.cancel(kind);
            co_await until([&] { return exclusive.done(); });
            BOOST_TEST(pgcoro::is_cancellation(exclusive.error()));
            co_await until([&] { return m.pool.stats().waiting == 0; });
        }
    });
}

BOOST_AUTO_TEST_SUITE_END()
