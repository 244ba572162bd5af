// Never run again without proof that nothing took effect; never report success without proof that it is durable. Each
// test loses an answer, or deceives, where one of the two was broken once.
#include "integration/support/proxy.hpp"
#include "integration/transaction/bank.hpp"
#include "integration/transaction/synchronous_pair.hpp"
#include "transaction/core.hpp"

#include <pgcoro/testing/server.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using pgcoro::pool;
using pgcoro::resolve_commit;
using pgcoro::transaction;
using pgcoro::transactional;
using test::fault;
using namespace std::chrono_literals;

namespace
{

// Loses the answer to the first message that contains a text, once it is armed.
struct losing_proxy
{
    std::string text = "commit";
    std::atomic<bool> armed{false};
    std::atomic<int> lost{0};
    std::function<void()> meanwhile = [] {}; // when the message has been seen
    test::proxy between;

    explicit losing_proxy(const pgcoro::testing::server& s = shared_server())
        : between(test::socket_of(s), std::ref(*this))
    {}

    std::optional<fault> operator()(std::string_view message)
    {
        // COMMIT by itself comes last in a message of the simple protocol.
        bool seen = message.starts_with('Q') && (text == "commit" ? message.ends_with(std::string_view("commit\0", 7))
                                                                  : message.find(text) != message.npos);
        if (!seen || !armed.exchange(false)) return std::nullopt;
        ++lost;
        meanwhile();
        fault f;
        f.where = fault::to_client;
        return f;
    }

    pgcoro::pool_options options(std::size_t size = 2) const
    {
        pgcoro::pool_options o;
        o.connection = pgcoro::connection_options::from_uri(between.uri());
        o.size = size;
        o.max_overflow = 2;
        o.name = "fate test";
        return o;
    }
};

// A table of its own, empty.
struct table
{
    const pgcoro::testing::server& server;

    explicit table(const pgcoro::testing::server& s = shared_server())
        : server(s)
    {
        server.psql("drop table if exists fate; create table fate (n int)");
    }
    std::string rows() const { return server.psql("select count(*) from fate"); }
};

pgcoro::pool_options options_for(const pgcoro::testing::server& s)
{
    auto o = bank::options();
    o.connection = pgcoro::connection_options::from_uri(s.uri());
    return o;
}

asio::awaitable<void> nap(std::chrono::milliseconds time)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::use_awaitable);
}

// What an operation threw, as text; "success" if it threw nothing.
asio::awaitable<std::string> outcome_of(asio::awaitable<void> work)
{
    try {
        co_await std::move(work);
        co_return "success";
    } catch (const pgcoro::commit_unknown& e) {
        co_return std::string("commit_unknown: ") + e.what();
    } catch (const pgcoro::deadline_exceeded& e) {
        co_return std::string("deadline_exceeded: ") + e.what();
    } catch (const pgcoro::error& e) {
        co_return std::string(e.sqlstate().str()) + ": " + e.what();
    } catch (const std::exception& e) {
        co_return e.what();
    }
}

bool is(const std::string& outcome, std::string_view begin) { return outcome.starts_with(begin); }

using body = std::function<asio::awaitable<void>(transaction&)>;

asio::awaitable<void> insert(transaction& tx) { co_await tx.execute("insert into fate values (1)"); }

asio::awaitable<void> insert_streamed(transaction& tx)
{
    auto rows = tx.stream<int>("insert into fate values (1) returning n");
    for (;;) {
        auto n = co_await rows.next();
        if (!n) break;
    }
}

// One of three rows is read, and then the stream is left.
asio::awaitable<void> insert_by_a_stream_left_early(transaction& tx)
{
    auto rows = tx.stream<int>("insert into fate values (1) returning n");
    co_await rows.next();
}

asio::awaitable<void> insert_in_a_pipeline(transaction& tx)
{
    auto both = tx.pipeline();
    both.execute("select 1");
    both.execute("insert into fate values (1)");
    co_await both.run();
}

asio::awaitable<void> insert_by_a_script(transaction& tx)
{
    co_await tx.execute_script("select 1; insert into fate values (1)");
}

