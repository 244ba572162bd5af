// The cache and session settings: a result belongs to one context, and is never found in another.
#include "connection/session.hpp"
#include "integration/cache/support.hpp"

using namespace pgcoro;

namespace
{

transaction_options read_committed() { return {.isolation = isolation::read_committed}; }

constexpr const char* secret = "select text from secret";
constexpr const char* noon = "select '2024-01-01 12:00:00+00'::timestamptz::text";

// Two tenants, each with a schema; and a table that only the superuser may read.
struct tenants
{
    scratch_schema schema{"create schema cached_a; create schema cached_b; "
                          "create table cached_a.secret as select 'of a' as text; "
                          "create table cached_b.secret as select 'of b' as text; "
                          "create table cached.salary as select 1000 as amount; create table cached.written (n int); "
                          "drop role if exists cached_clerk; create role cached_clerk; "
                          "grant usage on schema cached, cached_a, cached_b to cached_clerk"};
    cached c;

    ~tenants()
    {
        shared_server().psql("drop schema cached_a cascade; drop schema cached_b cascade; drop owned by cached_clerk; "
                             "drop role cached_clerk");
    }

    asio::awaitable<cached_result> in_transaction(std::string name, std::string value, const char* sql)
    {
        // The first statement of a connection's first transaction asks for the role's rights, and so leaves open what was written.
        auto first = [](transaction& tx) -> asio::awaitable<void> { co_await tx.query("select 1"); };
        co_await transactional(c.pool(), first, read_committed());
        std::optional<cached_result> got;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.set_local(name, value);
            auto read = co_await c.cache().in(tx).query(sql);
            got.emplace(std::move(read));
        };
        co_await transactional(c.pool(), body, read_committed());
        co_return std::move(*got);
    }
};

std::string text_of(const cached_result& got) { return got->as_value<std::string>(); }

// Reads only the first rows of a stream.
asio::awaitable<void> leave_early(transaction& tx, int rows, int taken)
{
    auto s = tx.stream<int>("select generate_series(1, $1)", rows);
    for (int i = 0; i < taken; ++i) co_await s.next();
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(cache_context, tenants)

BOOST_AUTO_TEST_CASE(a_tenant_never_reads_another_tenants_rows)
{
    c.run([&]() -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i)
            for (std::string tenant : {"a", "b"}) {
                auto got = co_await in_transaction("search_path", "cached_" + tenant, secret);
                BOOST_TEST(text_of(got) == "of " + tenant);
                BOOST_TEST(got.origin() == (i == 0 ? cache_origin::asked : cache_origin::hit));
            }
    });
}

BOOST_AUTO_TEST_CASE(a_time_zone_is_part_of_the_key_in_both_directions)
{
    c.run([&]() -> asio::awaitable<void> {
        auto plain = co_await c.cache().query(noon);
        auto tokyo = co_await in_transaction("TimeZone", "Asia/Tokyo", noon);
        BOOST_TEST(text_of(tokyo) == "2024-01-01 21:00:00+09");
        BOOST_TEST(tokyo.origin() == cache_origin::asked);
        auto again = co_await c.cache().query(noon);
        BOOST_TEST(again.origin() == cache_origin::hit);
        BOOST_TEST(text_of(again) == text_of(plain));
    });
}

BOOST_AUTO_TEST_CASE(a_role_reads_only_what_it_may)
{
    c.run([&]() -> asio::awaitable<void> {
        constexpr auto* sql = "select amount from cached.salary";
        co_await c.cache().query(sql);
        auto refused = co_await failure_of<server_error>(in_transaction("role", "cached_clerk", sql));
        BOOST_TEST(refused.sqlstate() == sqlstate("42501"));
    });
}

BOOST_AUTO_TEST_CASE(an_undone_savepoint_takes_its_settings_with_it)
{
    c.run([&]() -> asio::awaitable<void> {
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.set_local("search_path", "cached_a");
            auto inner = [&](transaction& t) -> asio::awaitable<void> {
                co_await t.set_local("search_path", "cached_b");
                auto got = co_await c.cache().in(t).query(secret);
                BOOST_TEST(text_of(got) == "of b");
                throw std::runtime_error("undo");
            };
            co_await failure_of<std::runtime_error>(tx.savepoint(inner));
            for (int i = 0; i < 3; ++i) { // ROLLBACK TO goes with the first of them
                auto got = co_await c.cache().in(tx).query(secret);
                BOOST_TEST(text_of(got) == "of a");
            }
        };
        co_await transactional(c.pool(), body, read_committed());
    });
}

