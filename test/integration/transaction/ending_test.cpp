// COMMIT with the last statement, a transaction as one pipeline, two phases; and what a lost answer makes of
// them.
#include "integration/support/proxy.hpp"
#include "integration/transaction/bank.hpp"
#include "transaction/core.hpp"
#include "transaction/outcome.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <signal.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <utility>

using pgcoro::transaction;
using pgcoro::transactional;
using test::fault;
using namespace std::chrono_literals;

namespace
{

constexpr auto add = "update account set cents = cents + $1 where id = $2";
constexpr auto look = "select cents from account where id = $1";

// Counts the round trips of statements (Sync, or a simple query other than the layer's own), and loses the
// answer to the n-th from the n-th byte on, once.
struct meddler
{
    std::atomic<int> trips{0};
    std::atomic<int> lose{0}; // which trip's answer; 0: none
    std::atomic<std::size_t> after{0};

    std::optional<fault> operator()(std::string_view message)
    {
        if (message[0] != 'S' && message[0] != 'Q') return std::nullopt;
        if (message.find("from pg_catalog.pg_settings") != message.npos) return std::nullopt; // the connect's
        if (++trips != lose) return std::nullopt;
        fault f;
        f.where = fault::to_client;
        f.after = after;
        return f;
    }
};

// The first transaction on a connection asks for the role's rights; those behind it do not.
asio::awaitable<void> get_acquainted(pgcoro::pool& p)
{
    auto writes = [](transaction& tx) -> asio::awaitable<void> {
        co_await tx.execute(add, 0, 3);
        co_await tx.execute(add, 0, 3);
    };
    co_await transactional(p, writes);
}

struct through_proxy
{
    meddler m;
    test::proxy between{test::socket_of(shared_server()), std::ref(m)};
    pgcoro::pool_options options = bank::options();

    through_proxy() { options.connection = pgcoro::connection_options::from_uri(between.uri()); }
};

// The exchange of a COMMIT is cut, in the answer or before the server has it, and something happens to the
// server before the next connection is made, by which the outcome is asked for.
struct interrupted
{
    pgcoro::testing::server server;
    std::function<void(pgcoro::testing::server&)> meanwhile;
    fault::direction where;
    pgcoro::transaction_metrics metrics;

    interrupted(fault::direction to, std::function<void(pgcoro::testing::server&)> what)
        : meanwhile(std::move(what))
        , where(to)
    {
        server.psql(
            "create table account (id int primary key, cents bigint); insert into account values (1, 100)");
    }

    // What transactional threw: the message of commit_unknown, or nothing.
    std::string pay()
    {
        std::atomic<bool> done = false;
        auto at_commit = [&](std::string_view message) -> std::optional<fault> {
            if (!message.starts_with("Q") || message.find("commit") == message.npos || done.exchange(true))
                return std::nullopt;
            fault f;
            f.where = where;
            return f;
        };
        test::proxy between(test::socket_of(server), at_commit);
        std::string message;
        run([&]() -> asio::awaitable<void> {
            auto options = bank::options();
            options.connection = pgcoro::connection_options::from_uri(between.uri());
            bool happened = false;
            options.on_connect = [&](pgcoro::connection&) -> asio::awaitable<void> {
                if (done && !std::exchange(happened, true)) meanwhile(server);
                co_return;
            };
            pgcoro::pool p(co_await asio::this_coro::executor, options);
            auto body = [](transaction& tx) -> asio::awaitable<void> { co_await tx.execute(add, 1, 1); };
            pgcoro::transaction_options how;
            how.metrics = &metrics;
            try {
                co_await transactional(p, body, how);
            } catch (const pgcoro::commit_unknown& e) {
                message = e.what();
            }
        });
        return message;
    }