struct way
{
    const char* name;
    asio::awaitable<void> (*work)(transaction&);
};
std::ostream& operator<<(std::ostream& out, const way& w) { return out << w.name; }

const std::vector<way> ways{{"execute", insert},
                            {"stream", insert_streamed},
                            {"stream left early", insert_by_a_stream_left_early},
                            {"pipeline", insert_in_a_pipeline},
                            {"script", insert_by_a_script}};

} // namespace

BOOST_AUTO_TEST_SUITE(transaction_fate)

BOOST_DATA_TEST_CASE(a_write_of_any_kind_whose_commit_answer_is_lost_happens_once, boost::unit_test::data::make(ways))
{
    table t;
    losing_proxy p;
    run([&]() -> asio::awaitable<void> {
        pool setup(co_await asio::this_coro::executor, bank::options());
        co_await pgcoro::create_commit_markers(setup);
        for (auto how : {resolve_commit::by_id, resolve_commit::by_marker}) {
            shared_server().psql("truncate fate");
            pool db(co_await asio::this_coro::executor, p.options());
            int bodies = 0;
            auto work = [&](transaction& tx) -> asio::awaitable<void> {
                ++bodies;
                co_await sample.work(tx);
            };
            p.armed = true;
            pgcoro::transaction_options options;
            options.resolve_commit = how;
            auto outcome = co_await outcome_of(transactional(db, work, options));
            BOOST_TEST(outcome == "success");
            BOOST_TEST(bodies == 1);
            BOOST_TEST(t.rows() == "1");
            BOOST_TEST(!p.armed);
        }
    });
}

BOOST_AUTO_TEST_CASE(a_statement_that_its_body_abandoned_is_never_committed_unseen)
{
    table t;
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, bank::options());
        int bodies = 0;
        auto work = [&](transaction& tx) -> asio::awaitable<void> {
            using namespace asio::experimental::awaitable_operators;
            ++bodies;
            asio::steady_timer timer(co_await asio::this_coro::executor, 50ms);
            co_await (tx.execute("insert into fate select 1 from pg_sleep(20)") ||
                      timer.async_wait(asio::use_awaitable));
        };
        auto outcome = co_await outcome_of(transactional(db, work));
        BOOST_TEST(outcome != "success");
        BOOST_TEST(bodies == 1);
        BOOST_TEST(t.rows() == "0");
    });
}

BOOST_AUTO_TEST_CASE(a_stalled_synchronous_standby_makes_a_commit_unknown)
{
    synchronous_pair servers;
    auto& [primary, standby] = servers;
    table t(primary);
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, options_for(primary));
        co_await transactional(db, insert); // the control
        standby.stop();
        int bodies = 0;
        auto work = [&](transaction& tx) -> asio::awaitable<void> {
            ++bodies;
            co_await insert(tx);
        };
        auto outcome = co_await outcome_of(transactional(db, work, {.timeout = 500ms}));
        BOOST_TEST(is(outcome, "commit_unknown"), outcome);
        BOOST_TEST(bodies == 1);
        // Nobody told the server to stop waiting.
        BOOST_TEST(primary.log().find("canceling wait for synchronous replication") == std::string::npos);
        servers.wait_no_more();
    });
}

BOOST_AUTO_TEST_CASE(a_wait_for_a_standby_that_was_cancelled_is_no_success)
{
    synchronous_pair servers;
    auto& [primary, standby] = servers;
    table t(primary);
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, options_for(primary));
        co_await transactional(db, insert);
        for (bool comes_back : {true, false}) {
            standby.stop();
            std::thread administrator([&] {
                while (primary.psql("select count(pg_cancel_backend(pid)) from pg_stat_activity where wait_event = "
                                    "'SyncRep'") == "0")
                    std::this_thread::yield();
                if (comes_back) standby.start();
            });
            auto outcome = co_await outcome_of(transactional(db, insert, {.timeout = 10s}));
            administrator.join();
            if (comes_back)
                BOOST_TEST(outcome == "success");
            else
                BOOST_TEST(is(outcome, "commit_unknown"), outcome);
        }
        servers.wait_no_more();
    });
}

