// Pool, multiplexer and I/O context end in every order, with statements in every state.
#include "support.hpp"

#include <future>
#include <memory>
#include <optional>
#include <thread>

namespace
{

// A multiplexer's callers: one sent, one queued behind it, and one exclusive.
struct callers
{
    static constexpr auto sent_sql = "select pg_sleep(60 * $1::int) as mux_lifetime";

    explicit callers(asio::any_io_executor executor)
        : executor_(std::move(executor))
    {}

    static pgcoro::pool_options pool() { return pool_of(2); }
    static pgcoro::multiplexer_options options()
    {
        pgcoro::multiplexer_options o;
        o.connections = 1;
        o.slow_after = patience; // on a busy machine nothing else becomes exclusive
        return o;
    }

    // Until all three are where they belong.
    asio::awaitable<void> begin(pgcoro::multiplexer& mux)
    {
        co_await mux.execute(sent_sql, 0);
        co_await mux.execute("create or replace procedure mux_rest(n int) language plpgsql as "
                             "'begin perform pg_sleep(n); end'");
        co_await mux.execute("call mux_rest($1)", 0); // exclusive from now on
        co_await mux.read().query_value<int>("select 1");
        // The worker may run on another thread, and not have ended yet: it would take the next two together.
        co_await until([&] { return mux.stats().connections == 0; });
        spawn(sent, [&mux]() -> asio::awaitable<void> { co_await mux.execute(sent_sql, 1); });
        co_await until([&] { return mux.stats().connections == 1; });
        spawn(queued, [&mux]() -> asio::awaitable<void> { co_await mux.read().execute("select 1"); });
        spawn(exclusive,
              [&mux]() -> asio::awaitable<void> { co_await mux.execute("call mux_rest($1)", 60); });
        co_await until([&] { return mux.stats().waiting == 1 && mux.stats().exclusive == 1; });
    }

    struct outcome
    {
        bool done = false;
        std::exception_ptr error;
    };
    outcome sent;
    outcome queued;
    outcome exclusive;

private:
    // By pointer to members, which live until the I/O context has ended.
    template <class Work>
    void spawn(outcome& into, Work work)
    {
        auto run = [](Work w, std::shared_ptr<int> alive) -> asio::awaitable<void> {
            co_await w();
            (void)alive;
        };
        asio::co_spawn(executor_, run(std::move(work), coroutines), [&into](std::exception_ptr e) {
            into.done = true;
            into.error = e;
        });
    }

    asio::any_io_executor executor_;

public:
    std::shared_ptr<int> coroutines = std::make_shared<int>(); // counts those that live
};

template <class Error>
bool is_error(const std::exception_ptr& e)
{
    try {
        if (e) std::rethrow_exception(e);
    } catch (const Error&) {
        return true;
    } catch (...) {
    }
    return false;
}

} // namespace

BOOST_AUTO_TEST_SUITE(multiplexer_lifetime)

