// Settings of the server for one statement: their effect, their round trips, and errors.
#include "integration/tenants/support.hpp"

#include <boost/test/unit_test.hpp>

#include <optional>
#include <utility>

using pgcoro::local_settings;
using pgcoro::pool;

namespace
{

struct tenants
{
    tenants() { make_tenants(shared_server()); }

    template <class Body>
    void on_pool(pgcoro::pool_options options, Body body)
    {
        run([&]() -> asio::awaitable<void> {
            pool p(co_await asio::this_coro::executor, options);
            co_await body(p);
        });
    }
    template <class Body>
    void on_pool(Body body)
    {
        on_pool(tenants_pool(shared_options()), body);
    }
};

// Checks that the only connection has its own settings, and that nothing had to be cleaned up.
asio::awaitable<void> check_untouched(pool& p)
{
    auto now = co_await p.query_value<std::string>(session_now);
    BOOST_TEST(now == session_by_default);
    BOOST_TEST(p.stats().connects == 1u);
    BOOST_TEST(p.stats().cleanups == 0u);
}

// Loses the answer to the message that contains a text, once it is armed.
struct answer_loser
{
    std::string text;
    std::size_t after = 0; // this number of its bytes passes
    std::atomic<bool> armed{false};
    test::proxy between;

    explicit answer_loser(std::string what)
        : text(std::move(what))
        , between(test::socket_of(shared_server()), [this](std::string_view m) { return on(m); })
    {}
    std::optional<test::fault> on(std::string_view message)
    {
        if (message.find(text) == message.npos || !armed.exchange(false)) return std::nullopt;
        return test::fault{test::fault::to_client, after, test::fault::cut, {}};
    }
    pgcoro::pool_options options() const
    {
        return tenants_pool(pgcoro::connection_options::from_uri(between.uri()));
    }
};

std::string notes_of(int tenant)
{
    return shared_server().psql("select count(*) from tenants.note where tenant = " + std::to_string(tenant));
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(with_settings_tests, tenants)

BOOST_AUTO_TEST_CASE(row_level_security_sees_the_setting_in_every_kind_of_query)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        for (int t : {1, 2, 3, 1}) {
            auto mine = p.with(of_tenant(t));
            auto body = "note of " + std::to_string(t);
            auto rows = co_await mine.query(my_notes);
            BOOST_REQUIRE(rows.size() == 1u);
            BOOST_TEST(rows[0][0].as<std::string>() == body);
            BOOST_TEST(co_await mine.query_value<std::string>(my_notes) == body);
            auto optional = co_await mine.query_optional<std::string>(my_notes);
            BOOST_TEST((optional == body));
            auto list = co_await mine.query_as<std::string>(std::string(my_notes));
            BOOST_TEST(list.size() == 1u);
            auto tried = co_await mine.try_query_as<std::string>(my_notes);
            BOOST_TEST(tried.size() == 1u);
            BOOST_TEST(co_await mine.execute("update tenants.note set body = body where tenant > $1", 0) == 1u);
            BOOST_TEST(co_await mine.query_value<int>("select tenant from owner") == t);
        }
        co_await check_untouched(p);
    });
}

BOOST_AUTO_TEST_CASE(operation_owns_its_settings)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        std::optional<asio::awaitable<std::string>> later;
        std::optional<asio::awaitable<pgcoro::result>> other;
        {
            std::string tenant(100, ' ');
            tenant += '2';
            later.emplace(p.with({{"app.tenant", tenant}, {"role", "tenants_app"}}).query_value<std::string>(my_notes));
            other.emplace(p.with({{"app.tenant", tenant}, {"role", "tenants_app"}}).query(my_notes));
            tenant.assign(200, 'x');
        }
        BOOST_TEST(co_await std::move(*later) == "note of 2");
        auto rows = co_await std::move(*other);
        BOOST_TEST(rows.size() == 1u);
    });
}

