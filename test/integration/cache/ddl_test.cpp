// DDL ends what a coherent cache keeps, within the bound.
#include "integration/cache/processes.hpp"

#include <boost/test/data/test_case.hpp>

using namespace pgcoro;
using std::chrono::milliseconds;

namespace
{

constexpr const char* house = R"(
    create table account(id int primary key, cents int);
    insert into account values (1, 100), (2, 5000);
    create table branch(id int primary key, cents int);
    insert into branch values (1, 7);
    create table alike(id int primary key, cents int);
    insert into alike values (3, 9000);
    create view rich as select id, cents from account where cents > 1000;
    create table event(id int, day int) partition by range (day);
    create table event_1 partition of event for values from (0) to (10);
    insert into event values (1, 5);
    create function twice(int) returns int language sql immutable as 'select 2 * $1';
    create function half(account) returns int language sql immutable as 'select $1.cents / 2';
)";

// The statement's answer changes by the DDL, though no row of the tables that it read before has changed.
struct ddl_case
{
    const char* name;
    const char* sql;
    const char* ddl;
};
std::ostream& operator<<(std::ostream& out, const ddl_case& c) { return out << c.name; }

const ddl_case cases[] = {
    {"new_partition", "select count(*) from event",
     "create table event_2 partition of event for values from (10) to (20); insert into event_2 values (2, 15)"},
    {"attached_partition", "select count(*) from event",
     "create table event_2(id int, day int); insert into event_2 values (2, 15); "
     "alter table event attach partition event_2 for values from (10) to (20)"},
    {"detached_partition", "select count(*) from event", "alter table event detach partition event_1"},
    {"new_child", "select count(*) from account",
     "create table child() inherits (account); insert into child values (9, 9)"},
    {"inherit", "select count(*) from account", "alter table alike inherit account"},
    {"replaced_view", "select count(*) from rich",
     "create or replace view rich as select id, cents from branch where cents > 0 union all select 1, 1"},
    {"replaced_function", "select twice(id) from branch",
     "create or replace function twice(int) returns int language sql immutable as 'select 3 * $1'"},
    {"replaced_function_of_a_row", "select a.half from account a where id = 1",
     "create or replace function half(account) returns int language sql immutable as 'select 0'"},
    {"table_ahead_in_search_path", "select count(*) from branch", "create table ahead.branch(id int, cents int)"},
    {"renamed_table", "select count(*) from branch",
     "alter table branch rename to old_branch; alter table account rename to branch"},
    {"row_security", "select count(*) from account",
     "alter table account enable row level security; alter table account force row level security"},
    {"changed_type", "select cents::text from branch",
     "alter table branch alter column cents type numeric(10, 2)"},
    {"disabled_trigger", "select cents::text from branch",
     "alter table branch disable trigger pgcoro_cache; update branch set cents = 8"},
    {"dropped_trigger", "select cents::text from branch",
     "drop trigger pgcoro_cache on branch; update branch set cents = 8"},
};

// These change nothing that a kept result depends on.
const char* const harmless[] = {
    "truncate cached.alike",
    "analyze cached.account, pg_class",
    "vacuum full cached.alike",
    "create index on cached.account(cents)",
    "create temporary table mine(id int)",
    "create sequence cached.counter",
    "insert into cached.alike values (4, 4)",
};

struct built
{
    built()
    {
        shared_server().psql("drop schema if exists ahead cascade; create schema ahead");
        run([] { return install(names("cached.account", "cached.branch", "cached.event")); });
    }
    ~built() { shared_server().psql("drop schema ahead cascade"); }
    scratch_schema schema{house};
};

asio::awaitable<void> nap(milliseconds time)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::deferred);
}

constexpr milliseconds bound(400);

// A coherent cache, on the system's clock, that follows the shared server.
template <class Body>
void with_cache(Body body)
{
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool_options o;
        o.connection = shared_options();
        o.connection.settings["search_path"] = "ahead, cached";
        pool p(executor, o);
        query_cache cache(executor, p, coherent());
        coherence_options how;
        how.bound = bound;
        cache.follow(shared_options(), how);
        co_await until_it_follows(cache);
        co_await body(cache, p);
        co_await cache.close();
        co_await p.close();
    });
}

// Reads until there is a hit: one may be missed where the machine is busy.
asio::awaitable<void> read_until_hit(query_cache& cache, std::string sql)
{
    for (;;) {
        auto got = co_await cache.query(sql);
        if (got.origin() == cache_origin::hit) co_return;
        co_await nap(milliseconds(1));
    }
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(cache_ddl, built)

BOOST_DATA_TEST_CASE(hit_is_no_older_than_the_bound, cases, c)
{
    with_cache([&](query_cache& cache, pool& p) -> asio::awaitable<void> {
        co_await read_until_hit(cache, c.sql);
        shared_server().psql(std::string("set search_path = cached; ") + c.ddl);
        co_await nap(bound);
        auto got = co_await cache.query(c.sql);
        BOOST_TEST(got.origin() != cache_origin::hit);
        auto truth = co_await p.query(c.sql);
        BOOST_TEST(got->size() == truth.size());
        for (std::size_t i = 0; i < truth.size(); ++i) BOOST_TEST((*got)[i][0].bytes() == truth[i][0].bytes());
        BOOST_TEST(cache.stats().catalog_changes > 0u);
    });
}

BOOST_DATA_TEST_CASE(what_is_kept_stays_where_nothing_of_it_has_changed, harmless, sql)
{
    with_cache([&](query_cache& cache, pool&) -> asio::awaitable<void> {
        constexpr const char* read = "select count(*), max(twice(cents)) from account";
        co_await read_until_hit(cache, read);
        shared_server().psql(sql);
        co_await nap(2 * bound);
        co_await read_until_hit(cache, read);
        BOOST_TEST(cache.stats().catalog_changes == 0u);
        BOOST_TEST(cache.stats().entries == 1u);
    });
}

BOOST_AUTO_TEST_CASE(new_partition_is_followed_once_it_has_its_trigger)
{
    with_cache([&](query_cache& cache, pool&) -> asio::awaitable<void> {
        constexpr const char* sql = "select count(*) from event";
        co_await read_until_hit(cache, sql);
        shared_server().psql("create table cached.event_2 partition of cached.event for values from (10) to (20)");
        co_await nap(bound);
        auto without = co_await cache.query(sql);
        BOOST_TEST(without.origin() == cache_origin::bypassed);
        co_await install(names("cached.event"));
        co_await read_until_hit(cache, sql);
        for (int i = 1; i <= 3; ++i) {
            shared_server().psql("insert into cached.event_2 values (2, 15)");
            co_await nap(bound);
            auto got = co_await cache.query_value<std::int64_t>(sql);
            BOOST_TEST(got == 1 + i);
            co_await read_until_hit(cache, sql);
        }
    });
}

BOOST_AUTO_TEST_CASE(result_that_changes_with_time_is_no_older_than_the_bound)
{
    with_cache([&](query_cache& cache, pool&) -> asio::awaitable<void> {
        for (auto* sql : {"select now()", "select 'now'::timestamptz"}) {
            co_await read_until_hit(cache, sql);
            co_await nap(bound);
            auto got = co_await cache.query(sql);
            BOOST_TEST(got.origin() == cache_origin::asked, sql);
        }
    });
}

BOOST_AUTO_TEST_SUITE_END()