BOOST_AUTO_TEST_CASE(a_wait_for_a_standby_that_only_the_body_asked_for_counts_as_well)
{
    synchronous_pair servers;
    auto& [primary, standby] = servers;
    table t(primary);
    run([&]() -> asio::awaitable<void> {
        auto o = options_for(primary);
        o.connection.parameters["options"] = "-c synchronous_commit=local";
        pool db(co_await asio::this_coro::executor, o);
        standby.stop();
        for (bool by_text : {false, true}) {
            auto work = [&](transaction& tx) -> asio::awaitable<void> {
                if (by_text)
                    co_await tx.execute("set local synchronous_commit = on");
                else
                    co_await tx.set_local("synchronous_commit", "on");
                co_await insert(tx);
            };
            std::thread administrator([&] {
                while (primary.psql("select count(pg_cancel_backend(pid)) from pg_stat_activity where wait_event = "
                                    "'SyncRep'") == "0")
                    std::this_thread::yield();
            });
            auto outcome = co_await outcome_of(transactional(db, work, {.timeout = 1s}));
            administrator.join();
            BOOST_TEST(is(outcome, "commit_unknown"), outcome);
        }
        auto outcome = co_await outcome_of(transactional(db, insert, {.timeout = 1s})); // the control
        BOOST_TEST(outcome == "success");
        servers.wait_no_more();
    });
}

BOOST_AUTO_TEST_CASE(another_database_cluster_at_the_same_address_makes_it_unknown)
{
    pgcoro::testing::server blue;
    pgcoro::testing::server_options as_blue;
    as_blue.password = blue.password();
    pgcoro::testing::server green(as_blue);
    table t(blue);
    table other(green);
    for (int i = 0; i < 20; ++i) blue.psql("insert into fate values (0)"); // its ids are ahead
    blue.psql("truncate fate");
    losing_proxy p(blue);
    p.meanwhile = [&] { p.between.lead_to(test::socket_of(green)); };
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, p.options(1));
        int bodies = 0;
        auto work = [&](transaction& tx) -> asio::awaitable<void> {
            ++bodies;
            co_await insert(tx);
        };
        p.armed = true;
        auto outcome = co_await outcome_of(transactional(db, work));
        BOOST_TEST(is(outcome, "commit_unknown"), outcome);
        BOOST_TEST(outcome.find("another database cluster") != std::string::npos, outcome);
        BOOST_TEST(bodies == 1);
        BOOST_TEST(t.rows() == "1");
        BOOST_TEST(other.rows() == "0");
    });
}

BOOST_AUTO_TEST_CASE(a_marker_is_found_after_a_crash_that_makes_an_id_unknown)
{
    pgcoro::testing::server server;
    table t(server);
    for (auto how : {resolve_commit::by_id, resolve_commit::by_marker}) {
        losing_proxy p(server);
        run([&]() -> asio::awaitable<void> {
            auto options = p.options(1);
            bool happened = false;
            options.on_connect = [&](pgcoro::connection&) -> asio::awaitable<void> {
                if (p.lost > 0 && !std::exchange(happened, true)) {
                    server.stop(pgcoro::testing::shutdown::immediate);
                    server.start();
                }
                co_return;
            };
            pool db(co_await asio::this_coro::executor, options);
            co_await pgcoro::create_commit_markers(db);
            server.psql("truncate fate");
            pgcoro::transaction_options o;
            o.resolve_commit = how;
            co_await transactional(db, insert, o);
            p.armed = true;
            auto outcome = co_await outcome_of(transactional(db, insert, o));
            if (how == resolve_commit::by_marker)
                BOOST_TEST(outcome == "success");
            else
                BOOST_TEST(is(outcome, "commit_unknown"), outcome);
            BOOST_TEST(t.rows() == "2");
        });
    }
}