    std::string left() { return server.psql("select cents from account"); }
};

// As the kernel does when memory runs out: the server ends all others, recovers, and goes on as the same
// process.
void kill_a_backend(pgcoro::testing::server& server)
{
    auto pid = std::stoi(server.psql("select pid from pg_stat_activity where backend_type = 'walwriter'"));
    BOOST_TEST_REQUIRE(::kill(pid, SIGKILL) == 0);
    auto recovered =
        "select pid <> " + std::to_string(pid) + " from pg_stat_activity where backend_type = 'walwriter'";
    for (std::string answer; answer != "t";) {
        try {
            answer = server.psql(recovered);
        } catch (const std::runtime_error&) { // not yet, or not any more
        }
    }
}

void crash(pgcoro::testing::server& server)
{
    server.stop(pgcoro::testing::shutdown::immediate);
    server.start();
}

void restart(pgcoro::testing::server& server)
{
    server.stop();
    server.start();
}

} // namespace

BOOST_AUTO_TEST_SUITE(endings)

BOOST_AUTO_TEST_CASE(commit_travels_with_the_last_statement_once_the_transactions_id_is_known)
{
    through_proxy t;
    run([&]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor, t.options);
        co_await get_acquainted(b.p);
        t.m.trips = 0;
        auto body = [](transaction& tx) -> asio::awaitable<std::int64_t> {
            co_await tx.execute(add, 5, 1);
            co_return co_await tx.last().query_value<std::int64_t>(look, 1);
        };
        BOOST_TEST(co_await transactional(b.p, body) == 105);
        BOOST_TEST(t.m.trips == 2);
        BOOST_TEST(cents(1) == "105");
        auto alone = [](transaction& tx) -> asio::awaitable<void> { co_await tx.last().execute(add, 5, 1); };
        co_await transactional(b.p, alone); // no id yet: COMMIT by itself
        BOOST_TEST(t.m.trips == 4);
        co_await transactional(b.p, alone, {.resolve_commit = pgcoro::resolve_commit::off});
        BOOST_TEST(t.m.trips == 5);
        BOOST_TEST(cents(1) == "115");
        BOOST_TEST(b.p.stats().in_use == 0u);
    });
}

BOOST_AUTO_TEST_CASE(a_last_statement_that_fails_commits_nothing)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto body = [](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute(add, 5, 1);
            co_await tx.last().execute("insert into account values (1, 1)");
        };
        BOOST_CHECK_THROW(co_await transactional(b.p, body), pgcoro::server_error);
        BOOST_TEST(cents(1) == "100");
        auto after = [](transaction& tx) -> asio::awaitable<void> {
            co_await tx.last().execute(add, 5, 1);
            co_await tx.execute(add, 5, 1);
        };
        BOOST_CHECK_THROW(co_await transactional(b.p, after), std::logic_error);
        BOOST_TEST(cents(1) == "105");
        auto inside = [](transaction& tx) -> asio::awaitable<void> {
            co_await tx.savepoint([](transaction& inner) -> asio::awaitable<void> {
                co_await inner.last().execute(add, 5, 1);
            });
        };
        BOOST_CHECK_THROW(co_await transactional(b.p, inside), std::logic_error);
        BOOST_TEST(cents(1) == "105");
    });
}

BOOST_AUTO_TEST_CASE(a_last_statement_whose_answer_is_lost_took_place_once_and_its_result_is_told_or_missed)
{
    // Of the second round trip's answer: nothing; the row, and not COMMIT's; COMMIT's, too, but for its end.
    for (std::size_t after : {0, 80, 95}) {
        through_proxy t;
        run([&]() -> asio::awaitable<void> {
            bank b(co_await asio::this_coro::executor, t.options);
            co_await get_acquainted(b.p);
            pgcoro::transaction_metrics metrics;
            auto body = [](transaction& tx) -> asio::awaitable<std::int64_t> {
                co_await tx.execute(add, 5, 1);
                co_return co_await tx.last().query_value<std::int64_t>(look, 1);
            };
            pgcoro::transaction_options options;
            options.metrics = &metrics;
            co_await transactional(b.p, body, options); // prepares
            t.m.trips = 0;
            t.m.after = after;
            t.m.lose = 2;
            std::optional<std::int64_t> left;
            bool missed = false;
            try {
                left = co_await transactional(b.p, body, options);
            } catch (const pgcoro::result_lost&) {
                missed = true;
            }
            BOOST_TEST(missed == (after == 0));
            if (left) BOOST_TEST(*left == 110);
            BOOST_TEST(cents(1) == "110");
            BOOST_TEST(metrics.committed == 2u);
            BOOST_TEST(metrics.commits_resolved == (after == 95 ? 0u : 1u));
            BOOST_TEST(metrics.attempts == 2u);
        });
    }
}

