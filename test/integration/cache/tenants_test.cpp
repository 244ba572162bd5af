// Statements with settings, and rows under row-level security: a result belongs to its settings.
#include "integration/cache/processes.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/test/data/test_case.hpp>

#include <algorithm>
#include <array>

using namespace pgcoro;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace
{

constexpr const char* my_notes = "select body from cached.note";

// Two tenants: rows of one table under row-level security, and a schema each.
struct two_tenants
{
    scratch_schema schema{R"(
        drop role if exists cached_guest; create role cached_guest;
        drop role if exists cached_app; create role cached_app;
        create table note as select t as tenant, 'note of ' || t as body from generate_series(1, 2) t;
        alter table note enable row level security;
        create policy own on note using (tenant = nullif(current_setting('app.tenant', true), '')::int);
        create policy guests on note to cached_guest using (true);
        create schema cached_1; create table cached_1.home as select 1 as tenant;
        create schema cached_2; create table cached_2.home as select 2 as tenant;
        grant usage on schema cached, cached_1, cached_2 to cached_app, cached_guest;
        grant select on note, cached_1.home, cached_2.home to cached_app)"};

    ~two_tenants()
    {
        shared_server().psql("drop schema cached_1 cascade; drop schema cached_2 cascade; "
                             "drop owned by cached_app, cached_guest; drop role cached_app, cached_guest");
    }
};

local_settings of_tenant(int tenant) { return {{"app.tenant", tenant}, {"role", "cached_app"}}; }
local_settings set_to(std::string_view name, const std::string& value) { return {{name, value}}; }
std::string note_of(int tenant) { return "note of " + std::to_string(tenant); }
std::string text_of(const cached_result& got) { return got->as_value<std::string>(); }

// A cache over a pool, without anything in between.
struct over_pool
{
    static constexpr milliseconds bound{400};

    explicit over_pool(const cache_options& options = {})
        : pool(io.get_executor(), settings())
        , cache(io.get_executor(), pool, options)
    {}
    static pool_options settings()
    {
        pool_options o;
        o.connection = shared_options();
        o.size = 2;
        return o;
    }

    asio::awaitable<void> follow()
    {
        coherence_options how;
        how.bound = bound;
        cache.follow(shared_options(), how);
        co_await until_it_follows(cache);
    }
    asio::awaitable<void> let_the_bound_pass()
    {
        asio::steady_timer timer(co_await asio::this_coro::executor, bound);
        co_await timer.async_wait(asio::deferred);
    }

    template <class Body>
    void run(Body body)
    {
        run_on(io, [&]() -> asio::awaitable<void> {
            co_await body();
            co_await cache.close();
            co_await pool.close();
        });
    }

    asio::io_context io;
    pgcoro::pool pool;
    query_cache cache;
};

struct with_pool : two_tenants, over_pool
{};
struct with_source : two_tenants
{
    cached c;
};

// Only run() is there.
class plain_source final : public cache_source
{
public:
    explicit plain_source(pgcoro::pool& p)
        : pool_(p)
    {}
    asio::awaitable<result> run(std::string_view sql, const params& args) override
    {
        sent.emplace_back(sql);
        return pool_.run(sql, args);
    }
    bool has_sent(std::string_view sql) const { return std::ranges::find(sent, sql) != sent.end(); }

    std::vector<std::string> sent;

private:
    pgcoro::pool& pool_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(cache_tenants)

BOOST_FIXTURE_TEST_CASE(tenant_gets_own_rows_only, with_pool)
{
    run([&]() -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i)
            for (int t : {1, 2}) {
                auto got = co_await cache.with(of_tenant(t)).query(my_notes);
                BOOST_TEST(text_of(got) == note_of(t));
                BOOST_TEST(got.origin() == (i == 0 ? cache_origin::asked : cache_origin::hit));
            }
        auto all = co_await cache.query(my_notes); // as a superuser
        BOOST_TEST(all->size() == 2u);
        BOOST_TEST(cache.stats().entries == 2u); // the superuser has no value for app.tenant
        BOOST_TEST(cache.stats().statements == 2u); // tenants share what the catalog says
    });
}

