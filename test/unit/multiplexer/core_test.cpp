#include "multiplexer/core.hpp"

#include <boost/test/unit_test.hpp>

#include <memory>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace pgcoro::detail;
using core = multiplexer_core;

namespace
{

struct statement final : core::statement
{
    using core::statement::statement;
};
using statement_ptr = std::shared_ptr<statement>;

struct worker final : core::worker
{};

constexpr core::time_point now{1h};
constexpr auto never = core::time_point::max();

std::shared_ptr<known_statement> text(std::string sql, bool reads_only, batching how = batching::together)
{
    auto made = std::make_shared<known_statement>(std::move(sql), reads_only);
    made->batching = how;
    return made;
}

const auto select_text = text("select", true);
const auto insert_text = text("insert", false);

// A core with one connection, and the worker for it.
struct one_connection
{
    core mux{core::limits{1, 10, 100, 100ms}};
    worker w;

    statement_ptr ask(const std::shared_ptr<known_statement>& sql, bool read, core::time_point until = never)
    {
        auto made = std::make_shared<statement>(sql, read, until);
        BOOST_REQUIRE(mux.ask(made) == core::admission::queued);
        if (mux.workers_to_start() > 0) mux.start(w);
        return made;
    }
    statement_ptr read_with_settings()
    {
        auto made = std::make_shared<statement>(select_text, true, never, true);
        BOOST_REQUIRE(mux.ask(made) == core::admission::queued);
        if (mux.workers_to_start() > 0) mux.start(w);
        return made;
    }
    statement_ptr read() { return ask(select_text, true); }
    statement_ptr write() { return ask(insert_text, false); }