BOOST_AUTO_TEST_CASE(a_row_that_keeps_a_marker_away_is_not_taken_for_it)
{
    table t;
    // COMMIT never arrives, and the answer to the row that keeps its marker away is lost.
    enum { commit, row, end_of_row, over } next = commit;
    test::proxy between(test::socket_of(shared_server()), [&](std::string_view message) -> std::optional<fault> {
        bool seen = next == commit ? message.find(std::string_view("commit\0", 7)) != message.npos
                    : next == row  ? message.find("with mine as") != message.npos
                                   : next == end_of_row && message.starts_with('S');
        if (!seen) return std::nullopt;
        next = static_cast<decltype(next)>(next + 1);
        if (next == end_of_row) return std::nullopt;
        fault f;
        f.where = next == over ? fault::to_client : fault::to_server;
        return f;
    });
    run([&]() -> asio::awaitable<void> {
        auto options = bank::options();
        options.connection = pgcoro::connection_options::from_uri(between.uri());
        pool setup(co_await asio::this_coro::executor, bank::options());
        co_await pgcoro::create_commit_markers(setup);
        pool db(co_await asio::this_coro::executor, options);
        int bodies = 0;
        auto work = [&](transaction& tx) -> asio::awaitable<void> {
            ++bodies;
            co_await insert(tx);
        };
        auto outcome = co_await outcome_of(transactional(db, work, {.resolve_commit = resolve_commit::by_marker}));
        BOOST_TEST(outcome == "success");
        BOOST_TEST(bodies == 2);
        BOOST_TEST(t.rows() == "1");
        bool all_lost = next == over;
        BOOST_TEST(all_lost);
    });
}

BOOST_AUTO_TEST_CASE(markers_ride_are_removed_by_age_and_are_missed_in_words)
{
    pgcoro::testing::server server;
    table t(server);
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, options_for(server));
        pgcoro::transaction_options how;
        how.resolve_commit = resolve_commit::by_marker;
        auto missing = co_await outcome_of(transactional(db, insert, how));
        BOOST_TEST(missing.find("create_commit_markers") != std::string::npos, missing);
        BOOST_TEST(t.rows() == "0");
        co_await pgcoro::create_commit_markers(db);
        co_await pgcoro::create_commit_markers(db); // again
        co_await transactional(db, insert, how);
        auto only = [](transaction& tx) -> asio::awaitable<void> {
            co_await tx.last().execute("insert into fate values (1)");
        };
        co_await transactional(db, only, how);
        auto reads = [](transaction& tx) -> asio::awaitable<void> { co_await tx.query("select count(*) from fate"); };
        co_await transactional(db, reads, how);
        BOOST_TEST(t.rows() == "2");
        BOOST_TEST(server.psql("select count(*) from pgcoro.commit_marker") == "2");
        server.psql("insert into pgcoro.commit_marker select gen_random_uuid(), now() - interval '2 days' from "
                    "generate_series(1, 25)");
        auto removed = co_await pgcoro::remove_commit_markers(db, 24h, 10);
        BOOST_TEST(removed == 25u);
        BOOST_TEST(server.psql("select count(*) from pgcoro.commit_marker") == "2");
        BOOST_CHECK_THROW(co_await pgcoro::remove_commit_markers(db, 1min), std::invalid_argument);
    });
}

BOOST_AUTO_TEST_CASE(a_markers_age_counts_from_the_commit)
{
    pgcoro::testing::server server;
    server.psql("create table fate (begun timestamptz)");
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, options_for(server));
        co_await pgcoro::create_commit_markers(db);
        auto work = [](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("insert into fate values (now())");
            co_await tx.query("select pg_sleep(0.3)");
        };
        co_await transactional(db, work, {.resolve_commit = resolve_commit::by_marker});
        BOOST_TEST(server.psql("select at - begun >= '0.3 s' from fate, pgcoro.commit_marker") == "t");
    });
}