BOOST_AUTO_TEST_CASE(statement_with_settings_is_one_round_trip)
{
    flight_recorder recorder(shared_server());
    on_pool(tenants_pool(recorder.options()), [&](pool& p) -> asio::awaitable<void> {
        co_await p.warm_up();
        for (int i : {1, 2}) { // not prepared yet, and prepared
            recorder.arm();
            auto mine = co_await p.with(of_tenant(i)).query_value<std::string>(my_notes);
            BOOST_TEST(mine == "note of " + std::to_string(i));
            BOOST_TEST(recorder.late() == 0);
        }
        // Also if it fails: nothing is left to be rolled back.
        recorder.arm();
        BOOST_CHECK_THROW(co_await p.with(of_tenant(1)).query("select 1 / 0"), pgcoro::server_error);
        BOOST_TEST(recorder.late() == 0);
        co_await check_untouched(p);
    });
}

BOOST_AUTO_TEST_CASE(in_a_transaction_it_is_one_round_trip)
{
    flight_recorder recorder(shared_server());
    on_pool(tenants_pool(recorder.options()), [&](pool& p) -> asio::awaitable<void> {
        auto body = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
            for (int i : {1, 2}) { // with BEGIN, and without
                recorder.arm();
                auto mine = co_await tx.with(of_tenant(i)).query_value<std::string>(my_notes);
                BOOST_TEST(mine == "note of " + std::to_string(i));
                BOOST_TEST(recorder.late() == 0);
            }
        };
        co_await p.warm_up();
        co_await pgcoro::transactional(p, body);
    });
}

BOOST_AUTO_TEST_CASE(recorder_sees_a_second_round_trip)
{
    flight_recorder recorder(shared_server());
    on_pool(tenants_pool(recorder.options()), [&](pool& p) -> asio::awaitable<void> {
        co_await p.warm_up();
        recorder.arm();
        auto held = co_await p.acquire();
        co_await held->execute("select 1");
        co_await held->execute("select 2");
        BOOST_TEST(recorder.late() > 0);
    });
}

BOOST_AUTO_TEST_CASE(no_settings_are_the_plain_statement)
{
    flight_recorder recorder(shared_server());
    on_pool(tenants_pool(recorder.options()), [&](pool& p) -> asio::awaitable<void> {
        co_await p.warm_up();
        recorder.arm();
        BOOST_TEST(co_await p.with({}).query_value<int>("select 1") == 1);
        BOOST_TEST(!recorder.has("begin"));
        BOOST_TEST(!recorder.has("set_config"));
    });
}

BOOST_AUTO_TEST_CASE(values_are_parameters_and_texts_are_prepared_once)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto prepared = "select count(*)::int from pg_prepared_statements where not from_sql";
        std::string evil = "'; drop table tenants.note; --";
        auto look = "select current_setting('app.tenant')";
        BOOST_TEST(co_await p.with({{"app.tenant", evil}}).query_value<std::string>(look) == evil);
        auto before = co_await p.query_value<int>(prepared);
        for (int i = 0; i < 20; ++i)
            BOOST_TEST(co_await p.with({{"app.tenant", i}}).query_value<std::string>(look) == std::to_string(i));
        BOOST_TEST(co_await p.query_value<int>(prepared) == before);
    });
}

BOOST_AUTO_TEST_CASE(error_of_the_statement_is_its_own)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto twice = "insert into tenants.note (tenant, body) values (1, 'note of 1')";
        for (int i = 0; i < 3; ++i) {
            auto e = co_await failure_of<pgcoro::server_error>(p.with(of_tenant(1)).execute(twice));
            BOOST_TEST(e.sqlstate().str() == "23505");
            BOOST_TEST(e.sql() == twice);
        }
        auto e = co_await failure_of<pgcoro::server_error>(
            p.with(of_tenant(1)).execute("insert into tenants.note (tenant, body) values (2, 'foreign')"));
        BOOST_TEST(e.sqlstate().str() == "42501"); // by the policy
        co_await check_untouched(p);
    });
    BOOST_TEST(notes_of(2) == "1");
}

