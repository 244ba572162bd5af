// Texts and names that end before the operation does, and null pointers. Most of it shows with AddressSanitizer.
#include "integration/connection/support.hpp"

#include <pgcoro/cache/query_cache.hpp>
#include <pgcoro/cluster/cluster.hpp>
#include <pgcoro/multiplexer/multiplexer.hpp>
#include <pgcoro/observe/advice.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/transaction/transactional.hpp>

#include <boost/describe/class.hpp>

#include <algorithm>
#include <tuple>
#include <type_traits>
#include <vector>

using pgcoro::connection;

namespace
{

// Longer than what a std::string has room for in itself.
std::string text(const std::string& what) { return "select " + what + " /* a text that is built on the fly */"; }

pgcoro::pool_options small_pool()
{
    pgcoro::pool_options o;
    o.connection = shared_options();
    o.size = 2;
    return o;
}

// Awaits the operation that `make()` returns, once every temporary that it was made from is gone.
template <class Make>
std::invoke_result_t<Make&> without_temporaries(Make make)
{
    auto operation = make();
    std::vector<std::string> others; // reuse the memory of the temporaries
    for (int i = 0; i < 100; ++i) others.push_back(std::string(60, 'x'));
    auto got = co_await std::move(operation);
    co_return got;
}

struct nullable
{
    int id;
    const char* name;
};
BOOST_DESCRIBE_STRUCT(nullable, (), (id, name))

// The operations' names, as the observer is told them.
struct name_recorder : pgcoro::observer
{
    void on_query(const pgcoro::query_event& e) noexcept override { seen.emplace_back(e.operation); }
    std::vector<std::string> seen;
};

} // namespace

BOOST_AUTO_TEST_SUITE(lifetimes)

BOOST_AUTO_TEST_CASE(temporary_text_lives_as_long_as_its_operation)
{
    auto o = small_pool();
    run([&]() -> asio::awaitable<void> {
        pgcoro::pool p(co_await asio::this_coro::executor, o);
        auto value = co_await without_temporaries([&] { return p.query_value<int>(text("41 + $1"), 1); });
        BOOST_TEST(value == 42);
        auto rows = co_await without_temporaries([&] { return p.query_as<int>(text("7")); });
        BOOST_TEST(rows.front() == 7);
        auto one = co_await without_temporaries([&] { return p.query_optional<int>(text("7")); });
        BOOST_TEST(*one == 7);
        auto tried = co_await without_temporaries([&] { return p.try_query_as<int>(text("7")); });
        BOOST_TEST(*tried.front() == 7);
        auto count = co_await without_temporaries([&] { return p.execute(text("1")); });
        BOOST_TEST(count == 1u);
        auto got = co_await without_temporaries([&] { return p.query(text("1")); });
        BOOST_TEST(got.size() == 1u);
        auto named = co_await without_temporaries(
            [&] { return p.named(std::string(40, 'n')).query_value<int>(text("42")); });
        BOOST_TEST(named == 42);
        auto by_hand = co_await without_temporaries(
            [&] { return p.run(text("$1::int"), pgcoro::params::of(42)); });
        BOOST_TEST(by_hand.as_value<int>() == 42);
    });
}

BOOST_AUTO_TEST_CASE(operation_on_a_temporary_keeps_what_it_needs)
{
    auto o = small_pool();
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool p(executor, o);
        pgcoro::multiplexer m(executor, p);
        pgcoro::cluster_options of;
        of.pool = o;
        pgcoro::cluster cluster(executor, of);
        auto name = [] { return std::string(40, 'n'); };
        auto traced = co_await without_temporaries(
            [&] { return m.traced(pgcoro::trace_context()).query_value<int>("select 42"); });
        BOOST_TEST(traced == 42);
        auto read = co_await without_temporaries(
            [&] { return m.with_timeout(std::chrono::minutes(1)).read().query_value<int>("select 42"); });
        BOOST_TEST(read == 42);
        auto got = co_await without_temporaries([&] { return cluster.named(name()).query("select 42"); });
        BOOST_TEST(got.as_value<int>() == 42);
        auto run = co_await without_temporaries(
            [&] { return cluster.named(name()).run(text("42"), pgcoro::params()); });
        BOOST_TEST(run.as_value<int>() == 42);
        auto lease = co_await without_temporaries([&] { return cluster.named(name()).acquire(); });
        lease.release();
        auto of_named = co_await without_temporaries([&] { return p.named(name()).query("select 42"); });
        BOOST_TEST(of_named.as_value<int>() == 42);
        auto c = co_await p.acquire();
        auto found = co_await without_temporaries(
            [&] { return pgcoro::explain(*c, pgcoro::explain_options(), text("42 where $1 > 0"), 1 + 1); });
        BOOST_TEST(found.empty());
        c.release();
        co_await cluster.close();
    });
}