BOOST_AUTO_TEST_CASE(multiplexer_then_pool_then_context)
{
    std::optional<asio::io_context> io(std::in_place);
    callers all(io->get_executor());
    std::optional<pgcoro::pool> pool(std::in_place, io->get_executor(), callers::pool());
    std::optional<pgcoro::multiplexer> mux(std::in_place, io->get_executor(), *pool, callers::options());
    run_on(*io, [&] { return all.begin(*mux); });
    mux.reset();
    run_on(*io, [&] { return until([&] { return all.queued.done; }); });
    BOOST_TEST(is_error<pgcoro::pool_closed>(all.queued.error));
    pool.reset();
    io.reset();
    BOOST_TEST(all.coroutines.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(pool_then_multiplexer_then_context)
{
    std::optional<asio::io_context> io(std::in_place);
    callers all(io->get_executor());
    std::optional<pgcoro::pool> pool(std::in_place, io->get_executor(), callers::pool());
    std::optional<pgcoro::multiplexer> mux(std::in_place, io->get_executor(), *pool, callers::options());
    run_on(*io, [&] { return all.begin(*mux); });
    pool.reset();
    run_on(*io, [&]() -> asio::awaitable<void> {
        co_await failure_of<pgcoro::pool_closed>(mux->execute("call mux_rest($1)", 0));
    });
    mux.reset();
    run_on(*io, [&] { return until([&] { return all.queued.done; }); });
    BOOST_TEST(is_error<pgcoro::pool_closed>(all.queued.error));
    io.reset();
    BOOST_TEST(all.coroutines.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(context_with_pool_and_multiplexer_on_it)
{
    for (bool pool_first : {true, false}) {
        std::optional<asio::io_context> io(std::in_place);
        callers all(io->get_executor());
        bool begun = false;
        auto owner = [&]() -> asio::awaitable<void> {
            auto executor = co_await asio::this_coro::executor;
            std::optional<pgcoro::multiplexer> first;
            pgcoro::pool pool(executor, callers::pool());
            std::optional<pgcoro::multiplexer> last;
            auto& mux = pool_first ? first : last; // destroyed before the pool, or after it
            mux.emplace(executor, pool, callers::options());
            co_await all.begin(*mux);
            begun = true;
            asio::steady_timer never(executor, 1h);
            co_await never.async_wait(asio::deferred);
        };
        asio::co_spawn(*io, owner(), asio::detached);
        watchdog dog(patience);
        while (!begun) io->run_one();
        io.reset();
        BOOST_TEST(all.coroutines.use_count() == 1);
    }
}

BOOST_AUTO_TEST_CASE(context_with_the_pool_then_multiplexer)
{
    std::optional<asio::io_context> io(std::in_place);
    callers all(io->get_executor());
    std::optional<pgcoro::multiplexer> mux;
    bool begun = false;
    auto owner = [&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool pool(executor, callers::pool());
        mux.emplace(executor, pool, callers::options());
        co_await all.begin(*mux);
        begun = true;
        asio::steady_timer never(executor, 1h);
        co_await never.async_wait(asio::deferred);
    };
    asio::co_spawn(*io, owner(), asio::detached);
    watchdog dog(patience);
    while (!begun) io->run_one();
    io.reset();
    BOOST_TEST(all.coroutines.use_count() == 1);
    mux.reset();
}

BOOST_AUTO_TEST_CASE(callers_of_another_context_are_told_of_its_end)
{
    std::optional<asio::io_context> io(std::in_place);
    asio::io_context of_callers;
    callers all(of_callers.get_executor());
    std::optional<pgcoro::multiplexer> mux;
    std::promise<void> ready;
    auto owner = [&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool pool(executor, callers::pool());
        mux.emplace(executor, pool, callers::options());
        ready.set_value();
        asio::steady_timer timer(executor, 1h);
        co_await timer.async_wait(asio::deferred);
    };
    asio::co_spawn(*io, owner(), asio::detached);
    std::thread servant([&] { io->run(); });
    ready.get_future().wait();
    run_on(of_callers, [&] { return all.begin(*mux); });
    io->stop();
    servant.join();
    io.reset();
    run_on(of_callers,
           [&] { return until([&] { return all.queued.done && all.sent.done && all.exclusive.done; }); });
    BOOST_TEST(is_error<pgcoro::pool_closed>(all.queued.error));
    BOOST_TEST(is_error<pgcoro::commit_unknown>(all.sent.error));
    BOOST_TEST((is_error<pgcoro::commit_unknown>(all.exclusive.error) ||
                is_error<pgcoro::pool_closed>(all.exclusive.error))); // it may not have had a connection yet
    run_on(of_callers, [&]() -> asio::awaitable<void> {
        co_await failure_of<pgcoro::pool_closed>(mux->read().execute("select 1"));
    });
    mux.reset();
}

BOOST_AUTO_TEST_SUITE_END()