BOOST_AUTO_TEST_CASE(error_of_a_setting_keeps_the_statement_from_running)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto add = "insert into tenants.note (tenant, body) values (1, 'more')";
        for (int i = 0; i < 2; ++i) {
            auto role = co_await failure_of<pgcoro::server_error>(p.with({{"role", "no_such_role"}}).execute(add));
            BOOST_TEST(role.sqlstate().str() == "22023");
            auto unknown = co_await failure_of<pgcoro::server_error>(p.with({{"serch_path", "x"}}).execute(add));
            BOOST_TEST(unknown.sqlstate().str() == "42704");
            auto value = co_await failure_of<pgcoro::server_error>(
                p.with({{"app.tenant", 1}, {"statement_timeout", "soon"}}).execute(add));
            BOOST_TEST(value.sqlstate().str() == "22023");
        }
        co_await check_untouched(p);
    });
    BOOST_TEST(notes_of(1) == "1");
}

BOOST_AUTO_TEST_CASE(settings_are_made_in_their_order)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        // Only a superuser may set it: before the role, not after it.
        auto look = "select current_setting('log_min_duration_statement')";
        local_settings before{{"log_min_duration_statement", "7s"}, {"role", "tenants_app"}};
        BOOST_TEST(co_await p.with(before).query_value<std::string>(look) == "7s");
        local_settings after{{"role", "tenants_app"}, {"log_min_duration_statement", "7s"}};
        auto e = co_await failure_of<pgcoro::server_error>(p.with(after).query(look));
        BOOST_TEST(e.sqlstate().str() == "42501");
        auto set_back = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
            BOOST_TEST(co_await tx.with(before).query_value<std::string>(look) == "7s");
            BOOST_TEST(co_await tx.query_value<std::string>(look) == "-1");
        };
        co_await pgcoro::transactional(p, set_back);
        co_await check_untouched(p);
    });
}

BOOST_AUTO_TEST_CASE(constraint_that_fails_in_commit_is_the_error_and_nothing_stays)
{
    shared_server().psql("drop table if exists late; create table late (n int unique deferrable initially deferred)");
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto e = co_await failure_of<pgcoro::server_error>(
            p.with({{"app.tenant", 1}}).execute("insert into late values (1), (1)"));
        BOOST_TEST(e.sqlstate().str() == "23505");
        co_await check_untouched(p);
    });
    BOOST_TEST(shared_server().psql("select count(*) from late") == "0");
}

BOOST_AUTO_TEST_CASE(statement_cannot_outlive_its_settings)
{
    shared_server().psql("create or replace procedure tenants.leave() language plpgsql as $$ begin commit; "
                         "insert into tenants.note (tenant, body) values (3, 'left'); end $$");
    on_pool([](pool& p) -> asio::awaitable<void> {
        for (auto sql : {"commit", "rollback", "begin", "savepoint a", "prepare transaction 'x'", "commit and chain"})
            BOOST_CHECK_THROW(co_await p.with({{"app.tenant", 1}}).execute(sql), std::logic_error);
        for (auto sql : {"call tenants.leave()", "do $$ begin commit; end $$"}) {
            auto e = co_await failure_of<pgcoro::server_error>(p.with({{"app.tenant", 1}}).execute(sql));
            BOOST_TEST(e.sqlstate().str() == "2D000");
        }
        auto e = co_await failure_of<pgcoro::server_error>(p.with({{"app.tenant", 1}}).execute("vacuum tenants.note"));
        BOOST_TEST(e.sqlstate().str() == "25001");
        co_await check_untouched(p);
    });
    BOOST_TEST(notes_of(3) == "1");
}

