// Random settings, transactions, savepoints, roles and DDL, through a pool and its cache, next to the same statements on one
// connection without a cache, in a second database: the results must be equal.
#include "from_environment.hpp"
#include "integration/cache/support.hpp"

#include <array>
#include <random>
#include <string>
#include <vector>

using namespace pgcoro;

namespace
{

constexpr std::array databases{"context_cached", "context_plain"};

// The same tables twice, so that neither waits for the other's locks, nor sees its rows.
struct twins
{
    twins()
    {
        drop();
        for (auto* role : {"context_reader", "context_clerk"}) shared_server().psql(std::string("create role ") + role);
        for (auto* name : databases) {
            shared_server().psql(std::string("create database ") + name);
            shared_server().psql(
                "create schema a; create schema b; create table a.thing as select 'of a'::text as text; "
                "create table b.thing as select 'of b'::text as text; create table public.counted (n int); "
                "create table public.salary as select 1000 as amount; grant usage on schema a, b to public; "
                "grant select on a.thing, b.thing, public.counted to public; grant select on public.salary to context_clerk; "
                "grant insert on public.counted to public; "
                "create procedure public.shift() language sql as $$ select set_config('TimeZone', 'Asia/Tokyo', false) $$; "
                "create table public.owned (who text, n int); insert into public.owned values ('7', 1), ('8', 2); "
                "create table public.note as select t as tenant, 'note of ' || t as body from generate_series(7, 9) t; "
                "create table public.team (tenant int, who name); insert into public.team values (7, 'context_clerk'), "
                "(8, 'context_reader'); create table public.task as select t as tenant, 'task of ' || t as body "
                "from generate_series(7, 9) t; alter table public.note enable row level security; "
                "alter table public.task enable row level security; "
                "create policy own on public.note using (tenant = nullif(current_setting('app.tenant', true), '')::int); "
                "create policy clerk on public.note to context_clerk using (tenant = 9); "
                "create policy team on public.task using (tenant in (select t.tenant from public.team t "
                "where t.who = current_user)); "
                "grant select on public.note, public.task, public.team to public; "
                "create table public.sample as select 1.0::float8 / 3 as n, interval '1 day 2 hours 3 minutes' as i, "
                "'ABC'::bytea as b; grant select on public.owned, public.sample to public",
                name);
        }
    }
    ~twins() { drop(); }

    static void drop()
    {
        for (auto* name : databases) shared_server().psql(std::string("drop database if exists ") + name);
        for (auto* role : {"context_reader", "context_clerk"})
            shared_server().psql(std::string("drop role if exists ") + role);
    }
};

// A result in a form that can be compared: columns and bytes.
std::string form_of(const result& r)
{
    std::string text;
    auto* raw = r.get();
    for (int c = 0; c < PQnfields(raw); ++c) text.append(PQfname(raw, c)).append("|");
    for (int i = 0; i < PQntuples(raw); ++i) {
        text += "\n";
        for (int c = 0; c < PQnfields(raw); ++c)
            text.append(PQgetvalue(raw, i, c), static_cast<std::size_t>(PQgetlength(raw, i, c))).append("|");
    }
    return text;
}

struct enough
{}; // thrown to roll back

class sequence
{
public:
    sequence(pool& p, query_cache& cache, connection& plain, std::uint64_t seed)
        : pool_(p)
        , cache_(cache)
        , plain_(plain)
        , random_(seed)
    {}

    asio::awaitable<void> run()
    {
        int parts = 1 + pick(3);
        for (int i = 0; i < parts; ++i) {
            if (pick(4) == 0)
                co_await lease_part();
            else
                co_await transaction_part();
            // The pool has reset its connection.
            co_await plain_.execute("discard all");
            for (int n = pick(3); n > 0; --n) co_await read_outside();
            for (int n = pick(4); n > 0; --n) co_await read_with_settings();
        }
    }

    std::string steps; // for the message of a failure
    int hits = 0;

private:
    int pick(int n) { return std::uniform_int_distribution<>(0, n - 1)(random_); }
    template <std::size_t N>
    const char* one_of(const std::array<const char*, N>& all)
    {
        return all[static_cast<std::size_t>(pick(N))];
    }
    void note(std::string_view what) { steps.append("    ").append(what).append("\n"); }