BOOST_FIXTURE_TEST_CASE(tenant_is_found_by_schema_or_by_role, with_pool)
{
    run([&]() -> asio::awaitable<void> {
        for (int i = 0; i < 2; ++i)
            for (std::string t : {"1", "2"}) {
                auto got = co_await cache.with(set_to("search_path", "cached_" + t)).query("select tenant from home");
                BOOST_TEST(got->as_value<int>() == std::stoi(t));
                BOOST_TEST(got.origin() == (i == 0 ? cache_origin::asked : cache_origin::hit));
            }
        cache.invalidate_tag("cached_1.home");
        auto one = co_await cache.with(set_to("search_path", "cached_1")).query("select tenant from home");
        BOOST_TEST(one.origin() == cache_origin::asked);
        auto two = co_await cache.with(set_to("search_path", "cached_2")).query("select tenant from home");
        BOOST_TEST(two.origin() == cache_origin::hit);
        for (std::string role : {"cached_app", "cached_guest", "cached_app"}) {
            auto user = co_await cache.with(set_to("role", role)).query_value<std::string>("select current_user::text");
            BOOST_TEST(user == role);
        }
    });
}

BOOST_FIXTURE_TEST_CASE(role_without_rights_gets_the_servers_error_each_time, with_pool)
{
    run([&]() -> asio::awaitable<void> {
        co_await cache.with(of_tenant(1)).query(my_notes);
        for (int i = 0; i < 2; ++i) {
            auto guest = cache.with({{"app.tenant", 1}, {"role", "cached_guest"}});
            auto refused = co_await failure_of<server_error>(guest.query(my_notes));
            BOOST_TEST(refused.sqlstate() == sqlstate("42501"));
        }
        BOOST_TEST(cache.stats().entries == 1u);
    });
}

BOOST_FIXTURE_TEST_CASE(refused_setting_is_the_callers_error_and_keeps_nothing, with_pool)
{
    run([&]() -> asio::awaitable<void> {
        for (std::string name : {"role", "TimeZone"})
            for (int i = 0; i < 2; ++i)
                co_await failure_of<server_error>(cache.with(set_to(name, "nowhere")).query("select 1"));
        BOOST_TEST(cache.stats().entries == 0u);
        auto fine = co_await cache.with(set_to("TimeZone", "Asia/Tokyo")).query("select 1");
        BOOST_TEST(fine.origin() == cache_origin::asked);
    });
}

BOOST_FIXTURE_TEST_CASE(setting_without_a_value_keeps_nothing, with_pool)
{
    run([&]() -> asio::awaitable<void> {
        for (int i = 0; i < 2; ++i) {
            auto none = co_await cache.with(set_to("role", "cached_app")).query(my_notes);
            BOOST_TEST(none->empty());
            BOOST_TEST(none.origin() == cache_origin::bypassed);
            auto own = co_await cache.with(of_tenant(1)).query(my_notes);
            BOOST_TEST(text_of(own) == note_of(1));
        }
    });
}

BOOST_FIXTURE_TEST_CASE(default_of_the_session_is_a_value, two_tenants)
{
    for (std::string t : {"1", "2"}) {
        asio::io_context io;
        auto options = over_pool::settings();
        options.connection.settings["app.tenant"] = t;
        options.connection.settings["role"] = "cached_app";
        pool p(io.get_executor(), options);
        query_cache cache(io.get_executor(), p);
        run_on(io, [&]() -> asio::awaitable<void> {
            for (auto expected : {cache_origin::asked, cache_origin::hit}) {
                auto got = co_await cache.query(my_notes);
                BOOST_TEST(text_of(got) == note_of(std::stoi(t)));
                BOOST_TEST(got.origin() == expected);
            }
            auto other = co_await cache.with(set_to("app.tenant", "3")).query(my_notes);
            BOOST_TEST(other->empty());
            co_await cache.close();
            co_await p.close();
        });
    }
}

BOOST_FIXTURE_TEST_CASE(call_and_settings_go_together, with_source)
{
    c.run([&]() -> asio::awaitable<void> {
        cache_call call{.ttl = seconds(10)};
        auto read = [&](int t) { return c.cache().with(of_tenant(t), call).query(my_notes); };
        co_await read(1);
        c.time().advance(seconds(5));
        co_await read(2);
        c.time().advance(seconds(6));
        auto old = co_await read(1);
        BOOST_TEST(old.origin() == cache_origin::asked);
        auto fresh = co_await read(2);
        BOOST_TEST(fresh.origin() == cache_origin::hit);
    });
}