BOOST_AUTO_TEST_CASE(session_settings_of_the_statement_itself_are_undone)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        co_await p.with({{"app.tenant", 1}}).execute("set search_path = tenant_3");
        auto now = co_await p.query_value<std::string>(session_now);
        BOOST_TEST(now == session_by_default);
    });
}

BOOST_AUTO_TEST_CASE(cancelled_statement_leaves_no_settings)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        co_await p.warm_up();
        for (int turns = 0; turns < 12; ++turns) {
            beside caller(executor, [&]() -> asio::awaitable<void> {
                co_await p.with(of_tenant(2)).execute("select pg_sleep(60)");
            });
            while (!caller.begun()) co_await yield();
            for (int i = 0; i < turns; ++i) co_await yield();
            caller.cancel();
            while (!caller.done()) co_await yield();
            auto now = co_await p.query_value<std::string>(session_now);
            BOOST_TEST(now == session_by_default);
        }
        BOOST_TEST(p.stats().connects == 1u);
    });
}

BOOST_AUTO_TEST_CASE(killed_backend_leaves_no_settings)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto suicide = "select pg_terminate_backend(pg_backend_pid())";
        auto e = co_await failure_of<pgcoro::commit_unknown>(p.with({{"app.tenant", 1}}).query(suicide));
        BOOST_TEST(contains(e.what(), "57P01"));
        auto now = co_await p.query_value<std::string>(session_now);
        BOOST_TEST(now == session_by_default);
    });
}

BOOST_AUTO_TEST_CASE(statement_timeout_is_a_setting_like_others)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto slow = p.with({{"statement_timeout", "50ms"}}).execute("select pg_sleep(60)");
        auto e = co_await failure_of<pgcoro::server_error>(std::move(slow));
        BOOST_TEST(e.sqlstate().str() == "57014");
        co_await check_untouched(p);
    });
}

BOOST_AUTO_TEST_CASE(lost_answer_to_commit_is_unknown_and_not_run_again)
{
    answer_loser loser("COMMIT_HERE");
    on_pool(loser.options(), [&](pool& p) -> asio::awaitable<void> {
        co_await p.warm_up();
        for (int i = 0; i < 2; ++i) {
            // With a byte of the answer, COMMIT has been sent to the server, too.
            loser.after = static_cast<std::size_t>(i);
            loser.armed = true;
            auto add = "insert into tenants.note (tenant, body) values (1, /* COMMIT_HERE */ 'lost " + std::to_string(i) +
                       "')";
            auto e = co_await failure_of<pgcoro::commit_unknown>(p.with(of_tenant(1)).execute(add));
            BOOST_TEST(!e.is_transient());
            BOOST_TEST(std::stoi(notes_of(1)) <= 2 + i);
        }
    });
}

BOOST_AUTO_TEST_CASE(lost_read_only_transaction_is_a_lost_connection)
{
    answer_loser loser("LOST_HERE");
    on_pool(loser.options(), [&](pool& p) -> asio::awaitable<void> {
        co_await p.warm_up();
        local_settings reads{{"app.tenant", 1}, {"transaction_read_only", true}};
        loser.armed = true;
        auto e = co_await failure_of<pgcoro::connection_error>(p.with(reads).query("select 1 /* LOST_HERE */"));
        BOOST_TEST(e.is_transient());
        auto write = co_await failure_of<pgcoro::server_error>(
            p.with(reads).execute("insert into tenants.note (tenant, body) values (1, 'x')"));
        BOOST_TEST(write.sqlstate().str() == "25006");
    });
}

BOOST_AUTO_TEST_CASE(connection_lost_before_the_statement_is_no_unknown_commit)
{
    auto options = tenants_pool(shared_options());
    options.pre_ping = pgcoro::pre_ping::never;
    on_pool(options, [](pool& p) -> asio::awaitable<void> {
        auto pid = co_await p.query_value<int>("select pg_backend_pid()");
        shared_server().psql("select pg_terminate_backend(" + std::to_string(pid) + ", 5000)");
        // The session has read its end before it sends anything, or finds it in the answer.
        std::exception_ptr failure;
        try {
            co_await p.with({{"app.tenant", 1}, {"transaction_read_only", true}}).query("select 1");
        } catch (...) {
            failure = std::current_exception();
        }
        BOOST_REQUIRE(failure);
        BOOST_CHECK_THROW(std::rethrow_exception(failure), pgcoro::connection_error);
    });
}