BOOST_AUTO_TEST_CASE(a_prepared_transaction_of_somebody_else_is_not_taken_for_ours)
{
    pgcoro::testing::server_options so;
    so.settings["max_prepared_transactions"] = "5";
    pgcoro::testing::server server(so);
    table t(server);
    server.psql("begin; insert into fate values (99); prepare transaction 'g'");
    losing_proxy p(server);
    p.text = "prepare transaction";
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, p.options());
        auto work = [&](transaction& tx) -> asio::awaitable<void> {
            co_await insert(tx);
            co_await tx.prepare_transaction("g");
        };
        for (bool loses : {false, true}) {
            p.armed = loses;
            auto outcome = co_await outcome_of(transactional(db, work));
            BOOST_TEST(is(outcome, "42710"), outcome);
        }
        co_await pgcoro::commit_prepared(db, "g");
        BOOST_TEST(server.psql("select string_agg(n::text, ',') from fate") == "99");
    });
}

BOOST_AUTO_TEST_CASE(what_became_of_a_prepared_transaction_is_unknown_once_it_was_sent)
{
    pgcoro::testing::server_options so;
    so.settings["max_prepared_transactions"] = "5";
    pgcoro::testing::server server(so);
    table t(server);
    server.psql("begin; insert into fate values (1); prepare transaction 'g'");
    losing_proxy p(server);
    p.text = "commit prepared";
    p.meanwhile = [&] { p.between.lead_to({1, {}}); };
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, p.options(1));
        co_await db.execute("select 1");
        p.armed = true;
        auto outcome = co_await outcome_of(pgcoro::commit_prepared(db, "g", 1s));
        BOOST_TEST(is(outcome, "commit_unknown"), outcome);
        p.between.lead_to(test::socket_of(server));
        auto missing = co_await outcome_of(pgcoro::commit_prepared(db, "never prepared"));
        BOOST_TEST(is(missing, "42704"), missing);
    });
}

BOOST_AUTO_TEST_CASE(retry_if_is_not_asked_about_an_unknown_commit)
{
    table t;
    losing_proxy p;
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, p.options());
        int bodies = 0;
        auto work = [&](transaction& tx) -> asio::awaitable<void> {
            ++bodies;
            co_await insert(tx);
        };
        pgcoro::transaction_options o;
        o.resolve_commit = resolve_commit::off;
        o.retry_if = [](const pgcoro::error&) { return true; };
        p.armed = true;
        auto outcome = co_await outcome_of(transactional(db, work, o));
        BOOST_TEST(is(outcome, "commit_unknown"), outcome);
        BOOST_TEST(bodies == 1);
        BOOST_TEST(t.rows() == "1");
    });
}

BOOST_AUTO_TEST_CASE(an_error_of_another_connection_is_passed_on_after_a_swallowed_one)
{
    table t;
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, bank::options());
        pool other(co_await asio::this_coro::executor, bank::options());
        for (auto* theirs : {"do $$ begin raise 'theirs' using errcode = '40001'; end $$",
                             "select pg_terminate_backend(pg_backend_pid())"}) {
            int bodies = 0;
            auto work = [&](transaction& tx) -> asio::awaitable<void> {
                ++bodies;
                try {
                    co_await tx.execute("select 1 / 0");
                } catch (const pgcoro::server_error&) { // swallowed
                }
                co_await other.execute(theirs);
            };
            auto outcome = co_await outcome_of(transactional(db, work));
            BOOST_TEST(outcome != "success");
            BOOST_TEST(bodies == 1);
        }
    });
}

BOOST_AUTO_TEST_CASE(a_session_that_idled_too_long_is_not_run_again)
{
    table t;
    run([&]() -> asio::awaitable<void> {
        auto o = bank::options();
        o.connection.idle_in_transaction_session_timeout = 100ms;
        pool db(co_await asio::this_coro::executor, o);
        for (bool another : {false, true}) {
            int bodies = 0;
            auto work = [&](transaction& tx) -> asio::awaitable<void> {
                ++bodies;
                co_await insert(tx);
                while (shared_server().psql("select count(*) from pg_stat_activity where application_name = "
                                            "'transaction test' and state = 'idle in transaction'") != "0")
                    co_await nap(20ms);
                if (another) co_await insert(tx);
            };
            auto outcome = co_await outcome_of(transactional(db, work));
            BOOST_TEST(is(outcome, "25P03"), outcome);
            BOOST_TEST(bodies == 1);
        }
        BOOST_TEST(t.rows() == "0");
    });
}