BOOST_FIXTURE_TEST_CASE(tenants_who_ask_at_the_same_time_do_not_share_a_query, with_source)
{
    c.run([&]() -> asio::awaitable<void> {
        c.source().held = true;
        std::array<int, 2> right{};
        std::vector<std::unique_ptr<beside>> all;
        for (int i = 0; i < 10; ++i)
            for (int t : {1, 2})
                all.push_back(std::make_unique<beside>(c.io().get_executor(), [&, t]() -> asio::awaitable<void> {
                    auto got = co_await c.cache().with(of_tenant(t)).query_value<std::string>(my_notes);
                    right[static_cast<std::size_t>(t - 1)] += got == note_of(t);
                }));
        while (c.source().asked < 2) co_await yield();
        c.source().held = false;
        for (auto& each : all)
            while (!each->done()) co_await yield();
        BOOST_TEST(right[0] == 10);
        BOOST_TEST(right[1] == 10);
        BOOST_TEST(c.source().asked == 2);
        BOOST_TEST(c.source().looked_up == 2);
        BOOST_TEST(c.cache().stats().shared == 18u);
    });
}

BOOST_FIXTURE_TEST_CASE(refresh_in_the_background_keeps_the_tenant, with_source)
{
    c.run([&]() -> asio::awaitable<void> {
        cache_call call{.ttl = seconds(10), .stale_while_revalidate = seconds(10)};
        auto read = [&](int t) { return c.cache().with(of_tenant(t), call).query(my_notes); };
        for (int t : {1, 2}) co_await read(t);
        shared_server().psql("update cached.note set body = 'new ' || body");
        c.time().advance(seconds(15));
        for (int t : {1, 2}) {
            auto old = co_await read(t);
            BOOST_TEST(old.is_stale());
            BOOST_TEST(text_of(old) == note_of(t));
        }
        for (int t : {1, 2}) {
            auto got = co_await read(t);
            while (got.is_stale()) {
                co_await yield();
                got = co_await read(t);
            }
            BOOST_TEST(text_of(got) == "new " + note_of(t));
            BOOST_TEST(got.origin() == cache_origin::hit);
        }
        BOOST_TEST(c.cache().stats().refreshes == 2u);
    });
}

BOOST_FIXTURE_TEST_CASE(while_the_database_is_away_a_tenant_gets_own_rows_only, with_source)
{
    c.run([&]() -> asio::awaitable<void> {
        cache_call call{.ttl = seconds(10), .stale_if_error = minutes(1)};
        for (int t : {1, 2}) co_await c.cache().with(of_tenant(t), call).query(my_notes);
        c.source().away = true;
        c.time().advance(seconds(15));
        for (int t : {1, 2}) {
            auto old = co_await c.cache().with(of_tenant(t), call).query(my_notes);
            BOOST_TEST(old.is_stale());
            BOOST_TEST(text_of(old) == note_of(t));
        }
        co_await failure_of<connection_error>(c.cache().with(of_tenant(3), call).query(my_notes));
        co_await failure_of<connection_error>(c.cache().with(call).query(my_notes));
    });
}

// The settings make the statement a transaction, whose lost COMMIT would be a commit_unknown if it could have written.
BOOST_FIXTURE_TEST_CASE(lost_connection_is_no_unknown_outcome, with_pool)
{
    run([&]() -> asio::awaitable<void> {
        constexpr auto* sql = "select body from cached.note where (select count(*) from generate_series(1, 20000000)) > 0";
        beside reader(io.get_executor(), [&]() -> asio::awaitable<void> {
            co_await cache.with(of_tenant(1)).query(sql);
        });
        auto kill = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where query like 'select body from cached.note "
                    "where (select%' and state = 'active' and pid <> pg_backend_pid()";
        while (!reader.done() && shared_server().psql(kill).empty()) co_await yield();
        while (!reader.done()) co_await yield();
        BOOST_TEST((reader.error() != nullptr));
        BOOST_TEST(!reader.threw<commit_unknown>());
    });
}

BOOST_FIXTURE_TEST_CASE(warming_is_for_a_tenant, with_pool)
{
    run([&]() -> asio::awaitable<void> {
        auto kept = co_await cache.with(of_tenant(1)).warm(names(my_notes, "select 1", "select txid_current()"));
        BOOST_TEST(kept == 2u);
        auto hit = co_await cache.with(of_tenant(1)).query(my_notes);
        BOOST_TEST(hit.origin() == cache_origin::hit);
        auto other = co_await cache.with(of_tenant(2)).query(my_notes);
        BOOST_TEST(other.origin() == cache_origin::asked);
    });
}