BOOST_AUTO_TEST_CASE(search_path_decides_for_a_prepared_statement_each_time)
{
    shared_server().psql("drop table tenant_3.owner; create table tenant_3.owner (tenant text); "
                         "insert into tenant_3.owner values ('three'); grant select on tenant_3.owner to tenants_app");
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto owner = "select tenant from owner";
        for (int i = 0; i < 5; ++i) {
            BOOST_TEST(co_await p.with(of_tenant(1)).query_value<int>(owner) == 1);
            BOOST_TEST(co_await p.with(of_tenant(2)).query_value<int>(owner) == 2);
            // Another type of result: prepared again.
            BOOST_TEST(co_await p.with(of_tenant(3)).query_value<std::string>(owner) == "three");
        }
        co_await check_untouched(p);
    });
}

BOOST_AUTO_TEST_CASE(statement_that_ddl_made_stale_is_prepared_again)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto all = "select * from tenants.note";
        auto mine = p.with(of_tenant(1));
        auto first = co_await mine.query(all);
        BOOST_TEST(first.columns().size() == 3u);
        shared_server().psql("alter table tenants.note add column extra int");
        auto second = co_await mine.query(all);
        BOOST_TEST(second.columns().size() == 4u);
        shared_server().psql("alter table tenants.note drop column extra");
        auto third = co_await mine.query(all);
        BOOST_TEST(third.columns().size() == 3u);
        co_await check_untouched(p);
    });
}

BOOST_AUTO_TEST_CASE(deallocated_statements_are_prepared_again)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto mine = p.with(of_tenant(1));
        co_await mine.query(my_notes);
        co_await p.execute("do $$ begin execute 'deallocate all'; end $$"); // nobody can see that
        BOOST_TEST(co_await mine.query_value<std::string>(my_notes) == "note of 1");
        auto now = co_await p.query_value<std::string>(session_now);
        BOOST_TEST(now == session_by_default);
    });
}

BOOST_AUTO_TEST_CASE(named_pool_reports_its_name)
{
    struct names final : pgcoro::observer
    {
        void on_query(const pgcoro::query_event& e) noexcept override { all.emplace_back(e.operation); }
        std::vector<std::string> all;
    } seen;
    auto options = tenants_pool(shared_options());
    options.observer = &seen;
    on_pool(options, [&](pool& p) -> asio::awaitable<void> {
        auto note = co_await p.named("load note").with(of_tenant(2)).query_value<std::string>(my_notes);
        BOOST_TEST(note == "note of 2");
        co_await p.with(of_tenant(2)).query(my_notes);
    });
    BOOST_TEST(seen.all == (std::vector<std::string>{"load note", ""}), boost::test_tools::per_element());
}

// --- In a transaction ---

BOOST_AUTO_TEST_CASE(transaction_goes_on_with_the_settings_it_had)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto body = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            BOOST_TEST(co_await tx.with(of_tenant(1)).query_value<std::string>(my_notes) == "note of 1");
            BOOST_TEST(co_await tx.query_value<std::string>(session_now) == session_by_default);
            co_await tx.set_local("app.tenant", "2");
            co_await tx.set_local("role", "tenants_app");
            co_await tx.set_local("search_path", "tenant_2");
            co_await tx.set_local("statement_timeout", "5s");
            auto before = co_await tx.query_value<std::string>(session_now);
            BOOST_TEST(before == "2 tenants_app tenant_2 5s");
            BOOST_TEST(co_await tx.query_value<std::string>(my_notes) == "note of 2");
            auto other = of_tenant(3).add({"statement_timeout", "7s"});
            BOOST_TEST(co_await tx.with(other).query_value<std::string>(session_now) == "3 tenants_app tenant_3 7s");
            BOOST_TEST(co_await tx.query_value<std::string>(session_now) == before);
            BOOST_TEST(co_await tx.query_value<std::string>(my_notes) == "note of 2");
        };
        co_await pgcoro::transactional(p, body);
        auto now = co_await p.query_value<std::string>(session_now);
        BOOST_TEST(now == session_by_default);
    });
}

