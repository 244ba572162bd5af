// What the transaction core concludes from each piece of evidence, one transition a test.
#include "transaction/core.hpp"

#include <boost/test/unit_test.hpp>

using pgcoro::sqlstate;
using pgcoro::detail::outcome_answer;
using pgcoro::detail::prepared_core;
using pgcoro::detail::server_identity;
using pgcoro::detail::transaction_cause;
using pgcoro::detail::transaction_core;
using state = transaction_core::state;
using decision = transaction_core::decision;
using closing = transaction_core::closing;
using status = outcome_answer::status;
using marker = outcome_answer::marker;

namespace
{

const server_identity here{7, 1, 100, {50, 60}};
const server_identity crashed{7, 1, 100, {51, 61}};
const server_identity promoted{7, 2, 200, {70, 80}};
const server_identity elsewhere{8, 1, 100, {50, 60}};

transaction_core read()
{
    transaction_core c;
    c.statement_sent();
    c.id_answered("", {});
    return c;
}

transaction_core wrote(transaction_core::rules rules = {})
{
    transaction_core c(rules);
    c.statement_sent();
    c.id_answered("42", here);
    return c;
}

// COMMIT's answer was lost, after a write.
transaction_core doubtful(transaction_core::rules rules = {}, closing how = closing::commit)
{
    auto c = wrote(rules);
    c.end_sent(how);
    if (rules.by_marker) c.marker_sent();
    BOOST_TEST_REQUIRE((c.end_lost({}) == decision::ask_outcome));
    return c;
}

outcome_answer answer(status s, const server_identity& from = here)
{
    outcome_answer a;
    a.server = from;
    a.id = s;
    a.durable = true;
    return a;
}

outcome_answer answer(marker m, const server_identity& from = here)
{
    auto a = answer(status::not_asked, from);
    a.row = m;
    return a;
}

#define CHECK_IS(actual, expected) BOOST_CHECK_MESSAGE((actual) == (expected), #actual " is " #expected)

} // namespace

BOOST_AUTO_TEST_SUITE(transaction_core_transitions)

BOOST_AUTO_TEST_CASE(an_empty_transaction_has_nothing_to_commit)
{
    transaction_core c;
    CHECK_IS(c.end(closing::commit), decision::report_success);
    c.nothing_to_commit();
    BOOST_TEST(c.succeeded());
}

BOOST_AUTO_TEST_CASE(a_statement_without_a_word_of_the_id_leaves_it_unsure)
{
    transaction_core c;
    c.statement_sent();
    CHECK_IS(c.now(), state::unsure);
    CHECK_IS(c.end(closing::commit), decision::ask_for_id);
}

BOOST_AUTO_TEST_CASE(no_id_behind_the_last_statement_means_nothing_written)
{
    auto c = read();
    CHECK_IS(c.now(), state::clean);
    CHECK_IS(c.end(closing::commit), decision::send);
    c.statement_sent(); // and the next one makes it unsure again
    CHECK_IS(c.now(), state::unsure);
}

BOOST_AUTO_TEST_CASE(a_statement_that_never_left_changes_nothing)
{
    auto c = read();
    c.statement_sent();
    c.statement_not_sent();
    CHECK_IS(c.now(), state::clean);
}

BOOST_AUTO_TEST_CASE(an_id_means_that_it_writes)
{
    auto c = wrote();
    CHECK_IS(c.now(), state::writing);
    BOOST_TEST(c.id() == "42");
    CHECK_IS(c.end(closing::commit), decision::send);
    BOOST_TEST(!c.wants_id());
}

BOOST_AUTO_TEST_CASE(an_effect_without_an_id_needs_one_before_commit)
{
    auto c = read();
    c.acts_elsewhere();
    CHECK_IS(c.end(closing::commit), decision::force_id);
    BOOST_TEST(!c.may_ride());
    transaction_core without({.by_id = false});
    without.statement_sent();
    without.acts_elsewhere();
    CHECK_IS(without.end(closing::commit), decision::send);
}

BOOST_AUTO_TEST_CASE(notify_in_a_read_only_transaction_needs_an_id_too)
{
    transaction_core c({.read_only = true});
    c.statement_sent();
    c.acts_elsewhere();
    CHECK_IS(c.end(closing::commit), decision::force_id);
}

