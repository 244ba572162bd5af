// Statements prepared by hand: described before they run, and never given up while somebody holds them.
#include "integration/connection/support.hpp"

#include <pgcoro/pool/pool.hpp>

#include <boost/describe/class.hpp>

using pgcoro::connection;
using pgcoro::mapping_error;
using pgcoro::server_error;
namespace oids = pgcoro::oids;

namespace
{

struct numbered
{
    std::int64_t n = 0;
    std::string label;
};
BOOST_DESCRIBE_STRUCT(numbered, (), (n, label))

struct other
{
    std::int64_t n = 0;
    bool flag = false;
};
BOOST_DESCRIBE_STRUCT(other, (), (n, flag))

struct preparations : pgcoro::observer
{
    void on_query(const pgcoro::query_event& e) noexcept override { count += e.prepared_now; }
    int count = 0;
};

constexpr auto sql = "select $1 as n, 'no. ' || $1 || $2 as label";
using statement = pgcoro::prepared_statement<std::int64_t, std::string>;

asio::awaitable<void> check_runs(statement& s)
{
    auto got = co_await s.query_value<numbered>(7, "!");
    BOOST_TEST(got.n == 7);
    BOOST_TEST(got.label == "no. 7!");
}

asio::awaitable<void> run_others(connection& c, int count)
{
    for (int i = 0; i < count; ++i) {
        auto text = "select " + std::to_string(i);
        co_await c.query(text);
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(prepared_statements)

BOOST_AUTO_TEST_CASE(one_is_described_and_runs_in_every_way_with_and_without_a_cache)
{
    auto options = shared_options();
    for (std::size_t cache : {0, 10}) {
        options.statement_cache_size = cache;
        with_connection(options, [](connection& c) -> asio::awaitable<void> {
            auto s = co_await c.prepare<std::int64_t, std::string>(sql);
            BOOST_TEST(s.sql() == sql);
            BOOST_REQUIRE(s.parameters().size() == 2u);
            BOOST_TEST(s.parameters()[0] == oids::int8);
            BOOST_TEST(s.parameters()[1] == oids::text);
            BOOST_REQUIRE(s.columns().size() == 2u);
            BOOST_TEST(s.columns()[0].name == "n");
            BOOST_TEST(s.columns()[0].type == oids::int8);
            BOOST_TEST(s.columns()[1].name == "label");
            BOOST_TEST(s.columns()[1].type == oids::text);
            s.expect<numbered>();
            s.expect<std::tuple<std::int64_t, std::string>>();

            co_await check_runs(s);
            auto all = co_await s.query(1, "");
            BOOST_TEST(all.size() == 1u);
            auto rows = co_await s.query_as<numbered>(2, "");
            BOOST_TEST(rows.at(0).n == 2);
            auto tried = co_await s.try_query_as<numbered>(3, "");
            BOOST_TEST(tried.at(0).value().n == 3);
            auto some = co_await s.query_optional<numbered>(4, "");
            BOOST_TEST(some.value().n == 4);

            co_await c.execute("create temp table t (n int)");
            auto add = co_await c.prepare<std::optional<int>>("insert into t values ($1), ($1)");
            BOOST_TEST(add.columns().empty());
            auto count = co_await add.execute(std::nullopt);
            BOOST_TEST(count == 2u);
            auto nothing = co_await c.prepare("select 1");
            auto one = co_await nothing.query_value<int>();
            BOOST_TEST(one == 1);
        });
    }
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_told_when_it_is_prepared)
{
    auto options = shared_options();
    for (std::size_t cache : {0, 10}) {
        options.statement_cache_size = cache;
        with_connection(options, [](connection& c) -> asio::awaitable<void> {
            auto syntax = co_await failure_of<server_error>(c.prepare("selec 1"));
            BOOST_TEST(syntax.sqlstate() == pgcoro::sqlstate("42601"));
            BOOST_TEST(syntax.position() == 1);
            auto column = co_await failure_of<server_error>(c.prepare<int>("select $1 + nope"));
            BOOST_TEST(column.sqlstate() == pgcoro::sqlstate("42703"));
            auto type = co_await failure_of<server_error>(c.prepare<bool>("select $1 + 1"));
            BOOST_TEST(type.sqlstate() == pgcoro::sqlstate("42883"));
            auto few = co_await failure_of<mapping_error>(c.prepare<int>("select $1, $2::date"));
            BOOST_TEST(contains(few.what(), "$1 integer, $2 date"));
            BOOST_TEST(contains(few.what(), "the types of 1"));
            auto many = co_await failure_of<std::invalid_argument>(c.prepare<int, int>("select $1"));
            BOOST_TEST(contains(many.what(), "2 parameters"));

            auto s = co_await c.prepare<std::int64_t, std::string>(sql);
            BOOST_CHECK_EXCEPTION(s.expect<other>(), mapping_error, [](const mapping_error& e) {
                return contains(e.what(), "flag") && contains(e.what(), "label");
            });
            BOOST_CHECK_EXCEPTION((s.expect<std::tuple<bool, std::string>>()), mapping_error,
                                  [](const mapping_error& e) { return contains(e.what(), "bigint"); });
            co_await check_runs(s);
        });
    }
}

BOOST_AUTO_TEST_CASE(a_thousand_others_do_not_push_it_out)
{
    preparations seen;
    auto options = shared_options();
    options.statement_cache_size = 5;
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        auto s = co_await c.prepare<std::int64_t, std::string>(sql);
        auto same = s;
        co_await check_runs(s);
        BOOST_TEST(seen.count == 1);
        co_await run_others(c, 1'000);
        BOOST_TEST(seen.count == 1'001);
        co_await check_runs(s);
        co_await check_runs(same);
        BOOST_TEST(seen.count == 1'001);
        auto automatic = co_await c.query_as<numbered>(sql, std::int64_t(7), "");
        BOOST_TEST(automatic.size() == 1u);
        BOOST_TEST(seen.count == 1'001);
    });
}

BOOST_AUTO_TEST_CASE(more_than_the_cache_holds_stay_prepared_until_they_are_let_go)
{
    preparations seen;
    auto options = shared_options();
    options.statement_cache_size = 3;
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        std::vector<pgcoro::prepared_statement<int>> held;
        for (int i = 0; i < 10; ++i) {
            auto text = "select $1 + " + std::to_string(i);
            held.push_back(co_await c.prepare<int>(text));
        }
        co_await run_others(c, 20);
        auto before = seen.count;
        for (int i = 0; i < 10; ++i) {
            auto n = co_await held[static_cast<std::size_t>(i)].query_value<int>(1);
            BOOST_TEST(n == 1 + i);
        }
        BOOST_TEST(seen.count == before);
        held.clear();
        co_await run_others(c, 20);
        auto left = co_await c.query_value<int>("select count(*)::int from pg_prepared_statements");
        BOOST_TEST(left <= 5); // this one, too, and what goes behind it
    });
}

BOOST_AUTO_TEST_CASE(it_survives_ddl_and_discard_all)
{
    preparations seen;
    auto options = shared_options();
    options.statement_cache_size = 5;
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        co_await c.execute("create temp table t as select 1 as a");
        auto all = co_await c.prepare("select * from t");
        co_await c.execute("alter table t add b int default 2");
        auto r = co_await all.query_value<std::tuple<int, int>>();
        BOOST_TEST((r == std::tuple(1, 2)));
        BOOST_TEST(all.columns().size() == 1u); // as it was prepared

        auto s = co_await c.prepare<std::int64_t, std::string>(sql);
        for (auto* dropping : {"discard all", "do $$ begin execute 'deallocate all'; end $$"}) {
            co_await c.execute(dropping);
            co_await check_runs(s);
            co_await run_others(c, 20); // and it is pinned as before
            auto before = seen.count;
            co_await check_runs(s);
            BOOST_TEST(seen.count == before);
        }
    });
}

BOOST_AUTO_TEST_CASE(dropped_in_a_transaction_it_is_an_error_once)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto s = co_await c.prepare<std::int64_t, std::string>(sql);
        co_await c.execute("begin");
        co_await c.execute("do $$ begin execute 'deallocate all'; end $$");
        auto e = co_await failure_of<server_error>(s.query(1, ""));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("26000"));
        co_await c.execute("rollback");
        co_await check_runs(s);
    });
}