BOOST_AUTO_TEST_CASE(a_body_that_ends_its_transaction_itself_is_told_what_to_use)
{
    table t;
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, bank::options());
        for (auto* end : {"rollback", "commit", "abort", "end", "rollback and chain", "commit and chain", "begin",
                          "prepare transaction 'x'"}) {
            for (bool swallows : {false, true}) {
                auto work = [&](transaction& tx) -> asio::awaitable<void> {
                    co_await insert(tx);
                    try {
                        co_await tx.execute(end);
                    } catch (const std::logic_error&) {
                        if (!swallows) throw;
                    }
                };
                auto outcome = co_await outcome_of(transactional(db, work));
                BOOST_TEST(outcome.find("return from the body to commit") != std::string::npos, outcome);
            }
            if (std::string_view(end).starts_with("prepare")) continue;
            BOOST_CHECK_THROW(co_await db.execute(end), std::logic_error);
        }
        auto by_script = [](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute_script("insert into fate values (1); rollback; insert into fate values (2)");
        };
        auto outcome = co_await outcome_of(transactional(db, by_script));
        BOOST_TEST(outcome.find("return from the body to commit") != std::string::npos, outcome);
        BOOST_TEST(t.rows() == "0");
        auto lease = co_await db.acquire(); // where it stays possible
        co_await lease->execute("begin");
        co_await lease->execute("rollback");
    });
}

BOOST_AUTO_TEST_CASE(a_pipeline_that_would_end_its_transaction_is_not_sent)
{
    table t;
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, bank::options());
        for (auto* end : {"commit", "rollback", "rollback and chain", "commit and chain", "begin"}) {
            int bodies = 0;
            auto work = [&](transaction& tx) -> asio::awaitable<void> {
                ++bodies;
                auto all = tx.pipeline();
                all.execute("insert into fate values (1)");
                all.execute(end);
                all.execute("insert into fate values (2)");
                co_await all.run();
            };
            auto outcome = co_await outcome_of(transactional(db, work));
            BOOST_TEST(outcome.find("return from the body to commit") != std::string::npos, outcome);
            BOOST_TEST(bodies == 1);
        }
        BOOST_TEST(t.rows() == "0");
    });
}

namespace
{

asio::awaitable<void> notify(transaction& tx) { co_await tx.query("select pg_notify('fate', 'x')"); }

asio::awaitable<void> notify_in_a_pipeline(transaction& tx)
{
    auto all = tx.pipeline();
    all.execute("select 1");
    all.execute("notify fate, 'x'");
    co_await all.run();
}

const std::vector<way> ways_to_notify{{"query", notify}, {"pipeline", notify_in_a_pipeline}};

} // namespace

BOOST_DATA_TEST_CASE(a_notification_alone_happens_once, boost::unit_test::data::make(ways_to_notify))
{
    losing_proxy p;
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, p.options());
        auto listening = co_await pgcoro::connection::connect(bank::options().connection);
        co_await listening.listen(pgcoro::names("fate"));
        int bodies = 0;
        auto work = [&](transaction& tx) -> asio::awaitable<void> {
            ++bodies;
            co_await sample.work(tx);
        };
        p.armed = true;
        auto outcome = co_await outcome_of(transactional(db, work));
        BOOST_TEST(outcome == "success");
        BOOST_TEST(bodies == 1);
        auto first = co_await listening.wait_notification(1s);
        BOOST_TEST(first.has_value());
        auto second = co_await listening.wait_notification(100ms);
        BOOST_TEST(!second.has_value());
    });
}