BOOST_AUTO_TEST_CASE(what_a_session_is_left_with_is_not_shared)
{
    c.run([&]() -> asio::awaitable<void> {
        auto first = co_await c.cache().query(noon);
        {
            auto held = co_await c.pool().acquire();
            co_await held->execute("set timezone to 'Asia/Tokyo'");
        }
        c.cache().invalidate_all();
        auto again = co_await c.cache().query(noon);
        BOOST_TEST(text_of(again) == text_of(first)); // the pool resets it
    });
}

BOOST_AUTO_TEST_CASE(a_transaction_with_something_unknown_shares_nothing)
{
    c.run([&]() -> asio::awaitable<void> {
        auto before = co_await c.cache().query(noon);
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("do $$ begin perform set_config('TimeZone', 'Asia/Tokyo', true); end $$");
            auto got = co_await c.cache().in(tx).query(noon);
            BOOST_TEST(got.origin() == cache_origin::bypassed);
            BOOST_TEST(text_of(got) != text_of(before));
        };
        co_await transactional(c.pool(), body, read_committed());
        auto after = co_await c.cache().query(noon);
        BOOST_TEST(text_of(after) == text_of(before));
    });
}

BOOST_AUTO_TEST_CASE(a_function_that_sets_a_reported_setting_is_noticed)
{
    shared_server().psql("create function cached.to_tokyo() returns void language sql as "
                         "$$ select set_config('TimeZone', 'Asia/Tokyo', true) $$");
    c.run([&]() -> asio::awaitable<void> {
        auto before = co_await c.cache().query(noon);
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.query("select cached.to_tokyo()");
            auto got = co_await c.cache().in(tx).query(noon);
            BOOST_TEST(text_of(got) == "2024-01-01 21:00:00+09");
        };
        co_await transactional(c.pool(), body, read_committed());
        auto after = co_await c.cache().query(noon);
        BOOST_TEST(text_of(after) == text_of(before));
    });
}

BOOST_AUTO_TEST_CASE(uncommitted_rows_of_a_stream_are_never_kept)
{
    c.run([&]() -> asio::awaitable<void> {
        constexpr auto* count = "select count(*) from cached.written";
        for (bool reads_first : {false, true}) {
            auto body = [&](transaction& tx) -> asio::awaitable<void> {
                if (reads_first) co_await c.cache().in(tx).query(count);
                auto s = tx.stream<int>("insert into cached.written values (1) returning n");
                while (co_await s.next()) {
                }
                auto own = co_await c.cache().in(tx).query(count);
                BOOST_TEST(own->as_value<std::int64_t>() == 1);
                throw std::runtime_error("undo");
            };
            co_await failure_of<std::runtime_error>(transactional(c.pool(), body, read_committed()));
            auto others = co_await c.cache().query(count);
            BOOST_TEST(others->as_value<std::int64_t>() == 0);
        }
    });
}

BOOST_AUTO_TEST_CASE(a_query_that_wrote_after_all_is_not_kept)
{
    shared_server().psql("create function cached.calm() returns bigint language sql immutable as 'select 1::bigint'");
    c.run([&]() -> asio::awaitable<void> {
        constexpr auto* sql = "select cached.calm()";
        auto learn = [&](transaction& tx) -> asio::awaitable<void> { co_await c.cache().in(tx).query(sql); };
        co_await transactional(c.pool(), learn, read_committed());
        c.cache().invalidate_all();
        // From here on the cache's facts about the function are wrong.
        shared_server().psql("create or replace function cached.calm() returns bigint language sql volatile as "
                             "'insert into cached.written values (1); select count(*) from cached.written'");
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            auto own = co_await c.cache().in(tx).query(sql);
            BOOST_TEST(own->as_value<std::int64_t>() == 1);
            throw std::runtime_error("undo");
        };
        co_await failure_of<std::runtime_error>(transactional(c.pool(), body, read_committed()));
        BOOST_TEST(c.cache().stats().entries == 0u);
    });
}

BOOST_AUTO_TEST_CASE(a_transaction_that_changed_its_isolation_shares_nothing)
{
    c.run([&]() -> asio::awaitable<void> {
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("set transaction isolation level repeatable read");
            auto got = co_await c.cache().in(tx).query(noon);
            BOOST_TEST(got.origin() == cache_origin::bypassed);
        };
        co_await transactional(c.pool(), body, read_committed());
    });
}

