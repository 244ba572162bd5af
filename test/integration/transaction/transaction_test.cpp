#include "integration/transaction/bank.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace boost::asio::experimental::awaitable_operators;
using pgcoro::isolation;
using pgcoro::transaction;
using pgcoro::transactional;

namespace
{

void terminate(int backend)
{
    shared_server().psql("select pg_terminate_backend(" + std::to_string(backend) + ", 5000)");
}

// Where the setting pgcoro.slow is on, a deferred trigger holds COMMIT up for as long as any test may take.
void slow_commit()
{
    shared_server().psql(
        "create or replace function slow() returns trigger language plpgsql as $$ begin "
        "if current_setting('pgcoro.slow', true) = 'on' then perform pg_sleep(60); end if; return null; end "
        "$$; "
        "create constraint trigger slow after update on account deferrable initially deferred "
        "for each row execute function slow()");
}

// Waits until the backend is in such a COMMIT, and kills it there.
asio::awaitable<void> kill_in_commit(const int& pid)
{
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (std::string state; state != "commit";) {
        timer.expires_after(5ms);
        co_await timer.async_wait(asio::use_awaitable);
        state = shared_server().psql(
            "select query from pg_stat_activity where wait_event = 'PgSleep' and pid = " +
            std::to_string(pid));
    }
    terminate(pid);
}

asio::awaitable<int> backend(transaction& tx)
{
    co_return co_await tx.query_value<int>("select pg_backend_pid()");
}

} // namespace

BOOST_AUTO_TEST_SUITE(transaction_tests)

BOOST_AUTO_TEST_CASE(commits_when_the_body_returns_and_gives_what_it_gave)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto left = co_await transactional(b.p, [](transaction& tx) -> asio::awaitable<std::int64_t> {
            co_await tx.execute("update account set cents = cents - $1 where id = $2", 30, 1);
            co_await tx.execute("update account set cents = cents + $1 where id = $2", 30, 2);
            co_return co_await tx.query_value<std::int64_t>("select cents from account where id = $1", 1);
        });
        BOOST_TEST(left == 70);
        BOOST_TEST(cents(1) == "70");
        BOOST_TEST(cents(2) == "130");
        BOOST_TEST(b.p.stats().in_use == 0u);
    });
}

BOOST_AUTO_TEST_CASE(an_exception_of_the_body_rolls_back_once_and_reaches_the_caller_unchanged)
{
    struct mine
    {
        int code;
    };
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        int runs = 0;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            ++runs;
            co_await tx.execute("update account set cents = 0 where id = 1");
            throw mine{42};
        };
        int code = 0;
        try {
            co_await transactional(b.p, body);
        } catch (const mine& e) {
            code = e.code;
        }
        BOOST_TEST(code == 42);
        BOOST_TEST(runs == 1);
        BOOST_TEST(cents(1) == "100");
        BOOST_TEST(b.p.stats().idle == 1u);
        BOOST_TEST(b.p.stats().cleanups == 0u); // rolled back before the caller went on
    });
}

BOOST_AUTO_TEST_CASE(a_deadlock_is_run_again_and_none_reaches_the_caller)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        pgcoro::transaction_metrics metrics[2];
        int waiting = 0;
        auto move = [&](int from, int to, int who) -> asio::awaitable<void> {
            auto body = [&](transaction& tx) -> asio::awaitable<void> {
                co_await tx.execute("update account set cents = cents - 1 where id = $1", from);
                ++waiting;
                asio::steady_timer timer(co_await asio::this_coro::executor);
                while (waiting < 2) { // both hold their first lock
                    timer.expires_after(1ms);
                    co_await timer.async_wait(asio::use_awaitable);
                }
                co_await tx.execute("update account set cents = cents + 1 where id = $1", to);
            };
            co_await transactional(b.p, body, {.metrics = &metrics[who]});
        };
        co_await (move(1, 2, 0) && move(2, 1, 1));
        BOOST_TEST(metrics[0].deadlocks + metrics[1].deadlocks == 1u);
        BOOST_TEST(metrics[0].attempts + metrics[1].attempts == 3u);
        BOOST_TEST(metrics[0].committed + metrics[1].committed == 2u);
        BOOST_TEST(cents(1) == "100");
        BOOST_TEST(cents(2) == "100");
    });
}