BOOST_AUTO_TEST_CASE(a_list_of_statements_is_a_transaction_in_one_round_trip)
{
    through_proxy t;
    run([&]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor, t.options);
        co_await get_acquainted(b.p);
        t.m.trips = 0;
        pgcoro::statement_list all;
        auto paid = all.execute(add, -30, 1);
        all.execute(add, 30, 2);
        auto left = all.query_value<std::int64_t>(look, 1);
        co_await transactional(b.p, all, {.resolve_commit = pgcoro::resolve_commit::off});
        BOOST_TEST(paid.get() == 1u);
        BOOST_TEST(left.get() == 70);
        BOOST_TEST(t.m.trips == 1);
        co_await transactional(b.p, all); // again, and with an id before COMMIT
        BOOST_TEST(left.get() == 40);
        BOOST_TEST(t.m.trips == 3);
        t.m.lose = 5; // the answer to COMMIT
        co_await transactional(b.p, all);
        BOOST_TEST(left.get() == 10);
        BOOST_TEST(cents(1) == "10");
        pgcoro::statement_list none;
        co_await transactional(b.p, none);
        pgcoro::statement_list wrong;
        auto fine = wrong.execute(add, 1, 1);
        wrong.execute("select 1/0");
        BOOST_CHECK_THROW(co_await transactional(b.p, wrong), pgcoro::server_error);
        BOOST_CHECK_THROW(fine.get(), pgcoro::server_error);
        BOOST_TEST(cents(1) == "10");
    });
}

BOOST_AUTO_TEST_CASE(a_last_list_commits_with_all_of_it_or_not_at_all_and_a_lost_answer_is_found_out)
{
    through_proxy t;
    run([&]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor, t.options);
        co_await get_acquainted(b.p);
        t.m.trips = 0;
        pgcoro::statement_list list;
        list.execute(add, 5, 2);
        auto left = list.query_value<std::int64_t>(look, 2);
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute(add, 5, 1);
            co_await tx.last().run(list);
        };
        co_await transactional(b.p, body);
        BOOST_TEST(left.get() == 105);
        BOOST_TEST(t.m.trips == 2);
        t.m.trips = 0;
        t.m.lose = 2;
        co_await transactional(b.p, body);
        BOOST_CHECK_THROW(left.get(), pgcoro::result_lost);
        BOOST_TEST(cents(1) == "110");
        BOOST_TEST(cents(2) == "110");
        list.execute("select 1 / 0");
        BOOST_CHECK_THROW(co_await transactional(b.p, body), pgcoro::server_error);
        BOOST_TEST(cents(1) == "110");
        BOOST_TEST(cents(2) == "110");
    });
}