BOOST_AUTO_TEST_CASE(a_key_is_forgotten_in_all_contexts)
{
    c.run([&]() -> asio::awaitable<void> {
        co_await c.cache().query(noon);
        co_await in_transaction("TimeZone", "Asia/Tokyo", noon);
        BOOST_TEST(c.cache().stats().entries == 2u);
        c.cache().invalidate(noon);
        BOOST_TEST(c.cache().stats().entries == 0u);
    });
}

BOOST_AUTO_TEST_CASE(settings_without_influence_on_results_are_no_part_of_the_key)
{
    c.run([&]() -> asio::awaitable<void> {
        co_await c.cache().query(noon);
        auto hit = co_await in_transaction("statement_timeout", "12345", noon);
        BOOST_TEST(hit.origin() == cache_origin::hit);
    });
}

// Defaults that differ between sessions, however they came to be.
BOOST_AUTO_TEST_CASE(sessions_with_other_defaults_have_other_keys)
{
    auto key_of = [](connection_options options) {
        std::optional<std::string> key;
        with_connection(options, [&](connection& on) -> asio::awaitable<void> {
            co_await on.session().learn_context();
            key = on.session().context_key();
        });
        BOOST_REQUIRE(key.has_value());
        return *key;
    };
    auto plain = key_of(shared_options());
    BOOST_TEST(key_of(shared_options()) == plain);
    for (auto* setting : {"default_text_search_config=simple", "standard_conforming_strings=off", "xmlbinary=hex", "app.tenant=7",
                          "search_path=cached_a", "pg_trgm.similarity_threshold=0.7", "role=cached_clerk"}) {
        auto options = shared_options();
        options.parameters["options"] = std::string("-c ") + setting;
        BOOST_TEST(key_of(options) != plain, setting);
    }
    auto harmless = shared_options();
    harmless.parameters["options"] = "-c statement_timeout=12345 -c work_mem=1MB -c application_name=x";
    BOOST_TEST(key_of(harmless) == plain);
    shared_server().psql("alter role cached_clerk login");
    auto clerk = shared_options();
    clerk.parameters["user"] = "cached_clerk";
    auto before = key_of(clerk);
    BOOST_TEST(before != plain);
    for (auto* sql : {"alter role cached_clerk set default_text_search_config = 'simple'",
                      "alter role cached_clerk set app.tenant = '8'"}) {
        shared_server().psql(sql);
        auto after = key_of(clerk);
        BOOST_TEST(after != before, sql);
        before = after;
    }
}

BOOST_AUTO_TEST_CASE(a_large_stream_left_early_names_itself_in_the_next_error)
{
    c.run([&]() -> asio::awaitable<void> {
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await leave_early(tx, 10'000'000, 1);
            co_await tx.query("select 1");
        };
        auto e = co_await failure_of<server_error>(transactional(c.pool(), body));
        BOOST_TEST(e.sqlstate() == sqlstate("25P02"));
        BOOST_TEST(contains(e.what(), "select generate_series(1, $1)"), e.what());
        auto commits = [&](transaction& tx) -> asio::awaitable<void> { co_await leave_early(tx, 10'000'000, 1); };
        auto at_commit = co_await failure_of<server_error>(transactional(c.pool(), commits));
        BOOST_TEST(contains(at_commit.what(), "select generate_series(1, $1)"), at_commit.what());
    });
}

BOOST_AUTO_TEST_CASE(a_copy_left_early_names_itself_in_the_next_error)
{
    c.run([&]() -> asio::awaitable<void> {
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            {
                auto rows = tx.copy_out<int>("select generate_series(1, 10000000)");
                co_await rows.next();
            }
            co_await tx.query("select 1");
        };
        auto e = co_await failure_of<server_error>(transactional(c.pool(), body));
        BOOST_TEST(contains(e.what(), "generate_series(1, 10000000)"), e.what());
    });
}

BOOST_AUTO_TEST_CASE(a_stream_left_early_is_undone_by_a_savepoint)
{
    c.run([&]() -> asio::awaitable<void> {
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            auto inner = [](transaction& t) -> asio::awaitable<void> {
                co_await leave_early(t, 10'000'000, 1);
                throw std::runtime_error("enough");
            };
            co_await failure_of<std::runtime_error>(tx.savepoint(inner));
            auto one = co_await tx.query_value<int>("select 1");
            BOOST_TEST(one == 1);
            // Another error is not explained by the stream.
            auto other = [](transaction& t) -> asio::awaitable<void> { co_await t.query("select 1/0"); };
            auto e = co_await failure_of<server_error>(tx.savepoint(other));
            BOOST_TEST(!contains(e.what(), "generate_series"));
        };
        co_await transactional(c.pool(), body);
    });
}

BOOST_AUTO_TEST_SUITE_END()