BOOST_AUTO_TEST_CASE(temporary_text_lives_with_multiplexer_and_cache)
{
    auto o = small_pool();
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool p(executor, o);
        pgcoro::multiplexer m(executor, p);
        pgcoro::query_cache cache(executor, p);
        auto sent = co_await without_temporaries([&] { return m.query_value<int>(text("42")); });
        BOOST_TEST(sent == 42);
        auto kept = co_await without_temporaries(
            [&] { return cache.with(pgcoro::cache_call()).query_value<int>(text("42")); });
        BOOST_TEST(kept == 42);
        auto shared = co_await without_temporaries([&] { return cache.query(text("42")); });
        BOOST_TEST(shared->size() == 1u);
        co_await cache.close();
    });
}

BOOST_AUTO_TEST_CASE(name_built_on_the_fly_reaches_the_observer)
{
    name_recorder told;
    auto o = small_pool();
    o.connection.observer = &told;
    o.observer = &told;
    run([&]() -> asio::awaitable<void> {
        pgcoro::pool p(co_await asio::this_coro::executor, o);
        auto options = [](int i) {
            pgcoro::transaction_options how;
            how.name = "a transaction that has the number " + std::to_string(i);
            return how;
        };
        auto how = options(1);
        auto body = [](pgcoro::transaction& tx) { return tx.execute("select 1"); };
        co_await transactional(p, body, how);
        auto c = co_await p.acquire();
        c->name_operation("an operation that has the number " + std::to_string(2));
        co_await c->execute("select 2");
        c.release();
        auto named = p.named("a lease that has the number " + std::to_string(3));
        c = co_await named.acquire();
        named = p.named("another name that is long enough to be on the heap");
        co_await c->execute("select 3");
        co_return;
    });
    for (std::string name : {"a transaction that has the number 1", "an operation that has the number 2",
                             "a lease that has the number 3"})
        BOOST_TEST((std::ranges::find(told.seen, name) != told.seen.end()), name);
}

BOOST_AUTO_TEST_CASE(null_char_pointer_is_null_in_every_way_in)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        const char* none = nullptr;
        BOOST_TEST(co_await c.query_value<bool>("select $1::text is null", none));
        auto array = std::vector<const char*>{"a", none};
        BOOST_TEST(co_await c.query_value<int>("select array_position($1::text[], null)", array) == 2);
        auto record = std::tuple<int, const char*>{1, none};
        co_await c.execute("create type pg_temp.pair as (id int, name text)");
        BOOST_TEST(co_await c.query_value<bool>("select ($1::pg_temp.pair).name is null", record));

        co_await c.execute("create temp table t (id int primary key, name text)");
        std::vector<nullable> rows{{1, "one"}, {2, nullptr}};
        co_await c.insert_many("t", rows);
        std::vector<nullable> changed{{1, nullptr}, {2, "two"}};
        co_await c.update_many("t", pgcoro::names("id"), changed);
        std::vector<nullable> more{{3, nullptr}};
        co_await c.copy_in("t", more);
        auto batch = c.pipeline();
        auto added = batch.execute("insert into t values (4, $1)", none);
        co_await batch.run();
        BOOST_TEST(added.get() == 1u);
        auto find = co_await c.prepare<const char*>("select $1::text is null");
        BOOST_TEST(co_await find.query_value<bool>(none));
        auto nulls = co_await c.query_as<int>("select id from t where name is null order by id");
        BOOST_TEST((nulls == std::vector{1, 3, 4}));
    });
}

BOOST_AUTO_TEST_CASE(loop_over_a_temporary_result_keeps_it)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        std::string all;
        for (auto row : co_await c.query("select 'a value that is longer than fifteen ' || i from generate_series(1, 2) i"))
            all += row[0].as<std::string_view>();
        BOOST_TEST(all == "a value that is longer than fifteen 1a value that is longer than fifteen 2");
    });
}

BOOST_AUTO_TEST_SUITE_END()