    const char* query()
    {
        // The output functions of interval, bytea and float8 are immutable to the server, whatever their settings: of constants
        // it would keep the first text in a prepared statement.
        static constexpr std::array all{
            "select text from thing",
            "select extra from a.thing",
            "select '2024-01-01 12:00:00+00'::timestamptz::text",
            "select date '2024-02-03'::text",
            "select i::text from public.sample",
            "select to_tsvector('the running foxes')::text",
            "select xmlelement(name a, '\\x4142'::bytea)::text",
            "select b::text from public.sample",
            "select n::text from public.sample",
            "select count(*) from public.counted",
            "select amount from public.salary",
            "select count(*) from public.owned where who = current_setting('app.tenant', true)",
            "select current_user::text",
            "select current_schema()::text",
            "select body from public.note",
            "select body from public.task",
            "select count(*) from public.note where tenant = nullif(current_setting('app.tenant', true), '')::int",
        };
        return one_of(all);
    }

    std::pair<std::string, std::string> setting()
    {
        static const std::vector<std::pair<std::string, std::vector<std::string>>> all{
            {"search_path", {"a", "b", "public"}},
            {"timezone", {"Asia/Tokyo", "America/New_York"}},
            {"datestyle", {"German", "SQL"}},
            {"intervalstyle", {"iso_8601", "sql_standard"}},
            {"default_text_search_config", {"simple", "pg_catalog.english"}},
            {"xmlbinary", {"hex", "base64"}},
            {"bytea_output", {"hex", "escape"}},
            {"extra_float_digits", {"-10", "1"}},
            {"app.tenant", {"7", "8"}},
            {"statement_timeout", {"100000", "200000"}},
        };
        auto& s = all[static_cast<std::size_t>(pick(static_cast<int>(all.size())))];
        return {s.first, s.second[static_cast<std::size_t>(pick(static_cast<int>(s.second.size())))]};
    }

    // A statement that changes what the session is set to.
    std::string change()
    {
        auto [name, value] = setting();
        auto quoted = "'" + value + "'";
        switch (pick(14)) {
        case 0:
        case 1:
            return "set " + name + " to " + quoted;
        case 2:
        case 3:
            return "set local " + name + " to " + quoted;
        case 4:
            return "reset " + name;
        case 5:
            return "set local " + name + " to default";
        case 6:
            return "select set_config('" + name + "', " + quoted + ", " + (pick(2) ? "true" : "false") + ")";
        case 7:
            return "select set_config('" + name + "', " + quoted + ", " + (pick(2) ? "true" : "false") + ") from thing";
        case 8:
            return "do $$ begin perform set_config('" + name + "', " + quoted + ", " + (pick(2) ? "true" : "false") + "); end $$";
        case 9:
            return std::string("set ") + (pick(2) ? "local " : "") + "role " + (pick(2) ? "context_reader" : "context_clerk");
        case 10:
            return "reset role";
        case 11:
            return "reset all";
        case 12:
            return pick(4) ? "set local role none" : "call public.shift()";
        default:
            return pick(3) ? "set local search_path to a, b" : "create temp table thing as select 'temporary'::text as text";
        }
    }

    // Both run it and must agree, also on the error, which is thrown.
    template <class Work>
    asio::awaitable<void> both(std::string what, asio::awaitable<Work> cached, std::string sql)
    {
        note(what);
        std::string got, expected;
        std::exception_ptr failure;
        bool shared = false;
        try {
            auto answer = co_await std::move(cached);
            if constexpr (std::is_same_v<Work, cached_result>) {
                got = form_of(*answer);
                shared = answer.origin() == cache_origin::hit;
                if (shared) ++hits;
            }
        } catch (const server_error& e) {
            got = std::string(e.sqlstate().str());
            failure = std::current_exception();
        }
        try {
            auto answer = co_await plain_.run(sql, params());
            if constexpr (std::is_same_v<Work, cached_result>) expected = form_of(answer);
        } catch (const server_error& e) {
            expected = std::string(e.sqlstate().str());
        }
        if (got != expected)
            throw std::logic_error(what + (shared ? " (a hit)" : "") + " returned\n" + got + "\nin place of\n" + expected);
        if (failure) std::rethrow_exception(failure);
    }

    asio::awaitable<void> read_outside()
    {
        auto* sql = query();
        auto read = cache_.read(sql, params());
        try {
            co_await both("outside: " + std::string(sql), std::move(read), sql);
        } catch (const server_error&) { // the same on both sides
        }
    }