BOOST_AUTO_TEST_CASE(a_serialization_failure_also_one_of_commit_is_run_again)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        pgcoro::transaction_metrics metrics;
        // Write skew: each reads what the other writes; one of the two must fail, at the latest at COMMIT.
        int reading = 0;
        auto skew = [&](int reads, int writes) -> asio::awaitable<void> {
            pgcoro::transaction_metrics own;
            auto body = [&](transaction& tx) -> asio::awaitable<void> {
                auto seen =
                    co_await tx.query_value<std::int64_t>("select cents from account where id = $1", reads);
                ++reading;
                asio::steady_timer timer(co_await asio::this_coro::executor);
                while (reading < 2) {
                    timer.expires_after(1ms);
                    co_await timer.async_wait(asio::use_awaitable);
                }
                co_await tx.execute("update account set cents = $1 where id = $2", seen + 1, writes);
            };
            co_await transactional(b.p, body, {.isolation = isolation::serializable, .metrics = &own});
            metrics += own;
        };
        co_await (skew(1, 2) && skew(2, 1));
        BOOST_TEST(metrics.serialization_failures >= 1u);
        BOOST_TEST(metrics.committed == 2u);
        auto sum = std::stoi(cents(1)) + std::stoi(cents(2));
        BOOST_TEST(sum == 101 + 102); // one after the other, in either order
    });
}

BOOST_AUTO_TEST_CASE(a_connection_lost_in_the_middle_is_replaced_and_the_work_done_once)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        pgcoro::transaction_metrics metrics;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("update account set cents = cents + 1 where id = 1");
            auto pid = co_await backend(tx);
            if (tx.attempt() == 1) terminate(pid);
            co_await tx.execute("update account set cents = cents + 1 where id = 2");
        };
        co_await transactional(b.p, body, {.metrics = &metrics});
        BOOST_TEST(metrics.connections_lost == 1u);
        BOOST_TEST(metrics.attempts == 2u);
        BOOST_TEST(cents(1) == "101");
        BOOST_TEST(cents(2) == "101");
    });
}

BOOST_AUTO_TEST_CASE(a_connection_lost_before_commit_is_run_again)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        pgcoro::transaction_metrics metrics;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("update account set cents = cents + 1 where id = 1");
            auto pid = co_await backend(tx);
            if (tx.attempt() == 1) terminate(pid);
        };
        co_await transactional(b.p, body, {.metrics = &metrics});
        BOOST_TEST(metrics.attempts == 2u);
        BOOST_TEST(cents(1) == "101");
    });
}

BOOST_AUTO_TEST_CASE(a_connection_lost_in_commit_that_aborted_is_run_again_once)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        slow_commit();
        pgcoro::transaction_metrics metrics;
        int pid = 0;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            pid = co_await backend(tx);
            co_await tx.execute("select set_config('pgcoro.slow', $1, true)",
                                tx.attempt() == 1 ? "on" : "off");
            co_await tx.execute("update account set cents = cents + 1 where id = 1");
        };
        co_await (transactional(b.p, body, {.metrics = &metrics}) && kill_in_commit(pid));
        BOOST_TEST(metrics.attempts == 2u);
        BOOST_TEST(metrics.commits_resolved == 1u);
        BOOST_TEST(metrics.committed == 1u);
        BOOST_TEST(cents(1) == "101");
    });
}

BOOST_AUTO_TEST_CASE(without_the_transactions_id_a_lost_commit_is_unknown)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        slow_commit();
        int pid = 0;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            pid = co_await backend(tx);
            co_await tx.execute("set local pgcoro.slow = 'on'");
            co_await tx.execute("update account set cents = cents + 1 where id = 1");
        };
        bool unknown = false;
        auto commit = [&]() -> asio::awaitable<void> {
            try {
                co_await transactional(b.p, body, {.resolve_commit = pgcoro::resolve_commit::off});
            } catch (const pgcoro::commit_unknown&) {
                unknown = true;
            }
        };
        co_await (commit() && kill_in_commit(pid));
        BOOST_TEST(unknown);
    });
}