BOOST_AUTO_TEST_CASE(an_error_while_it_runs_leaves_it_prepared)
{
    preparations seen;
    auto options = shared_options();
    options.observer = &seen;
    with_connection(options, [&](connection& c) -> asio::awaitable<void> {
        auto s = co_await c.prepare<int>("select 1 / $1");
        auto e = co_await failure_of<server_error>(s.query(0));
        BOOST_TEST(e.sqlstate() == pgcoro::sqlstate("22012"));
        auto one = co_await s.query_value<int>(1);
        BOOST_TEST(one == 1);
        BOOST_TEST(seen.count == 1);
    });
}

BOOST_AUTO_TEST_CASE(it_follows_its_connection_and_says_so_when_that_is_gone)
{
    with_connection([](connection& c) -> asio::awaitable<void> {
        auto s = co_await c.prepare<std::int64_t, std::string>(sql);
        {
            auto moved = std::move(c);
            co_await check_runs(s);
        }
        auto e = co_await failure_of<std::logic_error>(s.query(1, ""));
        BOOST_TEST(contains(e.what(), "closed"));
        BOOST_TEST(s.columns().size() == 2u);
        BOOST_CHECK_THROW((void)c.prepare("select 1"), std::logic_error);
    });
}

BOOST_AUTO_TEST_CASE(it_is_over_when_its_lease_is_given_back)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pgcoro::pool_options options;
        options.connection = shared_options();
        options.size = 1;
        options.max_overflow = 0;
        pgcoro::pool pool(executor, std::move(options));
        auto lease = co_await pool.acquire();
        auto s = co_await lease->prepare<std::int64_t, std::string>(sql);
        co_await check_runs(s);
        lease.release();
        auto e = co_await failure_of<std::logic_error>(s.query(1, ""));
        BOOST_TEST(contains(e.what(), "lease"));
        lease = co_await pool.acquire();
        co_await failure_of<std::logic_error>(s.query(1, ""));
        auto again = co_await lease->prepare<std::int64_t, std::string>(sql);
        co_await check_runs(again);
        lease.release();
        co_await pool.close();
    });
}

BOOST_AUTO_TEST_SUITE_END()