BOOST_FIXTURE_TEST_CASE(key_is_forgotten_for_all_tenants, with_pool)
{
    run([&]() -> asio::awaitable<void> {
        for (int t : {1, 2}) co_await cache.with(of_tenant(t)).query(my_notes);
        cache.invalidate(my_notes);
        BOOST_TEST(cache.stats().entries == 0u);
    });
}

BOOST_FIXTURE_TEST_CASE(transactions_share_by_their_settings, with_pool)
{
    run([&]() -> asio::awaitable<void> {
        auto first = [](transaction& tx) -> asio::awaitable<void> { co_await tx.query("select 1"); };
        for (int i = 0; i < 2; ++i) co_await transactional(pool, first);
        for (int i = 0; i < 2; ++i)
            for (int t : {1, 2, 3}) {
                auto body = [&](transaction& tx) -> asio::awaitable<void> {
                    if (t < 3) co_await tx.set_local("app.tenant", std::to_string(t));
                    co_await tx.set_local("role", "cached_app");
                    auto got = co_await cache.in(tx).query(my_notes);
                    if (t == 3) {
                        BOOST_TEST(got->empty());
                        BOOST_TEST(got.origin() == cache_origin::bypassed);
                    } else {
                        BOOST_TEST(text_of(got) == note_of(t));
                        BOOST_TEST(got.origin() == (i == 0 ? cache_origin::asked : cache_origin::hit));
                    }
                };
                transaction_options options{.isolation = isolation::read_committed};
                co_await transactional(pool, body, options);
            }
    });
}

BOOST_FIXTURE_TEST_CASE(statement_that_is_not_kept_runs_with_its_settings, with_pool)
{
    run([&]() -> asio::awaitable<void> {
        for (int t : {1, 2}) {
            auto got = co_await cache.with(of_tenant(t)).query("select body, random() from cached.note");
            BOOST_TEST(got.origin() == cache_origin::bypassed);
            BOOST_TEST((*got)[0][0].as<std::string>() == note_of(t));
        }
        co_await failure_of<std::logic_error>(cache.with(of_tenant(1)).query("commit"));
        co_await failure_of<std::logic_error>(cache.query("begin"));
    });
}

BOOST_AUTO_TEST_CASE(source_that_knows_no_settings_refuses_them)
{
    over_pool over;
    auto source = std::make_shared<plain_source>(over.pool);
    query_cache cache(over.io.get_executor(), source);
    over.run([&]() -> asio::awaitable<void> {
        for (auto* sql : {"select 1", "select random()", "set work_mem = '1MB'"})
            for (auto* name : {"app.tenant", "role"}) {
                co_await failure_of<std::logic_error>(cache.with(set_to(name, "none")).query(sql));
                BOOST_TEST(!source->has_sent(sql));
            }
        co_await cache.with(local_settings()).query("select 1");
        BOOST_TEST(source->has_sent("select 1"));
        co_await cache.close();
    });
}

// Each policy is on the table `ruled`, and read for tenant 1 in the role cached_app.
struct policy_case
{
    const char* condition;
    cache_origin again; // where the second answer comes from
};
std::ostream& operator<<(std::ostream& out, const policy_case& c) { return out << c.condition; }

const policy_case policies[] = {
    {"tenant = current_setting('app.tenant')::int", cache_origin::hit},
    {"who = current_user", cache_origin::hit},
    {"who <> session_user", cache_origin::hit},
    {"tenant in (select tenant from cached.note)", cache_origin::hit},
    {"at < now()", cache_origin::hit},
    {"tenant = cached.twice(1) / 2", cache_origin::hit},
    {"cached.allowed(tenant)", cache_origin::bypassed},
    {"random() < 2 and tenant = 1", cache_origin::bypassed},
    {"pg_backend_pid() > 0 and tenant = 1", cache_origin::bypassed},
    {"tenant = current_setting('app.' || 'tenant')::int", cache_origin::bypassed},
};