    // Starts a batch, and sends all of it. Returns how many there are.
    int send()
    {
        BOOST_REQUIRE(mux.start_batch(w, now).any);
        int sent = 0;
        while (w.next().what) ++sent;
        return sent;
    }
    auto end(core::ending how) { return mux.end_batch(w, how, now); }
    void end_worker()
    {
        BOOST_TEST(!mux.start_batch(w, now).any);
        BOOST_CHECK(mux.next_step(w, false) == core::step::end);
        BOOST_TEST(mux.at_rest());
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(multiplexer_core_decisions)

BOOST_FIXTURE_TEST_CASE(read_with_settings_shares_no_sync_and_is_run_again_when_lost, one_connection)
{
    auto a = read(), b = read_with_settings(), c = read();
    BOOST_REQUIRE(mux.start_batch(w, now).any);
    std::vector<bool> own_sync;
    for (auto made = w.next(); made.what; made = w.next()) own_sync.push_back(made.own_sync);
    BOOST_TEST(own_sync == (std::vector<bool>{false, true, false}), boost::test_tools::per_element());
    BOOST_TEST(w.answered(0, "SELECT 1", now) == a.get());
    BOOST_TEST(!w.answered(1, "SELECT 1", now)); // its COMMIT may fail
    BOOST_TEST(w.committed(2) == b.get());
    BOOST_TEST(end(core::ending::lost).settled.empty()); // c is run again

    auto lost = read_with_settings();
    BOOST_TEST(send() == 2);
    BOOST_TEST(end(core::ending::lost).settled.empty());
    BOOST_TEST(!lost->settled());
}

BOOST_FIXTURE_TEST_CASE(reads_share_a_sync_and_writes_have_their_own, one_connection)
{
    auto a = read(), b = write(), c = ask(insert_text, true), d = read(), e = ask(select_text, false);
    BOOST_REQUIRE(mux.start_batch(w, now).any);
    std::vector<bool> own_sync;
    for (auto made = w.next(); made.what; made = w.next()) own_sync.push_back(made.own_sync);
    BOOST_CHECK((own_sync == std::vector<bool>{false, true, true, false, true}));
    for (std::size_t i = 0; i < 5; ++i) w.answered(i, "SELECT 1", now);
    while (w.committed(5)) {
    }
    end(core::ending::complete);
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(a_read_is_told_when_answered_a_write_when_committed, one_connection)
{
    auto a = read(), b = write();
    send();
    BOOST_TEST(w.answered(0, "SELECT 1", now) == a.get());
    BOOST_TEST(!w.answered(1, "INSERT 0 1", now));
    BOOST_TEST(!w.committed(1));
    BOOST_TEST(w.committed(2) == b.get());
    BOOST_TEST(!w.committed(2));
    end(core::ending::complete);
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(a_write_whose_commit_failed_is_told_its_error, one_connection)
{
    auto a = write();
    send();
    w.answered(0, "INSERT 0 1", now);
    BOOST_TEST(w.failed(0, false) == a.get());
    BOOST_TEST(!w.committed(1));
    end(core::ending::complete);
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(reads_behind_a_failed_one_are_run_again_alone, one_connection)
{
    auto a = read(), b = read(), c = read();
    send();
    w.answered(0, "SELECT 1", now);
    BOOST_TEST(w.failed(1, false) == b.get());
    auto ended = end(core::ending::complete);
    BOOST_TEST(ended.settled.empty());
    BOOST_TEST(!ended.same_again);
    BOOST_TEST(mux.waiting() == 1u);
    BOOST_REQUIRE(mux.start_batch(w, now).any);
    auto again = w.next();
    BOOST_TEST(again.what == c.get());
    BOOST_TEST(again.own_sync);
    w.answered(0, "SELECT 1", now);
    BOOST_TEST(w.committed(1) == c.get());
    end(core::ending::complete);
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(a_sent_write_is_unknown_when_the_connection_is_lost, one_connection)
{
    auto by_read = ask(insert_text, true); // read() does not make it one
    auto plain = write();
    send();
    auto told = end(core::ending::lost).settled;
    BOOST_REQUIRE(told.size() == 2u);
    for (auto& [s, what] : told) BOOST_CHECK(what == core::verdict::unknown);
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(a_write_that_was_not_sent_goes_to_another_connection, one_connection)
{
    auto a = write();
    BOOST_REQUIRE(mux.start_batch(w, now).any);
    BOOST_TEST(end(core::ending::lost).settled.empty());
    BOOST_TEST(mux.waiting() == 1u);
    send();
    w.answered(0, "INSERT 0 1", now);
    BOOST_TEST(w.committed(1) == a.get());
    end(core::ending::complete);
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(a_read_is_tried_on_three_connections, one_connection)
{
    auto a = read();
    for (int i = 1; i < core::most_losses; ++i) {
        send();
        BOOST_TEST(end(core::ending::lost).settled.empty());
    }
    send();
    auto told = end(core::ending::lost).settled;
    BOOST_REQUIRE(told.size() == 1u);
    BOOST_CHECK(told[0].second == core::verdict::lost);
    BOOST_TEST(told[0].first->losses() == core::most_losses);
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(an_outdated_statement_is_run_again_where_it_was, one_connection)
{
    auto a = write(), b = write();
    send();
    BOOST_TEST(!w.failed(0, true));
    w.answered(1, "INSERT 0 1", now);
    w.committed(2);
    BOOST_TEST(end(core::ending::complete).same_again);
    BOOST_TEST(mux.waiting() == 0u);
    BOOST_TEST(!a->sent()); // it was not executed
    BOOST_TEST(send() == 1);
    w.answered(0, "INSERT 0 1", now);
    BOOST_TEST(w.committed(1) == a.get());
    BOOST_TEST(!end(core::ending::complete).same_again);
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(an_error_that_looks_outdated_for_ever_is_told, one_connection)
{
    auto a = write();
    for (int i = 0; i < core::most_stale; ++i) {
        send();
        BOOST_TEST(!w.failed(0, true));
        BOOST_TEST(end(core::ending::complete).same_again);
    }
    send();
    BOOST_TEST(w.failed(0, true) == a.get());
    end(core::ending::complete);
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(an_unknown_statement_travels_alone_and_is_learned, one_connection)
{
    auto fresh = text("fresh", true, batching::unknown);
    auto a = ask(fresh, true);
    auto b = read();
    BOOST_TEST(send() == 1);
    w.answered(0, "SELECT 1", now);
    BOOST_TEST(w.committed(1) == a.get());
    BOOST_CHECK(fresh->batching == batching::together);
    end(core::ending::complete);
    BOOST_TEST(send() == 1);
    BOOST_TEST(w.answered(0, "SELECT 1", now) == b.get());
    end(core::ending::complete);
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(a_statement_found_exclusive_leaves_the_queue, one_connection)
{
    auto fresh = text("set", false, batching::unknown);
    auto a = ask(fresh, false), b = ask(fresh, false);
    send();
    w.answered(0, "SET", now);
    BOOST_TEST(w.committed(1) == a.get());
    end(core::ending::complete);
    auto started = mux.start_batch(w, now);
    BOOST_TEST(!started.any);
    BOOST_REQUIRE(started.exclusive.size() == 1u);
    BOOST_TEST(started.exclusive[0].get() == b.get());
    auto c = std::make_shared<statement>(fresh, false, never);
    BOOST_CHECK(mux.ask(c) == core::admission::exclusive);
    worker own;
    mux.start_exclusive(own, b);
    BOOST_TEST(b->settle()); // its caller leaves
    BOOST_TEST(mux.leave(*b) == &own);
    BOOST_TEST(!mux.start_batch(own, now).any);
    mux.end_exclusive(own);
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(a_batch_is_stopped_when_nobody_waits_for_it, one_connection)
{
    auto a = read(), b = read();
    send();
    BOOST_TEST(a->settle());
    BOOST_TEST(!mux.leave(*a));
    BOOST_TEST(b->settle());
    BOOST_TEST(mux.leave(*b) == &w);
    BOOST_TEST(end(core::ending::lost).settled.empty());
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(a_deadline_takes_a_statement_out_of_the_queue, one_connection)
{
    auto a = ask(select_text, true, now + 10ms);
    auto b = ask(select_text, true, now + 20ms);
    core::time_point next;
    BOOST_TEST(mux.expire(now, next).empty());
    BOOST_CHECK(next == now + 10ms);
    auto overdue = mux.expire(now + 15ms, next);
    BOOST_REQUIRE(overdue.size() == 1u);
    BOOST_TEST(overdue[0].what.get() == a.get());
    BOOST_CHECK(next == now + 20ms);
    BOOST_TEST(mux.waiting() == 1u);
    BOOST_TEST(mux.expire(now + 1h, next).size() == 1u);
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(without_a_connection_all_who_wait_are_told, one_connection)
{
    auto a = read(), b = write();
    auto told = mux.no_connection(w);
    BOOST_TEST(told.size() == 2u);
    BOOST_TEST(mux.waiting() == 0u);
    BOOST_TEST(mux.at_rest());
}

BOOST_FIXTURE_TEST_CASE(closed_it_ends_what_is_under_way_and_nothing_else, one_connection)
{
    auto a = read();
    send();
    auto b = read();
    auto closed = mux.close();
    BOOST_REQUIRE(closed.settled.size() == 1u);
    BOOST_TEST(closed.settled[0].get() == b.get());
    BOOST_CHECK(mux.ask(std::make_shared<statement>(select_text, true, never)) == core::admission::closed);
    BOOST_TEST(w.answered(0, "SELECT 1", now) == a.get());
    BOOST_TEST(end(core::ending::complete).settled.empty());
    end_worker();
}

BOOST_FIXTURE_TEST_CASE(a_destroyed_worker_leaves_nobody_waiting, one_connection)
{
    auto a = write(), b = read();
    send();
    auto c = read();
    auto told = mux.destroyed(w, now);
    BOOST_REQUIRE(told.size() == 3u);
    BOOST_CHECK(told[0].second == core::verdict::unknown);
    BOOST_CHECK(told[1].second == core::verdict::closed);
    BOOST_CHECK(told[2].second == core::verdict::closed);
    BOOST_TEST(mux.closed());
    BOOST_TEST(mux.at_rest());
}

BOOST_AUTO_TEST_SUITE_END()
