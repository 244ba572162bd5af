// The conversation with the server, told reply by reply, with nothing behind it.
#include "connection/round_trip.hpp"

#include <boost/test/unit_test.hpp>

#include <deque>
#include <ostream>
#include <random>
#include <vector>

using pgcoro::detail::round_trip;
using event = round_trip::event;
using io = round_trip::io;
using reply = round_trip::reply;
using request = round_trip::request;
using step = round_trip::step;

namespace pgcoro::detail
{

std::ostream& operator<<(std::ostream& out, round_trip::step s) { return out << "step " << static_cast<int>(s); }
std::ostream& operator<<(std::ostream& out, round_trip::event e) { return out << "event " << static_cast<int>(e); }

} // namespace pgcoro::detail

namespace
{

constexpr io ready{};
constexpr io busy{.busy = true};
constexpr io flushing{.flushing = true};
constexpr io flushing_and_busy{.flushing = true, .busy = true};
constexpr io broken{.broken = true};

round_trip pipelined(std::initializer_list<request> sent)
{
    round_trip t;
    t.begin(true);
    for (auto what : sent) t.expect(what);
    return t;
}

round_trip simple(request what)
{
    round_trip t;
    t.begin(false);
    t.expect(what);
    return t;
}

} // namespace

BOOST_AUTO_TEST_SUITE(round_trip_tests)

BOOST_AUTO_TEST_CASE(a_statement_is_over_at_the_end_of_its_answers)
{
    auto t = simple(request::statement);
    BOOST_TEST(t.next(busy) == step::read);
    BOOST_TEST(t.next(ready) == step::take);
    BOOST_TEST(t.on(reply::done) == event::answer);
    BOOST_TEST(t.next(busy) == step::read); // until the server is ready for another one
    BOOST_TEST(t.on(reply::end) == event::statement_end);
    BOOST_TEST(t.next(ready) == step::finished);
    BOOST_TEST(!t.lost());
}

BOOST_AUTO_TEST_CASE(a_request_that_the_socket_does_not_take_waits_for_both)
{
    auto t = simple(request::statement);
    BOOST_TEST(t.next(flushing_and_busy) == step::read_or_write);
    BOOST_TEST(t.next(flushing) == step::take); // an answer may come before all is sent
}

BOOST_AUTO_TEST_CASE(a_pipeline_is_over_at_its_last_sync)
{
    auto t = pipelined({request::setup, request::prepare, request::statement, request::trailer, request::sync});
    BOOST_TEST(t.on(reply::done) == event::nothing);
    t.on(reply::end);
    BOOST_TEST(t.on(reply::done) == event::prepared);
    t.on(reply::end);
    BOOST_TEST(t.on(reply::done) == event::answer);
    BOOST_TEST(t.on(reply::end) == event::statement_end);
    BOOST_TEST(t.on(reply::done) == event::trailer);
    t.on(reply::end);
    BOOST_TEST(t.next(busy) == step::read);
    BOOST_TEST(t.on(reply::synced) == event::synced);
    BOOST_TEST(t.next(busy) == step::finished);
}

BOOST_AUTO_TEST_CASE(what_stands_behind_an_error_is_skipped_up_to_the_sync)
{
    auto t = pipelined({request::prepare, request::statement, request::commit, request::sync, request::statement,
                        request::sync});
    BOOST_TEST(t.on(reply::failed) == event::not_prepared);
    t.on(reply::end);
    BOOST_TEST(t.on(reply::skipped) == event::skipped);
    BOOST_TEST(t.on(reply::end) == event::statement_end);
    BOOST_TEST(t.on(reply::skipped) == event::nothing);
    t.on(reply::end);
    BOOST_TEST(t.on(reply::synced) == event::synced);
    BOOST_TEST(t.on(reply::done) == event::answer);
}

BOOST_AUTO_TEST_CASE(a_sync_in_a_transaction_lets_commit_run_after_an_error)
{
    auto t = pipelined({request::setup, request::statement, request::sync_in_transaction, request::commit, request::sync});
    BOOST_TEST(t.on(reply::failed) == event::error);
    t.on(reply::end);
    BOOST_TEST(t.on(reply::skipped) == event::skipped);
    BOOST_TEST(t.on(reply::end) == event::statement_end);
    BOOST_TEST(t.on(reply::synced) == event::nothing); // nothing is committed yet
    BOOST_TEST(!t.is_finished());
    BOOST_TEST(t.on(reply::done) == event::committed);
    BOOST_TEST(t.on(reply::end) == event::nothing);
    BOOST_TEST(t.on(reply::synced) == event::synced);
    BOOST_TEST(t.is_answered());
}