BOOST_AUTO_TEST_CASE(without_the_right_to_ask_commit_is_sent_at_once)
{
    transaction_core c;
    c.id_is_denied();
    c.statement_sent();
    CHECK_IS(c.end(closing::commit), decision::send);
    c.end_sent(closing::commit);
    CHECK_IS(c.end_lost({}), decision::report_unknown);
    BOOST_TEST(c.reason().find("pg_current_xact_id_if_assigned") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_prepared_transaction_always_has_an_id)
{
    transaction_core c({.by_id = false});
    CHECK_IS(c.end(closing::prepare), decision::force_id);
    auto w = wrote();
    CHECK_IS(w.end(closing::prepare), decision::send);
}

BOOST_AUTO_TEST_CASE(a_refused_statement_forbids_commit_until_its_savepoint_is_undone)
{
    auto c = wrote();
    c.statement_sent();
    c.statement_refused(false);
    CHECK_IS(c.end(closing::commit), decision::report_error);
    c.savepoint_undone();
    CHECK_IS(c.now(), state::writing);
    c.statement_refused(true);
    c.savepoint_undone();
    CHECK_IS(c.now(), state::doomed);
}

BOOST_AUTO_TEST_CASE(a_read_undone_to_its_savepoint_is_unsure)
{
    auto c = read();
    c.statement_sent();
    c.statement_refused(false);
    c.savepoint_undone();
    CHECK_IS(c.now(), state::unsure);
}

BOOST_AUTO_TEST_CASE(a_connection_lost_before_commit_is_run_again)
{
    auto c = wrote();
    c.connection_lost({});
    CHECK_IS(c.now(), state::severed);
    CHECK_IS(c.failed(true, c.lost_by()), decision::run_again);
}

BOOST_AUTO_TEST_CASE(a_fatal_error_is_judged_by_its_sqlstate)
{
    for (auto* passing : {"57P01", "57P02", "57P03", "08006", "08P01", "53300"})
        BOOST_TEST(transaction_core::is_passing(sqlstate(passing)), passing);
    for (auto* lasting : {"25P03", "25P04", "57P05", "57P04", "53200", "XX000", "42501"})
        BOOST_TEST(!transaction_core::is_passing(sqlstate(lasting)), lasting);
    auto c = wrote();
    c.connection_lost(sqlstate("25P03"));
    CHECK_IS(c.failed(true, c.lost_by()), decision::report_error);
}

BOOST_AUTO_TEST_CASE(somebody_elses_failure_is_never_run_again)
{
    auto c = wrote();
    c.statement_refused(true);
    CHECK_IS(c.failed(false, transaction_cause::serialization), decision::report_error);
    CHECK_IS(c.failed(true, transaction_cause::serialization), decision::run_again);
    CHECK_IS(c.failed(true, transaction_cause::none), decision::report_error);
}

BOOST_AUTO_TEST_CASE(a_transaction_that_its_body_ended_is_never_run_again)
{
    auto c = wrote();
    c.left_by_body();
    CHECK_IS(c.end(closing::commit), decision::report_error);
    CHECK_IS(c.failed(true, transaction_cause::connection), decision::report_error);
    BOOST_TEST(c.may_have_taken_effect());
    c.connection_lost({}); // changes nothing
    CHECK_IS(c.now(), state::left);
}

BOOST_AUTO_TEST_CASE(commit_answered_with_its_tag_is_success)
{
    auto c = wrote();
    c.end_sent(closing::commit);
    CHECK_IS(c.end_answered("COMMIT", true), decision::report_success);
    CHECK_IS(c.now(), state::committed);
    auto p = wrote();
    p.end_sent(closing::prepare);
    CHECK_IS(p.end_answered("PREPARE TRANSACTION", true), decision::report_success);
    CHECK_IS(p.now(), state::prepared);
}

BOOST_AUTO_TEST_CASE(commit_answered_with_rollback_is_an_error)
{
    auto c = wrote();
    c.end_sent(closing::commit);
    CHECK_IS(c.end_answered("ROLLBACK", true), decision::report_error);
    BOOST_TEST(c.took_no_effect());
}

BOOST_AUTO_TEST_CASE(commit_that_stopped_waiting_for_its_standby_is_confirmed_first)
{
    auto c = wrote();
    c.end_sent(closing::commit);
    CHECK_IS(c.end_answered("COMMIT", false), decision::ask_outcome);
    CHECK_IS(c.outcome(answer(status::committed)), decision::report_success);
    auto bare = transaction_core({.by_id = false});
    bare.statement_sent();
    bare.end_sent(closing::commit);
    CHECK_IS(bare.end_answered("COMMIT", false), decision::report_unknown);
}

BOOST_AUTO_TEST_CASE(a_refused_commit_took_no_effect)
{
    auto c = wrote();
    c.end_sent(closing::commit);
    c.end_refused();
    CHECK_IS(c.failed(true, transaction_cause::serialization), decision::run_again);
}

BOOST_AUTO_TEST_CASE(a_commit_that_never_left_took_no_effect)
{
    auto c = wrote();
    c.end_sent(closing::commit);
    c.end_not_sent();
    CHECK_IS(c.now(), state::writing);
}

BOOST_AUTO_TEST_CASE(a_lost_commit_of_a_read_is_run_again)
{
    auto c = read();
    c.end_sent(closing::commit);
    CHECK_IS(c.end_lost({}), decision::run_again);
    transaction_core only({.read_only = true});
    only.statement_sent();
    only.end_sent(closing::commit);
    CHECK_IS(only.end_lost({}), decision::run_again);
}

BOOST_AUTO_TEST_CASE(a_lost_commit_that_a_statement_rode_with_may_have_written)
{
    auto c = read();
    c.end_sent(closing::commit, true);
    CHECK_IS(c.end_lost({}), decision::report_unknown);
}

BOOST_AUTO_TEST_CASE(a_lost_commit_of_a_write_is_asked_about)
{
    auto c = doubtful();
    CHECK_IS(c.now(), state::in_doubt);
    CHECK_IS(c.failed(true, transaction_cause::connection), decision::report_error);
}

BOOST_AUTO_TEST_CASE(a_lost_commit_without_an_id_is_unknown)
{
    transaction_core c({.by_id = false});
    c.statement_sent();
    c.end_sent(closing::commit);
    CHECK_IS(c.end_lost({}), decision::report_unknown);
    BOOST_TEST(c.reason().find("resolve_commit is off") != std::string::npos);
    CHECK_IS(c.failed(true, transaction_cause::connection), decision::report_unknown);
}

BOOST_AUTO_TEST_CASE(an_id_of_a_server_that_is_not_known_is_of_no_use)
{
    transaction_core c;
    c.statement_sent();
    c.id_answered("42", {});
    c.end_sent(closing::commit);
    CHECK_IS(c.end_lost({}), decision::report_unknown);
    BOOST_TEST(c.reason().find("pg_control_system") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_session_that_ended_idle_had_not_read_commit)
{
    auto c = wrote();
    c.end_sent(closing::commit);
    CHECK_IS(c.end_lost(sqlstate("25P03")), decision::report_error);
    BOOST_TEST(c.took_no_effect());
    auto shut = wrote();
    shut.end_sent(closing::commit);
    CHECK_IS(shut.end_lost(sqlstate("57P01")), decision::ask_outcome);
}

BOOST_AUTO_TEST_CASE(committed_in_the_same_life_is_success)
{
    auto c = doubtful();
    CHECK_IS(c.outcome(answer(status::committed)), decision::report_success);
    BOOST_TEST(c.resolved());
}

BOOST_AUTO_TEST_CASE(committed_after_a_crash_or_failover_is_unknown)
{
    auto after_crash = doubtful();
    CHECK_IS(after_crash.outcome(answer(status::committed, crashed)), decision::report_unknown);
    auto after_failover = doubtful();
    CHECK_IS(after_failover.outcome(answer(status::committed, promoted)), decision::report_unknown);
}

BOOST_AUTO_TEST_CASE(committed_and_not_durable_is_unknown)
{
    auto c = doubtful();
    auto a = answer(status::committed);
    a.durable = false;
    CHECK_IS(c.outcome(a), decision::report_unknown);
}

BOOST_AUTO_TEST_CASE(aborted_or_not_assigned_is_run_again)
{
    for (auto s : {status::aborted, status::not_assigned}) {
        for (auto& server : {here, crashed, promoted}) {
            auto c = doubtful();
            CHECK_IS(c.outcome(answer(s, server)), decision::run_again);
            CHECK_IS(c.now(), state::aborted);
        }
    }
}

BOOST_AUTO_TEST_CASE(aborted_on_a_server_left_behind_proves_nothing)
{
    transaction_core c;
    c.statement_sent();
    c.id_answered("42", promoted);
    c.end_sent(closing::commit);
    c.end_lost({});
    CHECK_IS(c.outcome(answer(status::aborted, here)), decision::ask_outcome);
    CHECK_IS(c.outcome(answer(status::not_assigned, here)), decision::ask_outcome);
}

BOOST_AUTO_TEST_CASE(aborted_without_a_timeline_proves_it_in_the_same_life_only)
{
    server_identity mute = here;
    mute.timeline = 0;
    transaction_core c;
    c.statement_sent();
    c.id_answered("42", mute);
    c.end_sent(closing::commit);
    c.end_lost({});
    auto same = c;
    CHECK_IS(same.outcome(answer(status::aborted, mute)), decision::run_again);
    mute.statistics = {1, 2};
    CHECK_IS(c.outcome(answer(status::aborted, mute)), decision::report_unknown);
}

BOOST_AUTO_TEST_CASE(in_progress_is_asked_again_whatever_the_server)
{
    for (auto& server : {here, crashed, promoted}) {
        auto c = doubtful();
        CHECK_IS(c.outcome(answer(status::in_progress, server)), decision::ask_outcome);
    }
}

BOOST_AUTO_TEST_CASE(another_system_knows_nothing)
{
    for (auto s : {status::committed, status::aborted, status::not_assigned, status::in_progress}) {
        auto c = doubtful();
        CHECK_IS(c.outcome(answer(s, elsewhere)), decision::report_unknown);
    }
}

BOOST_AUTO_TEST_CASE(a_standby_is_asked_again)
{
    auto c = doubtful();
    auto a = answer(status::not_asked);
    a.standby = true;
    CHECK_IS(c.outcome(a), decision::ask_outcome);
}

BOOST_AUTO_TEST_CASE(what_the_server_forgot_or_may_not_say_is_unknown)
{
    auto c = doubtful();
    CHECK_IS(c.outcome(answer(status::forgotten)), decision::report_unknown);
    auto d = doubtful();
    CHECK_IS(d.outcome(answer(status::not_asked)), decision::report_unknown);
}

BOOST_AUTO_TEST_CASE(nobody_answers_is_unknown)
{
    auto c = doubtful();
    c.give_up("no server");
    CHECK_IS(c.now(), state::unknown);
    BOOST_TEST(c.reason() == "no server");
    auto done = wrote();
    done.end_sent(closing::commit);
    done.end_answered("COMMIT", true);
    done.give_up("too late");
    BOOST_TEST(done.succeeded());
}

BOOST_AUTO_TEST_CASE(a_fatal_that_would_come_again_is_not_run_again_after_an_abort)
{
    auto c = wrote();
    c.end_sent(closing::commit);
    CHECK_IS(c.end_lost(sqlstate("25P04")), decision::ask_outcome);
    CHECK_IS(c.outcome(answer(status::aborted)), decision::report_error);
}

BOOST_AUTO_TEST_CASE(a_prepared_transaction_is_found_by_name_and_id)
{
    auto c = doubtful({}, closing::prepare);
    auto a = answer(status::in_progress);
    CHECK_IS(c.outcome(a), decision::ask_outcome); // another's has that name, or it is still being prepared
    a.prepared = true;
    CHECK_IS(c.outcome(a), decision::report_success);
    CHECK_IS(c.now(), state::prepared);
}

BOOST_AUTO_TEST_CASE(a_marker_goes_with_the_commit_of_a_write)
{
    transaction_core::rules rules{.by_marker = true};
    BOOST_TEST(wrote(rules).wants_marker(false));
    transaction_core r(rules);
    r.statement_sent();
    r.id_answered("", {});
    BOOST_TEST(!r.wants_marker(false));
    BOOST_TEST(r.wants_marker(true));
    BOOST_TEST(!transaction_core({.by_marker = true, .read_only = true}).wants_marker(true));
    BOOST_TEST(!transaction_core().wants_marker(true));
}

BOOST_AUTO_TEST_CASE(commit_rides_where_its_outcome_can_be_found_out)
{
    BOOST_TEST(!transaction_core().may_ride());
    BOOST_TEST(wrote().may_ride());
    BOOST_TEST(transaction_core({.by_id = false}).may_ride());
    BOOST_TEST(transaction_core({.read_only = true}).may_ride());
    transaction_core m({.by_marker = true});
    BOOST_TEST(!m.may_ride()); // absence proves nothing without a server to compare with
    m.server_known(here);
    BOOST_TEST(m.may_ride());
}

BOOST_AUTO_TEST_CASE(a_marker_that_is_found_is_success_on_any_server)
{
    for (auto& server : {here, crashed, promoted, elsewhere}) {
        auto c = doubtful({.by_marker = true});
        CHECK_IS(c.outcome(answer(marker::found, server)), decision::report_success);
    }
}

BOOST_AUTO_TEST_CASE(a_marker_that_was_blocked_is_run_again)
{
    for (auto& server : {here, crashed, promoted}) {
        auto c = doubtful({.by_marker = true});
        BOOST_TEST(c.may_block(server));
        CHECK_IS(c.outcome(answer(marker::blocked, server)), decision::run_again);
    }
    auto c = doubtful({.by_marker = true});
    BOOST_TEST(!c.may_block(elsewhere));
    BOOST_TEST(!doubtful().may_block(here));
}

BOOST_AUTO_TEST_CASE(a_marker_that_is_absent_is_asked_for_again)
{
    auto c = doubtful({.by_marker = true});
    CHECK_IS(c.outcome(answer(marker::absent)), decision::ask_outcome);
    CHECK_IS(c.outcome(answer(marker::absent, elsewhere)), decision::ask_outcome);
}

BOOST_AUTO_TEST_CASE(a_standby_is_needed_where_the_server_waited_or_the_body_asked)
{
    auto by_default = doubtful();
    BOOST_TEST(!by_default.needs_standby());
    transaction_core asked;
    asked.sets_durability();
    BOOST_TEST(asked.needs_standby());
    auto waited = wrote();
    waited.end_sent(closing::commit);
    BOOST_TEST((waited.end_answered("COMMIT", false) == decision::ask_outcome));
    BOOST_TEST(waited.needs_standby());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(prepared_core_transitions)

BOOST_AUTO_TEST_CASE(an_answer_is_success)
{
    prepared_core c;
    c.sent(here, true);
    CHECK_IS(c.answered(true), decision::report_success);
}

BOOST_AUTO_TEST_CASE(missing_at_first_is_the_callers_error)
{
    prepared_core c;
    c.sent(here, false);
    CHECK_IS(c.missing(here, true), decision::report_error);
}

BOOST_AUTO_TEST_CASE(missing_after_a_lost_answer_is_success_in_the_same_life)
{
    prepared_core c;
    c.sent(here, true);
    CHECK_IS(c.lost(), decision::run_again);
    c.sent(here, true);
    auto promoted_since = c;
    auto not_durable = c;
    CHECK_IS(c.missing(here, true), decision::report_success);
    CHECK_IS(promoted_since.missing(promoted, true), decision::report_unknown);
    CHECK_IS(not_durable.missing(here, false), decision::report_unknown);
}

BOOST_AUTO_TEST_CASE(missing_and_never_seen_is_unknown)
{
    prepared_core c;
    c.sent(here, false);
    c.lost();
    c.sent(here, false);
    CHECK_IS(c.missing(here, true), decision::report_unknown);
}

BOOST_AUTO_TEST_CASE(refused_is_an_error_unless_an_answer_was_lost)
{
    prepared_core c;
    c.sent(here, true);
    CHECK_IS(c.refused(), decision::report_error);
    BOOST_TEST(!c.may_have_happened());
    prepared_core d;
    d.sent(here, true);
    d.lost();
    d.sent(here, true);
    CHECK_IS(d.refused(), decision::run_again);
    BOOST_TEST(d.may_have_happened());
}

BOOST_AUTO_TEST_CASE(an_unconfirmed_answer_is_confirmed_by_asking_again)
{
    prepared_core c;
    c.sent(here, true);
    CHECK_IS(c.answered(false), decision::run_again);
    c.sent(here, true);
    CHECK_IS(c.missing(here, true), decision::report_success);
}

BOOST_AUTO_TEST_SUITE_END()