BOOST_AUTO_TEST_CASE(failed_statement_in_a_savepoint_takes_its_settings_along)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto body = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            co_await tx.set_local("app.tenant", "1");
            for (auto sql : {"select 1 / 0", "select * from no_such_table"}) {
                auto inner = [&](pgcoro::transaction& in) -> asio::awaitable<void> {
                    BOOST_TEST(co_await in.with(of_tenant(3)).query_value<std::string>(my_notes) == "note of 3");
                    co_await in.with(of_tenant(2)).execute(sql);
                };
                BOOST_CHECK_THROW(co_await tx.savepoint(inner), pgcoro::server_error);
                BOOST_TEST(co_await tx.query_value<std::string>(session_now) == "1 none \"$user\", public 30s");
            }
        };
        co_await pgcoro::transactional(p, body);
        co_await check_untouched(p);
    });
}

BOOST_AUTO_TEST_CASE(failed_statement_without_a_savepoint_ends_the_transaction)
{
    on_pool([](pool& p) -> asio::awaitable<void> {
        auto body = [](pgcoro::transaction& tx) -> asio::awaitable<void> {
            co_await tx.with(of_tenant(1)).execute("insert into tenants.note (tenant, body) values (1, 'undone')");
            auto failed = tx.with(of_tenant(2)).execute("select 1 / 0");
            BOOST_CHECK_THROW(co_await std::move(failed), pgcoro::server_error);
            BOOST_CHECK_THROW(co_await tx.query("select 1"), pgcoro::server_error);
        };
        BOOST_CHECK_THROW(co_await pgcoro::transactional(p, body), pgcoro::server_error);
        auto now = co_await p.query_value<std::string>(session_now);
        BOOST_TEST(now == session_by_default);
    });
    BOOST_TEST(notes_of(1) == "1");
}

// --- Through a multiplexer ---

BOOST_AUTO_TEST_CASE(statements_of_tenants_and_plain_ones_share_a_connection)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, tenants_pool(shared_options()));
        pgcoro::multiplexer mux(executor, p, {.connections = 1});
        auto fails = "select tenant / 0 from tenants.note";
        // Learned before, so that they travel together.
        co_await mux.with(of_tenant(1)).query(my_notes);
        co_await mux.query(session_now);
        BOOST_CHECK_THROW(co_await mux.with(of_tenant(1)).query(fails), pgcoro::server_error);
        int done = 0;
        int failed = 0;
        auto caller = [&](int n) -> asio::awaitable<void> {
            int t = n % 3 + 1;
            for (int i = 0; i < 20; ++i) {
                auto asking = n % 2 ? mux.with(of_tenant(t)).query_value<std::string>(my_notes)
                                    : mux.read().with(of_tenant(t)).query_value<std::string>(my_notes);
                auto note = co_await std::move(asking);
                BOOST_TEST(note == "note of " + std::to_string(t));
                auto now = co_await mux.read().query_value<std::string>(session_now);
                BOOST_TEST(now == session_by_default);
                if ((n + i) % 4 != 0) continue;
                try {
                    co_await mux.with(of_tenant(t)).query(fails);
                } catch (const pgcoro::server_error& e) {
                    BOOST_TEST(e.sqlstate().str() == "22012");
                    ++failed;
                }
            }
            ++done;
        };
        for (int n = 0; n < 12; ++n) asio::co_spawn(executor, caller(n), asio::detached);
        while (done < 12) co_await yield();
        BOOST_TEST(failed == 60);
        auto s = mux.stats();
        BOOST_TEST(s.batches * 2 < s.statements); // they did travel together
        BOOST_TEST(p.stats().connects == 1u);
    });
}