BOOST_AUTO_TEST_CASE(a_commit_behind_a_sync_in_a_transaction_owes_a_sync)
{
    auto t = pipelined({request::setup, request::statement, request::sync_in_transaction});
    BOOST_TEST(!t.owes_sync());
    t.expect(request::commit);
    BOOST_TEST(t.owes_sync());
    t.expect(request::sync);
    BOOST_TEST(!t.owes_sync());
}

BOOST_AUTO_TEST_CASE(a_commit_that_the_sync_refuses_is_an_error_of_the_sync)
{
    auto t = pipelined({request::statement, request::sync});
    t.on(reply::done);
    t.on(reply::end);
    BOOST_TEST(t.on(reply::failed) == event::commit_failed); // a deferred constraint
    BOOST_TEST(t.on(reply::end) == event::nothing);          // as some versions of libpq have it
    BOOST_TEST(t.next(ready) == step::take);
    BOOST_TEST(t.on(reply::synced) == event::synced);
    BOOST_TEST(t.next(ready) == step::finished);
}

BOOST_AUTO_TEST_CASE(an_idle_libpq_is_not_an_answer_while_all_is_answered_and_more_is_flushed)
{
    auto t = pipelined({});
    t.open_queue();
    BOOST_TEST(t.next(ready) == step::queue);
    t.expect(request::statement);
    BOOST_TEST(t.next(flushing) == step::take);
    t.on(reply::failed);
    t.on(reply::end);
    // The socket has not taken the rest of the statement, and libpq says that it is not busy.
    BOOST_TEST(t.next(flushing) == step::read_or_write);
    BOOST_TEST(t.next(ready) == step::queue);
    t.expect(request::sync);
    t.close_queue();
    BOOST_TEST(t.next(busy) == step::read);
}

BOOST_AUTO_TEST_CASE(an_answer_to_nothing_ends_the_connection)
{
    auto t = simple(request::statement);
    t.on(reply::done);
    t.on(reply::end);
    BOOST_TEST(t.on(reply::done) == event::ended);
    BOOST_TEST(t.lost());
}

BOOST_AUTO_TEST_CASE(a_sync_out_of_turn_ends_the_connection)
{
    auto t = pipelined({request::statement, request::sync});
    BOOST_TEST(t.on(reply::synced) == event::ended);
    BOOST_TEST(t.next(ready) == step::finished);
}

BOOST_AUTO_TEST_CASE(a_sync_that_never_comes_ends_the_connection_instead_of_spinning)
{
    auto t = pipelined({request::sync});
    for (int i = 0; i < 10 && !t.lost(); ++i) t.on(reply::end);
    BOOST_TEST(t.lost());
}

BOOST_AUTO_TEST_CASE(a_fatal_error_ends_the_round_trip_though_the_connection_stays_open)
{
    auto t = pipelined({request::statement, request::commit, request::sync});
    BOOST_TEST(t.on(reply::fatal) == event::error);
    BOOST_TEST(t.next(busy) == step::finished);
    BOOST_TEST(t.lost());
}

BOOST_AUTO_TEST_CASE(a_broken_connection_is_asked_for_what_it_still_has)
{
    auto t = pipelined({request::statement, request::commit, request::sync});
    BOOST_TEST(t.next(broken) == step::take);
    BOOST_TEST(t.on(reply::done) == event::answer);
    t.on(reply::end);
    BOOST_TEST(t.next(broken) == step::take);
    BOOST_TEST(t.on(reply::done) == event::committed); // it had arrived before the connection broke
    BOOST_TEST(t.on(reply::lost) == event::ended);
    BOOST_TEST(t.next(broken) == step::finished);
}

BOOST_AUTO_TEST_CASE(an_open_queue_is_not_served_on_a_broken_connection)
{
    auto t = pipelined({});
    t.open_queue();
    BOOST_TEST(t.next(broken) == step::take);
    BOOST_TEST(t.on(reply::lost) == event::ended);
    BOOST_TEST(t.next(broken) == step::finished);
}

BOOST_AUTO_TEST_CASE(row_mode_is_due_when_the_statements_turn_comes)
{
    auto t = pipelined({request::setup, request::statement, request::sync});
    t.want_rows();
    BOOST_TEST(!t.is_row_mode_due());
    t.on(reply::done);
    t.on(reply::end);
    BOOST_TEST(t.is_row_mode_due());
    t.row_mode_set();
    BOOST_TEST(!t.is_row_mode_due());
    BOOST_TEST(t.on(reply::rows) == event::rows);
    BOOST_TEST(t.on(reply::done) == event::answer);
    t.on(reply::end);
    BOOST_TEST(!t.is_row_mode_due()); // not for the sync
}