BOOST_AUTO_TEST_CASE(a_row_in_a_foreign_table_is_written_once)
{
    pgcoro::testing::server server;
    server.psql("create extension postgres_fdw; create table far (n int); "
                "create server here foreign data wrapper postgres_fdw options (host '" +
                server.socket_dir().string() + "', port '" + std::to_string(server.port()) +
                "', dbname 'postgres'); create user mapping for postgres server here options (user 'postgres'); "
                "create foreign table near (n int) server here options (table_name 'far')");
    losing_proxy p(server);
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, p.options(1));
        int bodies = 0;
        auto work = [&](transaction& tx) -> asio::awaitable<void> {
            ++bodies;
            co_await tx.execute("insert into near values (1)");
        };
        // The first transaction of a connection asks for the role's rights as well.
        for (int expected : {1, 2}) {
            p.armed = true;
            auto outcome = co_await outcome_of(transactional(db, work));
            BOOST_TEST(outcome == "success");
            BOOST_TEST(bodies == expected);
            BOOST_TEST(server.psql("select count(*) from far") == std::to_string(expected));
            co_await transactional(db, [](transaction& tx) -> asio::awaitable<void> { co_await tx.query("select 1"); });
        }
    });
}

BOOST_AUTO_TEST_CASE(two_tenants_in_one_transaction_are_served_by_another_attempt)
{
    shared_server().psql("drop schema if exists tenant_a, tenant_b cascade; create schema tenant_a; create schema tenant_b; "
                         "create table tenant_a.t (v int); insert into tenant_a.t values (1); "
                         "create table tenant_b.t (v text); insert into tenant_b.t values ('two')");
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, bank::options());
        for (int i = 0; i < 5; ++i) {
            std::string seen;
            auto work = [&](transaction& tx) -> asio::awaitable<void> {
                seen.clear();
                for (auto* schema : {"tenant_b", "tenant_a"}) {
                    co_await tx.set_local("search_path", schema);
                    auto rows = co_await tx.query("select v from t");
                    seen += rows[0][0].type() == 25 ? rows[0][0].as<std::string>()
                                                    : std::to_string(rows[0][0].as<int>());
                }
            };
            auto outcome = co_await outcome_of(transactional(db, work));
            BOOST_TEST(outcome == "success");
            BOOST_TEST(seen == "two1");
        }
    });
}

BOOST_AUTO_TEST_CASE(deferred_constraints_end_with_the_timeout_and_a_known_outcome)
{
    shared_server().psql(
        "drop table if exists slow cascade; create table slow (n int); create or replace function slow_check() returns "
        "trigger language plpgsql as $$ begin perform pg_sleep(20); return null; end $$; create constraint trigger c "
        "after insert on slow deferrable initially deferred for each row execute function slow_check()");
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, bank::options());
        for (bool rides : {false, true}) {
            auto work = [&](transaction& tx) -> asio::awaitable<void> {
                if (rides) {
                    co_await tx.query("select pg_current_xact_id()");
                    co_await tx.last().execute("insert into slow values (1)");
                } else {
                    co_await tx.execute("insert into slow values (1)");
                }
            };
            auto begun = std::chrono::steady_clock::now();
            auto outcome = co_await outcome_of(transactional(db, work, {.timeout = 500ms}));
            BOOST_TEST(is(outcome, "deadline_exceeded"), outcome);
            bool in_time = std::chrono::steady_clock::now() - begun < 5s;
            BOOST_TEST(in_time);
        }
        BOOST_TEST(shared_server().psql("select count(*) from slow") == "0");
    });
}

BOOST_AUTO_TEST_CASE(a_frozen_server_is_given_up_at_the_timeout)
{
    pgcoro::testing::server server;
    table t(server);
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, options_for(server));
        auto work = [&](transaction& tx) -> asio::awaitable<void> {
            co_await insert(tx);
            server.pause();
            co_await insert(tx);
        };
        auto begun = std::chrono::steady_clock::now();
        auto outcome = co_await outcome_of(transactional(db, work, {.timeout = 1s}));
        bool in_time = std::chrono::steady_clock::now() - begun < 4s; // response_grace alone is 5 s
        server.resume();
        BOOST_TEST(is(outcome, "deadline_exceeded"), outcome);
        BOOST_TEST(in_time);
    });
}