BOOST_AUTO_TEST_CASE(an_error_swallowed_by_the_body_still_prevents_the_commit)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("update account set cents = 0 where id = 1");
            try {
                co_await tx.execute("select 1/0");
            } catch (const pgcoro::server_error&) {
            }
        };
        try {
            co_await transactional(b.p, body);
            BOOST_ERROR("committed");
        } catch (const pgcoro::server_error& e) {
            BOOST_TEST(e.sqlstate().str() == "22012");
        }
        BOOST_TEST(cents(1) == "100");
    });
}

BOOST_AUTO_TEST_CASE(what_cannot_be_mended_by_repeating_is_not_repeated)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        int runs = 0;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            ++runs;
            co_await tx.execute("insert into account values (1, 1)");
        };
        try {
            co_await transactional(b.p, body);
        } catch (const pgcoro::server_error& e) {
            BOOST_TEST(e.is_constraint("account_pkey"));
        }
        BOOST_TEST(runs == 1);
        runs = 0;
        auto once_more = [&](transaction& tx) -> asio::awaitable<void> {
            ++runs;
            co_await tx.execute("insert into account values ($1, 1)", runs);
        };
        pgcoro::transaction_options options;
        options.retry_if = [](const pgcoro::error& e) { return e.is_constraint("account_pkey"); };
        co_await transactional(b.p, once_more, options);
        BOOST_TEST(runs == 4);
    });
}

BOOST_AUTO_TEST_CASE(after_the_last_attempt_the_error_tells_of_all)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        int runs = 0;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            ++runs;
            co_await tx.execute("do $$ begin raise exception 'as if' using errcode = '40P01'; end $$");
        };
        try {
            co_await pgcoro::with_deadlock_retry(b.p, body, 3);
            BOOST_ERROR("committed");
        } catch (const pgcoro::server_error& e) {
            BOOST_TEST(e.sqlstate().str() == "40P01");
            BOOST_TEST(std::string(e.what()).find("after 3 attempts") != std::string::npos, e.what());
        }
        BOOST_TEST(runs == 3);
        BOOST_TEST(b.p.stats().in_use == 0u);
    });
}

BOOST_AUTO_TEST_CASE(isolation_and_access_are_what_was_asked_for)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto show = [](const char* setting) {
            return [setting](transaction& tx) -> asio::awaitable<std::string> {
                co_return co_await tx.query_value<std::string>("select current_setting($1)", setting);
            };
        };
        BOOST_TEST(co_await transactional(b.p, show("transaction_isolation")) == "read committed");
        BOOST_TEST(co_await transactional(b.p, show("transaction_isolation"),
                                          {.isolation = isolation::repeatable_read}) == "repeatable read");
        BOOST_TEST(co_await pgcoro::with_serializable_retry(b.p, show("transaction_isolation")) ==
                   "serializable");
        BOOST_TEST(co_await transactional(b.p, show("transaction_read_only"), {.read_only = true}) == "on");
        pgcoro::transaction_options deferrable{
            .isolation = isolation::serializable, .read_only = true, .deferrable = true};
        BOOST_TEST(co_await transactional(b.p, show("transaction_deferrable"), deferrable) == "on");
        BOOST_CHECK_THROW(co_await transactional(b.p, show("x"), {.deferrable = true}),
                          std::invalid_argument);
        BOOST_CHECK_THROW(co_await transactional(b.p, show("x"), {.timeout = -1s}), std::invalid_argument);
    });
}

BOOST_AUTO_TEST_CASE(the_timeout_stops_the_server)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        int runs = 0;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            ++runs;
            co_await tx.execute("update account set cents = 0 where id = 1");
            co_await tx.execute("select pg_sleep(60)");
        };
        BOOST_CHECK_THROW(co_await transactional(b.p, body, {.timeout = 100ms}), pgcoro::deadline_exceeded);
        BOOST_TEST(runs == 1);
        BOOST_TEST(cents(1) == "100");
        auto running =
            shared_server().psql("select count(*) from pg_stat_activity where query like '%pg_sleep%' and "
                                 "state = 'active' and pid <> pg_backend_pid()");
        BOOST_TEST(running == "0");
        // What the transaction set for itself is gone with it.
        BOOST_TEST(co_await b.p.query_value<std::string>("show statement_timeout") == "30s");
    });
}