BOOST_AUTO_TEST_CASE(row_mode_is_not_due_for_a_statement_behind_an_error)
{
    auto t = pipelined({request::prepare, request::statement, request::sync});
    t.want_rows();
    t.on(reply::failed);
    t.on(reply::end);
    BOOST_TEST(!t.is_row_mode_due()); // libpq refuses it for what is not run
}

BOOST_AUTO_TEST_CASE(row_mode_ends_with_its_round_trip)
{
    auto t = simple(request::statement);
    t.want_rows();
    BOOST_TEST(t.is_row_mode_due());
    t.begin(true);
    t.expect(request::statement);
    BOOST_TEST(!t.is_row_mode_due());
}

BOOST_AUTO_TEST_CASE(a_pipeline_without_its_sync_owes_one)
{
    auto t = pipelined({request::setup, request::statement});
    BOOST_TEST(t.owes_sync());
    t.abandon();
    BOOST_TEST(t.owes_sync());
    t.expect(request::statement); // the error that undoes it
    t.expect(request::sync);
    BOOST_TEST(!t.owes_sync());
    BOOST_TEST(t.next(busy) == step::read); // its answers are still due
}

BOOST_AUTO_TEST_CASE(an_abandoned_batch_queues_nothing_more)
{
    auto t = pipelined({request::statement, request::sync});
    t.open_queue();
    t.abandon();
    BOOST_TEST(t.next(ready) == step::take);
}

BOOST_AUTO_TEST_CASE(rows_of_a_copy_are_the_callers_to_send)
{
    auto t = simple(request::script);
    t.expect_copy();
    BOOST_TEST(t.on(reply::done) == event::answer); // BEGIN
    BOOST_TEST(t.on(reply::copy_in) == event::copy_in);
    BOOST_TEST(t.next(ready) == step::callers_turn);
    BOOST_TEST(t.next(flushing) == step::read_or_write);
    t.copy_in_ended();
    BOOST_TEST(t.next(busy) == step::read);
    BOOST_TEST(t.on(reply::done) == event::answer);
    BOOST_TEST(t.on(reply::end) == event::statement_end);
    BOOST_TEST(t.next(ready) == step::finished);
}

BOOST_AUTO_TEST_CASE(an_abandoned_copy_in_is_ended_by_an_error)
{
    auto t = simple(request::script);
    t.expect_copy();
    t.on(reply::copy_in);
    t.abandon();
    BOOST_TEST(t.is_unwanted_copy());
    BOOST_TEST(t.next(ready) == step::refuse_copy);
}

BOOST_AUTO_TEST_CASE(a_copy_that_nobody_asked_for_is_ended)
{
    auto t = simple(request::statement);
    BOOST_TEST(t.on(reply::copy_in) == event::copy_in);
    BOOST_TEST(t.next(ready) == step::refuse_copy);
    t.copy_in_ended();
    BOOST_TEST(t.on(reply::failed) == event::error);
    BOOST_TEST(t.on(reply::end) == event::statement_end);
    BOOST_TEST(t.next(ready) == step::finished);
    BOOST_TEST(!t.lost());
}

BOOST_AUTO_TEST_CASE(a_copy_in_a_pipeline_ends_the_connection)
{
    auto t = pipelined({request::statement, request::sync});
    BOOST_TEST(t.on(reply::copy_out) == event::misused_copy);
    BOOST_TEST(t.lost());
}

BOOST_AUTO_TEST_CASE(copied_rows_are_taken_until_none_has_arrived)
{
    auto t = simple(request::script);
    t.expect_copy();
    t.on(reply::copy_out);
    BOOST_TEST(t.next(ready) == step::take_copied);
    t.copy_is_dry();
    BOOST_TEST(t.next(ready) == step::read);
    t.bytes_arrived();
    BOOST_TEST(t.next(ready) == step::take_copied);
    t.copy_out_ended();
    BOOST_TEST(t.next(busy) == step::read); // CopyDone is not the end: that is waited for like everything else
    t.on(reply::done);
    t.on(reply::end);
    BOOST_TEST(t.next(ready) == step::finished);
}