    // A role, a tenant and others, in any order; some that the server refuses.
    local_settings some_settings()
    {
        local_settings some;
        for (int n = pick(4); n > 0; --n) {
            auto [name, value] = setting();
            if (pick(4) == 0) {
                name = "role";
                value = pick(8) ? (pick(2) ? "context_reader" : "context_clerk") : "nobody_knows";
            } else if (pick(3) == 0) {
                name = "app.tenant";
                value = pick(2) ? "7" : "8";
            }
            if (!some.find(name)) some.add({name, value});
        }
        return some;
    }

    asio::awaitable<void> read_with_settings()
    {
        auto* sql = query();
        auto settings = some_settings();
        std::string what = "with";
        std::string set;
        for (auto& e : settings.entries()) {
            what += " " + e.name + "=" + e.value;
            set += "select set_config('" + e.name + "', '" + e.value + "', true); ";
        }
        auto mine = cache_.with(settings);
        co_await plain_.execute("begin");
        bool refused = false;
        try {
            if (!set.empty()) co_await plain_.execute_script(set);
        } catch (const server_error&) {
            refused = true;
        }
        try {
            auto read = mine.read(sql, params());
            // A failed transaction refuses the statement by another error.
            if (refused)
                co_await refusal(what, std::move(read));
            else
                co_await both(what + ": " + sql, std::move(read), sql);
        } catch (const server_error&) { // the same on both sides
        }
        co_await plain_.execute("rollback");
    }

    asio::awaitable<void> refusal(std::string what, asio::awaitable<cached_result> cached)
    {
        note(what + ", refused");
        co_await std::move(cached);
        throw std::logic_error(what + " was not refused");
    }

    // On a connection of the pool, which resets it then.
    asio::awaitable<void> lease_part()
    {
        note("lease");
        {
            auto held = co_await pool_.acquire();
            for (int n = 1 + pick(4); n > 0; --n) {
                auto sql = change();
                auto run = held->run(sql, params());
                try {
                    co_await both(sql, std::move(run), sql);
                } catch (const server_error&) {
                }
            }
        }
        note("released");
    }

    asio::awaitable<void> transaction_part()
    {
        note("begin");
        co_await plain_.execute("begin isolation level read committed");
        bool commits = false;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            for (int n = pick(3); n > 0; --n) co_await set_something(tx);
            co_await steps_in(tx, 0);
            if (pick(3) == 0) throw enough();
            commits = true;
        };
        try {
            transaction_options options{.isolation = isolation::read_committed, .timeout = std::chrono::seconds(pick(2) ? 60 : 0)};
            co_await transactional(pool_, body, options);
        } catch (const enough&) {
        } catch (const server_error&) {
            commits = false;
        }
        note(commits ? "commit" : "rollback");
        co_await plain_.execute(commits ? "commit" : "rollback");
    }

    asio::awaitable<void> steps_in(transaction& tx, int depth)
    {
        for (int n = 1 + pick(6); n > 0; --n) co_await step(tx, depth);
    }

    asio::awaitable<void> step(transaction& tx, int depth)
    {
        switch (pick(12)) {
        case 0:
        case 1: {
            auto sql = change();
            auto run = tx.run(sql, params());
            co_await both(sql, std::move(run), sql);
            break;
        }
        case 2:
            co_await set_something(tx);
            break;
        case 3:
            if (depth < 3) co_await savepoint(tx, depth);
            break;
        case 4:
            if (pick(2) == 0) co_await own_savepoint(tx, depth);
            break;
        case 5: {
            constexpr auto* sql = "insert into public.counted values (1)";
            auto how = pick(3);
            auto run = write(tx, sql, how);
            co_await both(std::string(sql) + (how == 2 ? ", streamed" : ""), std::move(run), sql);
            break;
        }
        case 6:
            if (pick(3) == 0) {
                std::string sql = pick(2) ? "alter table a.thing add column if not exists extra int default 5"
                                          : "alter table a.thing drop column if exists extra";
                cache_.invalidate_at_commit(tx, {"a.thing"});
                auto run = tx.run(sql, params());
                co_await both(sql, std::move(run), sql);
            }
            break;
        default: {
            auto* sql = query();
            auto in = cache_.in(tx);
            auto read = in.read(sql, params());
            co_await both(sql, std::move(read), sql);
        }
        }
    }