BOOST_AUTO_TEST_CASE(a_cancelled_transaction_is_rolled_back)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        bank b(executor);
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("update account set cents = 0 where id = 1");
            co_await tx.execute("select pg_sleep(60)");
        };
        auto until_it_sleeps = [&]() -> asio::awaitable<void> {
            asio::steady_timer pause(executor);
            auto sleeping = "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' "
                            "and pid <> pg_backend_pid()";
            while (shared_server().psql(sleeping) != "1") {
                pause.expires_after(5ms);
                co_await pause.async_wait(asio::use_awaitable);
            }
        };
        co_await (transactional(b.p, body) || until_it_sleeps());
        // The row is free again, on whichever connection.
        co_await b.p.execute("update account set cents = cents + 1 where id = 1");
        BOOST_TEST(cents(1) == "101");
        BOOST_TEST(b.p.stats().cleanups == 1u);
    });
}

BOOST_AUTO_TEST_CASE(a_body_without_statements_costs_nothing)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [](transaction&) -> asio::awaitable<int> { co_return 7; };
        BOOST_TEST(co_await transactional(b.p, body) == 7);
    });
}

BOOST_AUTO_TEST_CASE(begin_is_prepared_once_a_connection)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto prepared = [](transaction& tx) -> asio::awaitable<std::int64_t> {
            co_return co_await tx.query_value<std::int64_t>(
                "select count(*) from pg_prepared_statements where statement = 'begin'");
        };
        co_await transactional(b.p, prepared);
        BOOST_TEST(co_await transactional(b.p, prepared) == 1);
    });
}

BOOST_AUTO_TEST_CASE(a_begin_that_the_server_has_forgotten_is_prepared_anew)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [](transaction& tx) -> asio::awaitable<std::int64_t> {
            co_return co_await tx.query_value<std::int64_t>("select cents from account where id = 1");
        };
        co_await transactional(b.p, body);
        auto name = co_await b.p.query_value<std::string>(
            "select name from pg_prepared_statements where statement = 'begin'");
        auto forget = "deallocate " + name;
        co_await b.p.execute(forget);
        pgcoro::transaction_metrics metrics;
        pgcoro::transaction_options options;
        options.metrics = &metrics;
        BOOST_TEST(co_await transactional(b.p, body, options) == 100);
        BOOST_TEST(metrics.attempts == 2u);
        BOOST_TEST(co_await transactional(b.p, body, options) == 100);
        BOOST_TEST(metrics.attempts == 3u);
    });
}

BOOST_AUTO_TEST_CASE(ddl_under_a_cached_plan_is_met_by_running_again)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [&](transaction& tx) -> asio::awaitable<std::size_t> {
            auto rows = co_await tx.query("select * from account where id = 1");
            co_return rows[0].size();
        };
        BOOST_TEST(co_await transactional(b.p, body) == 2u);
        shared_server().psql("alter table account add column note text");
        BOOST_TEST(co_await transactional(b.p, body) == 3u);
    });
}

BOOST_AUTO_TEST_CASE(ddl_under_three_copies_in_a_statement_list_is_met_by_running_again)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        for (auto columns : {2u, 3u}) {
            if (columns == 3) shared_server().psql("alter table account add column note text");
            pgcoro::statement_list all;
            std::vector<pgcoro::pending<std::reference_wrapper<const pgcoro::result>>> copies;
            for (int i = 0; i < 3; ++i) copies.push_back(all.query("select * from account where id = 1"));
            co_await transactional(b.p, all);
            for (auto& each : copies) BOOST_TEST(each.get().get()[0].size() == columns);
        }
    });
}

BOOST_AUTO_TEST_SUITE_END()