BOOST_AUTO_TEST_CASE(multiplexed_group_is_one_round_trip)
{
    flight_recorder recorder(shared_server());
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, tenants_pool(recorder.options()));
        pgcoro::multiplexer mux(executor, p, {.connections = 1});
        co_await mux.with(of_tenant(1)).query(my_notes);
        recorder.arm();
        BOOST_TEST(co_await mux.with(of_tenant(2)).query_value<std::string>(my_notes) == "note of 2");
        BOOST_TEST(recorder.late() == 0);
    });
}

BOOST_AUTO_TEST_CASE(multiplexed_commit_that_fails_is_the_statements_error)
{
    shared_server().psql("drop table if exists late; create table late (n int unique deferrable initially deferred)");
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, tenants_pool(shared_options()));
        pgcoro::multiplexer mux(executor, p, {.connections = 1});
        auto twice = "insert into late values ($1), ($1)";
        auto once = "insert into late values ($1)";
        co_await mux.with(of_tenant(1)).execute(std::string("select 1"));
        for (int i = 0; i < 3; ++i) {
            auto e = co_await failure_of<pgcoro::server_error>(mux.with({{"app.tenant", 1}}).execute(twice, i));
            BOOST_TEST(e.sqlstate().str() == "23505");
            BOOST_TEST(co_await mux.with({{"app.tenant", 1}}).execute(once, i + 10) == 1u);
        }
    });
    BOOST_TEST(shared_server().psql("select count(*) from late") == "3");
}

BOOST_AUTO_TEST_CASE(multiplexed_ddl_and_settings_of_the_session_run_exclusively)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, tenants_pool(shared_options(), 2));
        pgcoro::multiplexer mux(executor, p, {.connections = 1});
        for (int i = 0; i < 3; ++i) {
            co_await mux.with({{"search_path", "tenants"}}).execute("create table created (n int)");
            co_await mux.with({{"search_path", "tenants"}}).execute("drop table created");
            BOOST_CHECK_THROW(co_await mux.with({{"role", "no_such_role"}}).execute("drop table created"),
                              pgcoro::server_error);
            BOOST_TEST(co_await mux.query_value<std::string>(session_now) == session_by_default);
        }
        BOOST_CHECK_THROW(co_await mux.with({{"app.tenant", 1}}).execute("commit"), std::logic_error);
    });
}

BOOST_AUTO_TEST_CASE(multiplexed_constants_are_read_with_the_settings_of_each_caller)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, tenants_pool(shared_options()));
        pgcoro::multiplexer mux(executor, p, {.connections = 1});
        int differed = 0, refused = 0;
        auto caller = [&](std::string zone) -> asio::awaitable<void> {
            for (int i = 0; i < 30; ++i) {
                try {
                    auto agree = co_await mux.with({{"timezone", zone}})
                                     .query_value<bool>("select '2026-01-01 12:00'::timestamptz = $1::text::timestamptz",
                                                        "2026-01-01 12:00");
                    differed += !agree;
                } catch (const pgcoro::server_error&) {
                    ++refused;
                }
            }
        };
        beside tokyo(executor, [&] { return caller("Asia/Tokyo"); });
        beside nowhere(executor, [&] { return caller("No/Where"); });
        beside utc(executor, [&] { return caller("UTC"); });
        beside lima(executor, [&] { return caller("America/Lima"); });
        while (!tokyo.done() || !nowhere.done() || !utc.done() || !lima.done()) co_await yield();
        BOOST_TEST(differed == 0);
        BOOST_TEST(refused == 30);
    });
}

BOOST_AUTO_TEST_SUITE_END()