BOOST_AUTO_TEST_CASE(timeouts_of_any_size_are_kept)
{
    table t;
    run([&]() -> asio::awaitable<void> {
        pool db(co_await asio::this_coro::executor, bank::options());
        for (auto timeout : {std::chrono::milliseconds::max(), std::chrono::milliseconds(9'223'372'036'854LL),
                             std::chrono::milliseconds(3'000'000'000LL), std::chrono::milliseconds(2'147'483'647LL)}) {
            auto outcome = co_await outcome_of(transactional(db, insert, {.timeout = timeout}));
            BOOST_TEST(outcome == "success", timeout.count() << ": " << outcome);
            auto lock = [&](pgcoro::connection&) -> asio::awaitable<void> { co_return; };
            co_await pgcoro::with_advisory_lock(db, "any size", lock, {.within = timeout});
            auto in_transaction = [&](transaction& tx) -> asio::awaitable<void> {
                auto nothing = [](transaction&) -> asio::awaitable<void> { co_return; };
                co_await pgcoro::with_advisory_lock(tx, "any size", nothing, {.within = timeout});
            };
            co_await transactional(db, in_transaction);
        }
        BOOST_CHECK_THROW(co_await transactional(db, insert, {.timeout = -1ms}), std::invalid_argument);
    });
}

BOOST_AUTO_TEST_CASE(a_role_without_rights_runs_transactions_and_loses_only_lost_answers)
{
    pgcoro::testing::server server;
    table t(server);
    server.psql("create role limited login password '" + server.password() + "'; grant all on fate to limited");
    losing_proxy p(server);
    struct row
    {
        std::string function;
        bool known; // by_id, in the same life of the server
    };
    // PostgreSQL 17 has given it a parameter more.
    auto message = server.psql("select oid::regprocedure from pg_proc where proname = 'pg_logical_emit_message' and "
                               "proargtypes[2] = 'text'::regtype");
    for (auto& [function, known] :
         {row{"pg_walfile_name(pg_lsn)", true}, row{"pg_stat_get_archiver()", false},
          row{"pg_control_system()", false}, row{"pg_xact_status(xid8)", false},
          row{"pg_current_xact_id_if_assigned()", false}, row{message, true},
          row{"pg_is_in_recovery()", false}}) {
        server.psql("revoke execute on function " + function + " from public; truncate fate");
        run([&]() -> asio::awaitable<void> {
            auto o = p.options(1);
            o.connection.parameters["user"] = "limited";
            pool db(co_await asio::this_coro::executor, o);
            co_await transactional(db, insert);
            co_await transactional(db, insert);
            int bodies = 0;
            auto work = [&](transaction& tx) -> asio::awaitable<void> {
                ++bodies;
                co_await insert(tx);
                co_await tx.query("select 1");
            };
            p.armed = true;
            auto outcome = co_await outcome_of(transactional(db, work));
            BOOST_TEST(is(outcome, known ? "success" : "commit_unknown"), function << ": " << outcome);
            BOOST_TEST(bodies == 1);
            BOOST_TEST(t.rows() == "3");
        });
        server.psql("grant execute on function " + function + " to public");
    }
}

BOOST_AUTO_TEST_CASE(a_pool_may_be_destroyed_before_its_transactions)
{
    struct service
    {
        asio::io_context io;
        pool db;
        service()
            : db(io.get_executor(), options())
        {}
        static pgcoro::pool_options options()
        {
            auto o = bank::options();
            o.size = 1;
            return o;
        }
    };
    auto all = std::make_unique<service>();
    std::atomic<int> begun = 0;
    auto work = [&](transaction& tx) -> asio::awaitable<void> {
        ++begun;
        co_await tx.query("select 1");
        co_await tx.query("select pg_sleep(20)");
    };
    auto call = [&]() -> asio::awaitable<void> { co_await transactional(all->db, work); };
    for (int i = 0; i < 3; ++i) asio::co_spawn(all->io, call(), asio::detached);
    while (begun == 0) all->io.run_one();
    for (int i = 0; i < 20; ++i) all->io.poll();
    all.reset(); // the pool, and then the coroutines
}

BOOST_AUTO_TEST_SUITE_END()