BOOST_DATA_TEST_CASE_F(with_pool, policy_decides_what_is_kept, policies, p)
{
    shared_server().psql(
        "set search_path = cached; create function twice(int) returns int language sql immutable as 'select 2 * $1'; "
        "create function allowed(int) returns bool language sql stable as $$ select $1 = current_setting('app.tenant')::int $$; "
        "create table ruled as select t as tenant, case t when 1 then 'cached_app' else session_user end as who, "
        "case t when 1 then '2024-01-01' else 'infinity' end::timestamptz as at from generate_series(1, 2) t; "
        "alter table ruled enable row level security; grant select on ruled to cached_app; create policy p on ruled using (" +
        std::string(p.condition) + ")");
    run([&]() -> asio::awaitable<void> {
        auto mine = cache.with(of_tenant(1));
        for (auto expected : {p.again == cache_origin::hit ? cache_origin::asked : p.again, p.again}) {
            cached_result got = co_await mine.query("select tenant from cached.ruled");
            BOOST_TEST(got->as_value<int>() == 1);
            BOOST_TEST(got.origin() == expected);
        }
        std::string_view tags[] = {"rules"};
        cache_call call{.tags = tags};
        auto tagged = cache.with(of_tenant(1), call);
        cached_result first = co_await tagged.query("select tenant from cached.ruled");
        cached_result second = co_await tagged.query("select tenant from cached.ruled");
        bool by_function = std::string_view(p.condition).find("allowed") != std::string_view::npos;
        BOOST_TEST((second.origin() == cache_origin::hit) == (by_function || p.again == cache_origin::hit));
        BOOST_TEST(second->as_value<int>() == first->as_value<int>());
        // The tables of sub-selects are tags.
        if (std::string_view(p.condition).find("cached.note") == std::string_view::npos) co_return;
        cache.invalidate_tag("cached.note");
        auto asked = co_await mine.query("select tenant from cached.ruled");
        BOOST_TEST(asked.origin() == cache_origin::asked);
    });
}

// What changes who sees which row, without a row that changes.
struct rule_change
{
    const char* name;
    const char* sql;
};
std::ostream& operator<<(std::ostream& out, const rule_change& c) { return out << c.name; }

const rule_change changes[] = {
    {"created", "create policy more on cached.note using (true)"},
    {"restrictive", "create policy less on cached.note as restrictive using (false)"},
    {"altered", "alter policy own on cached.note using (tenant <> nullif(current_setting('app.tenant', true), '')::int)"},
    {"altered_roles", "alter policy own on cached.note to cached_guest"},
    {"dropped", "drop policy own on cached.note"},
    {"disabled", "alter table cached.note disable row level security"},
    {"owner", "alter table cached.note owner to cached_app"},
    {"bypass", "alter role cached_app bypassrls"},
    {"member", "grant cached_guest to cached_app"},
    {"revoked", "revoke select on cached.note from cached_app"},
};

BOOST_DATA_TEST_CASE_F(two_tenants, hit_is_no_older_than_the_bound_when_rules_change, changes, change)
{
    run([] { return install(names("cached.note")); });
    over_pool over(coherent());
    over.run([&]() -> asio::awaitable<void> {
        co_await over.follow();
        auto mine = over.cache.with(of_tenant(1));
        auto got = co_await mine.query(my_notes);
        while (got.origin() != cache_origin::hit) {
            co_await yield();
            got = co_await mine.query(my_notes);
        }
        BOOST_TEST(text_of(got) == note_of(1));
        shared_server().psql(change.sql);
        co_await over.let_the_bound_pass();
        std::string seen, truth;
        try {
            auto now = co_await mine.query(my_notes);
            seen = std::to_string(now->size());
        } catch (const server_error& e) {
            seen = e.sqlstate().str();
        }
        try {
            auto now = co_await over.pool.with(of_tenant(1)).query(my_notes);
            truth = std::to_string(now.size());
        } catch (const server_error& e) {
            truth = e.sqlstate().str();
        }
        BOOST_TEST(seen == truth);
        BOOST_TEST(over.cache.stats().catalog_changes > 0u);
    });
}

BOOST_FIXTURE_TEST_CASE(forced_row_security_is_noticed, two_tenants)
{
    shared_server().psql("alter table cached.note owner to cached_app");
    run([] { return install(names("cached.note")); });
    over_pool over(coherent());
    over.run([&]() -> asio::awaitable<void> {
        co_await over.follow();
        auto mine = over.cache.with(of_tenant(1));
        auto owner = co_await mine.query(my_notes);
        BOOST_TEST(owner->size() == 2u);
        shared_server().psql("alter table cached.note force row level security");
        co_await over.let_the_bound_pass();
        auto forced = co_await mine.query(my_notes);
        BOOST_TEST(text_of(forced) == note_of(1));
    });
}

BOOST_AUTO_TEST_SUITE_END()