    asio::awaitable<void> set_something(transaction& tx)
    {
        auto [name, value] = setting();
        auto sql = "select set_config('" + name + "', '" + value + "', true)";
        auto run = set_local(tx, name, value);
        co_await both("set_local " + name + " = " + value, std::move(run), sql);
    }

    static asio::awaitable<result> set_local(transaction& tx, std::string name, std::string value)
    {
        co_await tx.set_local(name, value);
        co_return result();
    }

    asio::awaitable<result> write(transaction& tx, const char* sql, int how)
    {
        cache_.invalidate_at_commit(tx, {"public.counted"});
        if (how == 0) co_await cache_.in(tx).execute(sql);
        if (how == 1) co_await tx.execute(sql);
        if (how == 2) {
            auto rows = tx.stream<int>(std::string(sql) + " returning n");
            while (co_await rows.next()) {
            }
        }
        co_return result();
    }

    asio::awaitable<void> savepoint(transaction& tx, int depth)
    {
        auto name = "s" + std::to_string(depth);
        note("savepoint " + name);
        co_await plain_.execute("savepoint " + name);
        bool kept = false;
        auto inner = [&](transaction& t) -> asio::awaitable<void> {
            co_await steps_in(t, depth + 1);
            if (pick(3) == 0) co_await command(t, "select 1/0");
            if (pick(3) == 0) throw enough();
        };
        try {
            co_await tx.savepoint(inner);
            kept = true;
        } catch (const enough&) {
        } catch (const server_error&) {
        }
        note(kept ? "release" : "back to it");
        if (!kept) co_await plain_.execute("rollback to savepoint " + name);
        co_await plain_.execute("release savepoint " + name);
    }

    // A savepoint by plain statements.
    asio::awaitable<void> own_savepoint(transaction& tx, int depth)
    {
        co_await command(tx, "savepoint mine");
        co_await steps_in(tx, depth + 3);
        co_await command(tx, pick(2) ? "rollback to savepoint mine" : "release savepoint mine");
    }
    asio::awaitable<void> command(transaction& tx, std::string sql)
    {
        auto run = tx.run(sql, params());
        co_await both(sql, std::move(run), sql);
    }

    pool& pool_;
    query_cache& cache_;
    connection& plain_;
    std::mt19937_64 random_;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(cache_context_property, twins)

BOOST_AUTO_TEST_CASE(the_cache_returns_what_the_server_would)
{
    // 300 sequences take a few seconds. PGCORO_CONTEXT_SEQUENCES=10000 for longer runs, PGCORO_CONTEXT_SEED to repeat one.
    auto sequences = test::from_environment("PGCORO_CONTEXT_SEQUENCES", test::repeated(300));
    auto seed = test::from_environment("PGCORO_CONTEXT_SEED", std::random_device()());
    BOOST_TEST_MESSAGE("PGCORO_CONTEXT_SEED=" << seed);
    asio::io_context io;
    pgcoro::pool_options options;
    options.connection = connection_options::from_uri(shared_server().uri(databases[0]));
    options.size = 2;
    pool p(io.get_executor(), options);
    query_cache cache(io.get_executor(), p);
    auto plain = run_on(io, []() { return connection::connect(connection_options::from_uri(shared_server().uri(databases[1]))); });
    int hits = 0;
    for (unsigned long i = 0; i < sequences; ++i) {
        sequence one(p, cache, plain, seed + i);
        std::string failure;
        try {
            run_on(io, [&]() { return one.run(); });
        } catch (const std::exception& e) {
            failure = e.what();
        }
        hits += one.hits;
        BOOST_REQUIRE_MESSAGE(failure.empty(), "PGCORO_CONTEXT_SEED=" << seed + i << " PGCORO_CONTEXT_SEQUENCES=1: " << failure
                                                                      << "\n  after\n"
                                                                      << one.steps);
    }
    BOOST_TEST_MESSAGE(hits << " hits in " << sequences << " sequences; " << cache.stats().entries << " entries");
    if (sequences > 100) BOOST_TEST(hits > static_cast<int>(sequences) / 4); // or nothing is tested
    run_on(io, [&]() -> asio::awaitable<void> {
        co_await cache.close();
        co_await p.close();
    });
}

BOOST_AUTO_TEST_SUITE_END()