BOOST_AUTO_TEST_CASE(an_id_that_the_server_has_forgotten_is_unknown)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        auto lost = std::make_exception_ptr(
            pgcoro::connection_error(pgcoro::connection_failure::lost, "the connection was cut"));
        std::string told;
        pgcoro::detail::transaction_core core;
        auto system = shared_server().psql("select system_identifier || ' 1' from pg_control_system()");
        core.statement_sent();
        core.id_answered("3", pgcoro::detail::parse_server_identity(system)); // frozen by initdb
        core.end_sent(pgcoro::detail::transaction_core::closing::commit);
        core.end_lost({});
        pgcoro::detail::pool_source source(b.p.shared());
        try {
            pgcoro::detail::outcome_keys keys;
            co_await pgcoro::detail::find_outcome(core, source, std::move(keys), {}, lost);
        } catch (const pgcoro::commit_unknown& e) {
            told = e.what();
        }
        BOOST_TEST(told.find("does not remember transaction 3") != told.npos, told);
        BOOST_TEST(told.find("the connection was cut") != told.npos, told);
    });
}

BOOST_AUTO_TEST_CASE(a_prepared_transaction_waits_for_its_end_and_a_lost_answer_is_found_out)
{
    pgcoro::testing::server_options with;
    with.settings["max_prepared_transactions"] = "5";
    pgcoro::testing::server server(with);
    meddler m;
    test::proxy between(test::socket_of(server), std::ref(m));
    server.psql(
        "create table account (id int primary key, cents bigint); insert into account values (1, 100)");
    auto left = [&] { return server.psql("select cents from account"); };
    auto waiting = [&] { return server.psql("select count(*) from pg_prepared_xacts"); };
    run([&]() -> asio::awaitable<void> {
        auto options = bank::options();
        options.connection = pgcoro::connection_options::from_uri(between.uri());
        pgcoro::pool p(co_await asio::this_coro::executor, options);
        auto prepare = [](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute(add, 1, 1);
            co_await tx.prepare_transaction("it's \\ one");
        };
        co_await transactional(p, prepare);
        BOOST_TEST(left() == "100");
        BOOST_TEST(waiting() == "1");
        co_await pgcoro::commit_prepared(p, "it's \\ one");
        BOOST_TEST(left() == "101");
        BOOST_CHECK_THROW(co_await pgcoro::commit_prepared(p, "it's \\ one"), pgcoro::server_error);

        m.trips = 0;
        m.lose = 2; // the answer to PREPARE TRANSACTION
        pgcoro::transaction_metrics metrics;
        co_await transactional(p, prepare, {.metrics = &metrics});
        BOOST_TEST(metrics.attempts == 1u);
        BOOST_TEST(metrics.commits_resolved == 1u);
        BOOST_TEST(waiting() == "1");
        m.trips = 0;
        m.lose = 2; // the answer to ROLLBACK PREPARED, before which the server is asked whether it has the name
        co_await pgcoro::rollback_prepared(p, "it's \\ one");
        BOOST_TEST(waiting() == "0");
        BOOST_TEST(left() == "101");

        m.trips = 0;
        m.lose = 3; // behind the statement and the id, which is asked for in any case
        co_await transactional(p, prepare, {.resolve_commit = pgcoro::resolve_commit::off, .metrics = &metrics});
        BOOST_TEST(metrics.commits_resolved == 2u);
        BOOST_TEST(waiting() == "1");
        server.pause();
        BOOST_CHECK_THROW(co_await pgcoro::rollback_prepared(p, "it's \\ one", 100ms),
                          pgcoro::connection_error); // it was not sent
        server.resume();
        try {
            co_await pgcoro::rollback_prepared(p, "it's \\ one");
        } catch (const pgcoro::server_error& e) { // it was done after all
            BOOST_TEST(e.sqlstate().str() == "42704");
        }
        BOOST_TEST(waiting() == "0");
        BOOST_TEST(left() == "101");

        BOOST_CHECK_THROW(co_await pgcoro::commit_prepared(p, ""), std::invalid_argument);
        BOOST_CHECK_THROW(co_await pgcoro::commit_prepared(p, std::string(200, 'x')), std::invalid_argument);
    });
}

BOOST_AUTO_TEST_CASE(a_commit_before_a_clean_restart_is_known)
{
    interrupted i(fault::to_client, restart);
    BOOST_TEST(i.pay() == "");
    BOOST_TEST(i.metrics.commits_resolved == 1u);
    BOOST_TEST(i.left() == "101");
}