BOOST_AUTO_TEST_CASE(a_connection_that_breaks_in_a_copy_tells_its_error)
{
    auto t = simple(request::script);
    t.expect_copy();
    t.on(reply::copy_out);
    t.copy_is_dry();
    BOOST_TEST(t.next(broken) == step::take);
    BOOST_TEST(t.on(reply::fatal) == event::error);
    BOOST_TEST(t.next(broken) == step::finished);
}

BOOST_AUTO_TEST_CASE(a_name_that_could_not_be_closed_is_told)
{
    auto t = pipelined({request::close, request::close, request::close, request::sync});
    BOOST_TEST(t.on(reply::done) == event::closed);
    t.on(reply::end);
    BOOST_TEST(t.on(reply::failed) == event::not_closed);
    t.on(reply::end);
    BOOST_TEST(t.on(reply::skipped) == event::not_closed);
    t.on(reply::end);
    BOOST_TEST(t.on(reply::synced) == event::synced);
}

BOOST_AUTO_TEST_CASE(statements_of_earlier_round_trips_are_told_apart)
{
    round_trip t;
    t.begin(true);
    t.expect(request::prepare);
    t.expect(request::statement);
    t.expect(request::statement, true);
    BOOST_TEST(!t.is_of_known_statement());
    t.on(reply::done);
    t.on(reply::end);
    BOOST_TEST(!t.is_of_known_statement());
    t.on(reply::done);
    t.on(reply::end);
    BOOST_TEST(t.is_of_known_statement());
}

// A server that answers whatever was sent as PostgreSQL does: in order, skipping behind errors up to the next sync.
// Random programs against it, left at random points; each ends, with every reply in its place.
BOOST_AUTO_TEST_CASE(every_conversation_comes_to_its_end)
{
    auto seed = std::random_device{}();
    BOOST_TEST_MESSAGE("seed " << seed);
    std::mt19937 random(seed);
    auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
    for (int program = 0; program < 20'000; ++program) {
        round_trip t;
        std::deque<request> sent;
        t.begin(true);
        auto send = [&](request what) {
            t.expect(what);
            sent.push_back(what);
        };
        t.open_queue();
        int left = static_cast<int>(random() % 20);
        int statements = 0;
        int ended = 0;
        bool left_by_user = false;
        bool failing = false;
        std::vector<reply> answers; // of the request at the front, in order
        bool finished = false;
        bool lost = false;
        for (int i = 0; i < 10'000 && !finished; ++i) {
            if (!left_by_user && chance(1)) {
                left_by_user = true;
                t.abandon();
                if (t.owes_sync()) {
                    send(request::statement);
                    ++statements;
                    send(request::sync);
                }
            }
            if (answers.empty() && !sent.empty()) {
                auto what = sent.front();
                if (what == request::sync) {
                    if (!failing && chance(3)) answers.push_back(reply::failed);
                    answers.push_back(reply::synced);
                    failing = false;
                } else {
                    if (failing)
                        answers.push_back(reply::skipped);
                    else if (chance(5)) {
                        answers.push_back(reply::failed);
                        failing = true;
                    } else
                        answers.push_back(reply::done);
                    answers.push_back(reply::end);
                }
            }
            bool has_answer = !answers.empty() && chance(60);
            io now{.flushing = chance(30), .busy = !has_answer};
            auto what = t.next(now);
            if (what == step::queue) {
                for (int n = static_cast<int>(random() % 4); n > 0 && left > 0; --n, --left) {
                    auto kinds = {request::setup, request::prepare, request::statement, request::trailer};
                    auto kind = *(kinds.begin() + random() % kinds.size());
                    send(kind);
                    if (kind == request::statement) ++statements;
                    if (chance(40)) send(request::sync);
                }
                if (left == 0) {
                    if (t.owes_sync()) send(request::sync);
                    t.close_queue();
                }
            } else if (what == step::take) {
                BOOST_REQUIRE(has_answer); // it asks only where an answer is due, and there
                auto got = answers.front();
                answers.erase(answers.begin());
                auto means = t.on(got);
                BOOST_REQUIRE(means != event::ended);
                if (means == event::statement_end) ++ended;
                if (answers.empty()) sent.pop_front();
            } else if (what == step::finished) {
                finished = true;
            }
            lost = lost || t.lost();
        }
        BOOST_REQUIRE(finished);
        BOOST_REQUIRE(!lost);
        BOOST_REQUIRE(sent.empty());
        BOOST_REQUIRE_EQUAL(ended, statements);
        BOOST_REQUIRE(t.is_answered());
    }
}

BOOST_AUTO_TEST_SUITE_END()