BOOST_DATA_TEST_CASE(an_id_that_is_committed_after_a_crash_may_be_another_transactions,
                     boost::unit_test::data::make({crash, kill_a_backend}))
{
    interrupted i(fault::to_client, sample);
    auto message = i.pay();
    BOOST_TEST(message.find("crashed") != message.npos, message);
    BOOST_TEST(i.left() == "101");
}

BOOST_DATA_TEST_CASE(what_never_reached_a_server_that_then_crashed_is_run_again,
                     boost::unit_test::data::make({restart, crash, kill_a_backend}))
{
    interrupted i(fault::to_server, sample);
    BOOST_TEST(i.pay() == "");
    BOOST_TEST(i.metrics.attempts == 2u);
    BOOST_TEST(i.left() == "101");
}

BOOST_AUTO_TEST_CASE(a_server_that_was_failed_over_during_commit_does_not_know)
{
    pgcoro::testing::server server;
    server.psql(
        "create table account (id int primary key, cents bigint); insert into account values (1, 100)");
    std::atomic<bool> over = false;
    auto fail_over = [&](std::string_view message) -> std::optional<fault> {
        if (!message.starts_with("Q") || message.find("commit") == message.npos || over) return std::nullopt;
        over = true;
        fault f;
        f.where = fault::to_client;
        return f;
    };
    test::proxy between(test::socket_of(server), fail_over);
    run([&]() -> asio::awaitable<void> {
        auto options = bank::options();
        options.connection = pgcoro::connection_options::from_uri(between.uri());
        // By the time it is asked the server has another timeline, as a promoted standby has.
        bool promoted = false;
        options.on_connect = [&](pgcoro::connection&) -> asio::awaitable<void> {
            if (!over || std::exchange(promoted, true)) co_return;
            // On a busy machine the server may not have come to the COMMIT yet, and would then be right to say "aborted".
            while (server.psql("select cents from account where id = 1") != "101") {
            }
            server.stop();
            auto data = server.folder() / "data";
            std::filesystem::copy_file(data / "PG_VERSION", data / "recovery.signal"); // the owner's file
            std::filesystem::permissions(data / "recovery.signal", std::filesystem::perms::all);
            std::ofstream(data / "postgresql.auto.conf", std::ios::app) << "restore_command = 'false'\n";
            server.start();
        };
        pgcoro::pool p(co_await asio::this_coro::executor, options);
        auto body = [](transaction& tx) -> asio::awaitable<void> { co_await tx.execute(add, 1, 1); };
        auto message = std::string();
        try {
            co_await transactional(p, body);
        } catch (const pgcoro::commit_unknown& e) {
            message = e.what();
        }
        BOOST_TEST(message.find("failed over") != std::string::npos, message);
    });
}

BOOST_AUTO_TEST_CASE(a_write_on_a_standby_is_an_error_once_and_its_pool_connects_anew)
{
    pgcoro::testing::server server;
    server.psql("create table account (id int primary key, cents bigint)");
    server.stop();
    auto data = server.folder() / "data";
    std::filesystem::copy_file(data / "PG_VERSION", data / "standby.signal");
    server.start();
    run([&]() -> asio::awaitable<void> {
        auto options = bank::options();
        options.connection = pgcoro::connection_options::from_uri(server.uri());
        pgcoro::pool p(co_await asio::this_coro::executor, options);
        auto reads = [](transaction& tx) -> asio::awaitable<std::int64_t> {
            co_return co_await tx.query_value<std::int64_t>("select count(*) from account");
        };
        BOOST_TEST(co_await transactional(p, reads) == 0); // its id is asked for, and there is none
        int runs = 0;
        auto writes = [&](transaction& tx) -> asio::awaitable<void> {
            ++runs;
            co_await tx.execute("insert into account values (1, 1)");
        };
        bool read_only = false;
        try {
            co_await transactional(p, writes);
        } catch (const pgcoro::server_error& e) {
            read_only = e.code() == pgcoro::condition::read_only_server;
        }
        BOOST_TEST(read_only);
        BOOST_TEST(runs == 1);
        BOOST_TEST(p.stats().closes == 1u);
    });
}

BOOST_AUTO_TEST_CASE(a_transaction_that_sits_idle_beyond_its_timeout_is_ended_on_the_server)
{
    run([]() -> asio::awaitable<void> {
        bank b(co_await asio::this_coro::executor);
        std::string open;
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute(add, 1, 1);
            asio::steady_timer timer(co_await asio::this_coro::executor);
            do { // the body is busy with something else, until the server has let go of the row
                timer.expires_after(10ms);
                co_await timer.async_wait(asio::use_awaitable);
                open = shared_server().psql("select count(*) from pg_stat_activity where state = 'idle in "
                                            "transaction' and application_name = 'transaction test'");
            } while (open != "0");
            co_await tx.execute(add, 1, 2);
        };
        BOOST_CHECK_THROW(co_await transactional(b.p, body, {.timeout = 100ms}), pgcoro::deadline_exceeded);
        BOOST_TEST(open == "0");
        BOOST_TEST(cents(1) == "100");
    });
}

BOOST_AUTO_TEST_CASE(a_transaction_that_lasts_is_reported_once_with_its_place)
{
    struct eyes final : pgcoro::observer
    {
        void on_long_transaction(const pgcoro::long_transaction_event& e) noexcept override
        {
            ++reports;
            attempt = e.attempt;
            named = e.name == "slow";
            here = std::string_view(e.begun_at.file_name()).ends_with("ending_test.cpp");
        }
        std::atomic<int> reports{0};
        std::atomic<int> attempt{0};
        std::atomic<bool> named{false};
        std::atomic<bool> here{false};
    } seen;
    run([&]() -> asio::awaitable<void> {
        auto options = bank::options();
        options.observer = &seen;
        bank b(co_await asio::this_coro::executor, options);
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute(add, 1, 1);
            asio::steady_timer timer(co_await asio::this_coro::executor);
            for (int after = 0; after<2; after += seen.reports> 0) { // one more look after the first report
                timer.expires_after(300ms); // longer than the pool's look at its connections
                co_await timer.async_wait(asio::use_awaitable);
            }
        };
        co_await transactional(b.p, body, {.name = "slow", .report_after = 1ms});
        BOOST_TEST(seen.reports == 1);
        BOOST_TEST(seen.attempt == 1);
        BOOST_TEST(seen.named);
        BOOST_TEST(seen.here);
    });
}

BOOST_AUTO_TEST_CASE(retries_after_lost_connections_are_bounded_by_the_pools_budget_and_others_are_not)
{
    run([]() -> asio::awaitable<void> {
        auto options = bank::options();
        options.retry_budget = {.ratio = 0, .min_per_second = 0, .capacity = 2};
        bank b(co_await asio::this_coro::executor, options);
        int runs = 0;
        auto dies = [&](transaction& tx) -> asio::awaitable<void> {
            ++runs;
            co_await tx.execute("select pg_terminate_backend(pg_backend_pid())");
        };
        std::string message;
        try {
            co_await transactional(b.p, dies);
        } catch (const pgcoro::connection_error& e) {
            message = e.what();
        }
        BOOST_TEST(runs == 3);
        BOOST_TEST(message.find("the retry budget is used up") != std::string::npos, message);
        runs = 0;
        auto deadlocks = [&](transaction& tx) -> asio::awaitable<void> {
            if (++runs < 5) co_await tx.execute("do $$ begin raise 'as if' using errcode = '40P01'; end $$");
        };
        co_await transactional(b.p, deadlocks);
        BOOST_TEST(runs == 5);
    });
}

BOOST_AUTO_TEST_SUITE_END()
