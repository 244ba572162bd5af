#include "transaction/core.hpp"

#include <utility>

namespace pgcoro::detail
{

// Evidence: none yet. Whatever was known of the transaction's writes holds no longer.
void transaction_core::statement_sent() noexcept
{
    before_ = state_;
    if (state_ <= state::clean) state_ = state::unsure;
}

// Evidence: the session handed nothing to libpq.
void transaction_core::statement_not_sent() noexcept { state_ = before_; }

// Evidence: pg_current_xact_id_if_assigned(), which was run behind every statement that was sent. A transaction that
// changed a row, locked one, or had a savepoint that did, has an id.
void transaction_core::id_answered(std::string_view id, const server_identity& of)
{
    if (id.empty()) {
        if (state_ == state::unsure) state_ = state::clean;
        return;
    }
    id_ = id;
    server_known(of);
    if (state_ <= state::unsure) state_ = state::writing;
}

// Evidence: the server that ran a statement of this transaction.
void transaction_core::server_known(const server_identity& s) noexcept
{
    server_ = s;
    server_known_ = true;
}

// Evidence: an ERROR, after which the server takes ROLLBACK only.
void transaction_core::statement_refused(bool whole) noexcept
{
    if (open()) state_ = state::refused;
    if (whole) doom();
}

// Evidence: COMMIT was not sent, and will not be.
void transaction_core::doom() noexcept
{
    if (state_ < state::doomed) state_ = state::doomed;
}

// Evidence: ROLLBACK TO SAVEPOINT, which goes before the next statement, undoes what was refused.
void transaction_core::savepoint_undone() noexcept
{
    if (state_ == state::refused) state_ = progress();
}

// Evidence: COMMIT was not sent, and a server rolls back when its client is gone.
void transaction_core::connection_lost(sqlstate last_word) noexcept
{
    if (state_ >= state::severed) return;
    state_ = state::severed;
    lost_by_ = is_passing(last_word) ? cause::connection : cause::none;
}

// Evidence: PQTRANS_IDLE. The body's own COMMIT may have taken effect, or its own ROLLBACK not.
void transaction_core::left_by_body() noexcept
{
    if (state_ < state::left) state_ = state::left;
}

bool transaction_core::wants_id() const noexcept { return may_force_id() && !rules_.read_only; }

transaction_core::decision transaction_core::end(closing how) const noexcept
{
    switch (state_) {
    case state::refused:
    case state::doomed:
    case state::severed:
    case state::aborted:
    case state::left:
        return decision::report_error;
    case state::committed:
    case state::prepared:
        return decision::report_success;
    case state::ending:
    case state::in_doubt:
    case state::unconfirmed:
    case state::unknown:
        return decision::report_unknown;
    default:
        break;
    }
    // pg_prepared_xacts and pg_xact_status know a prepared transaction by its id, whatever the options say.
    if (how == closing::prepare) return id_.empty() && !id_denied_ ? decision::force_id : decision::send;
    if (state_ == state::fresh) return decision::report_success; // there is nothing to commit
    if (!may_force_id()) return decision::send;
    if (rules_.by_marker && !rules_.read_only && server_known_) return decision::send;
    if (acts_elsewhere_) return decision::force_id;
    return state_ == state::unsure && !rules_.read_only ? decision::ask_for_id : decision::send;
}

bool transaction_core::may_ride() const noexcept
{
    if (rules_.by_marker && !rules_.read_only && server_known_) return true;
    if (acts_elsewhere_) return !may_force_id();
    return !wants_id();
}

bool transaction_core::wants_marker(bool rides) const noexcept
{
    if (!rules_.by_marker || rules_.read_only || marked_) return false;
    return rides || acts_elsewhere_ || state_ == state::unsure || state_ == state::writing;
}

void transaction_core::end_sent(closing how, bool rides) noexcept
{
    how_ = how;
    before_ = state_;
    evidence_ = rides ? progress() : state_;
    state_ = state::ending;
}

// Evidence: the session handed nothing to libpq.
void transaction_core::end_not_sent() noexcept { state_ = before_; }

transaction_core::decision transaction_core::end_answered(std::string_view tag, bool confirmed) noexcept
{
    // Evidence: the server's word. COMMIT in a failed transaction is answered with ROLLBACK.
    if (tag == "ROLLBACK") {
        state_ = state::aborted;
        return decision::report_error;
    }
    if (!confirmed) {
        // Evidence: the WARNING of SyncRepWaitForLSN: state::committed here, and perhaps not on the standby.
        state_ = state::unconfirmed;
        if (can_be_asked_for()) return decision::ask_outcome;
        return unknown("the server stopped waiting for its synchronous standby, and that the standby has the "
                       "transaction cannot be confirmed: " +
                       why_not());
    }
    // Evidence: the server's word, after it waited for what synchronous_commit asks for.
    state_ = how_ == closing::commit ? state::committed : state::prepared;
    return decision::report_success;
}

// Evidence: an ERROR as the answer to COMMIT is reported before the transaction's commit record is written.
void transaction_core::end_refused() noexcept { state_ = state::aborted; }

bool transaction_core::wrote_nothing() const noexcept
{
    if (acts_elsewhere_ || how_ == closing::prepare) return false;
    return rules_.read_only || evidence_ == state::clean;
}

bool transaction_core::can_be_asked_for() const noexcept
{
    return by_row() || (!id_.empty() && server_.system != 0);
}

std::string transaction_core::why_not() const
{
    if (!rules_.by_id) return "the transaction's id was not asked for (resolve_commit is off)";
    if (id_denied_)
        return "the role may not call pg_current_xact_id_if_assigned, pg_current_xact_id or pg_backend_pid, which "
               "resolve_commit needs: grant it, or use resolve_commit::by_marker";
    if (id_.empty()) return "the transaction's id is not known";
    return "the role may not call pg_control_system, or the server has none, so that transaction " + id_ +
           " cannot be told from another server's: grant it, or use resolve_commit::by_marker";
}

transaction_core::decision transaction_core::end_lost(sqlstate last_word) noexcept
{
    lost_by_ = is_passing(last_word) ? cause::connection : cause::none;
    // Evidence: the server ends a session with this while it waits for the next statement, so it has read none.
    const bool unread = last_word == sqlstates::idle_in_transaction_session_timeout;
    // Evidence: no id behind the last statement, or READ ONLY: a commit changes nothing.
    if (unread || wrote_nothing()) {
        state_ = state::severed;
        return failed(true, lost_by_);
    }
    state_ = state::in_doubt;
    if (can_be_asked_for()) return decision::ask_outcome;
    return unknown(why_not());
}

transaction_core::decision transaction_core::ask(std::string why)
{
    reason_ = std::move(why);
    return decision::ask_outcome;
}

transaction_core::decision transaction_core::unknown(std::string why)
{
    reason_ = std::move(why);
    state_ = state::unknown;
    return decision::report_unknown;
}

// The marker may still come, by replication; the id's meaning does not come back.
transaction_core::decision transaction_core::ask_for_row_or_give_up(std::string why)
{
    return by_row() ? ask(std::move(why)) : unknown(std::move(why));
}

// The server does not have it. Does that prove that it took no effect?
transaction_core::decision transaction_core::absent(const outcome_answer& a)
{
    // Evidence: ids mean the same on this server, and it has the log up to where the transaction was, or has replaced
    // the server that had it. An id whose commit was flushed is not given again, so that of another transaction with
    // this id the same can be said.
    if (same_life(server_, a.server) || not_left_behind(server_, a.server)) {
        state_ = state::aborted;
        resolved_ = true;
        return failed(true, lost_by_);
    }
    if (a.server.timeline == 0 || server_.timeline == 0)
        return unknown("the server does not say which timeline it is on, and it may have been restarted: the role may "
                       "not call pg_walfile_name, pg_current_wal_insert_lsn or the statistics functions");
    return ask("the server that answers (" + describe(a.server) + ") was left behind by the one that had it (" +
               describe(server_) + ")");
}

// The server has it. Is it as durable as it must be?
transaction_core::decision transaction_core::present(const outcome_answer& a)
{
    // Evidence: the commit of the asker, which comes later in the log, waited for the same standbys.
    if (!a.durable)
        return unknown("it is committed on the server that answers, and that a synchronous standby has it could not "
                       "be confirmed");
    state_ = how_ == closing::commit ? state::committed : state::prepared;
    resolved_ = true;
    return decision::report_success;
}

transaction_core::decision transaction_core::outcome(const outcome_answer& a)
{
    using status = outcome_answer::status;
    // Evidence: the row is visible, and it came with the transaction, on whatever server.
    if (by_row() && a.row == outcome_answer::marker::found) return present(a);
    if (a.standby) return ask("the server that answers is a standby, which cannot say");
    if (!same_system(server_, a.server)) {
        auto why = a.server.system == 0
                       ? "the server that answers does not say which database cluster it is (pg_control_system)"
                       : "another database cluster answers (" + describe(a.server) + ") than the one that had "
                             "transaction " + id_ + " (" + describe(server_) + ")";
        return ask_for_row_or_give_up(why);
    }
    // Evidence: the asker's row has the same key, which no two committed transactions can have.
    if (by_row() && a.row == outcome_answer::marker::blocked) return absent(a);
    // Evidence: our name together with our id.
    if (how_ == closing::prepare && a.prepared) return present(a);
    switch (a.id) {
    case status::not_asked:
        return ask_for_row_or_give_up(by_row() ? "its marker is not there"
                                               : "the role may not call pg_xact_status: grant it, or use "
                                                 "resolve_commit::by_marker");
    case status::in_progress: // its process has not noticed yet that its client is gone, or waits for a standby
        return ask("the server still has transaction " + id_ + " in progress");
    case status::forgotten:
        return ask_for_row_or_give_up("the server does not remember transaction " + id_ + " any more");
    case status::aborted:
    case status::not_assigned:
        return absent(a);
    case status::committed:
        break;
    }
    // Evidence: between the two answers no id was given twice.
    if (same_life(server_, a.server)) return present(a);
    return ask_for_row_or_give_up("the server crashed or failed over meanwhile (" + describe(server_) + ", now " + describe(a.server) +
                   "); transaction " + id_ + " is committed there, but may be another one of the same id");
}

bool transaction_core::may_block(const server_identity& now) const noexcept
{
    return by_row() && same_system(server_, now) &&
           (same_life(server_, now) || not_left_behind(server_, now));
}

void transaction_core::give_up(std::string_view why)
{
    if (state_ != state::ending && state_ != state::in_doubt && state_ != state::unconfirmed) return;
    if (!why.empty()) reason_ = why;
    state_ = state::unknown;
}

transaction_core::decision transaction_core::failed(bool ours, cause why) const noexcept
{
    if (state_ == state::unknown) return decision::report_unknown;
    // Evidence for another attempt: took_no_effect(). Whose failure it is, is told by the exception's identity.
    if (!took_no_effect() || !ours || why == cause::none) return decision::report_error;
    return decision::run_again;
}

bool transaction_core::is_passing(sqlstate last_word) noexcept
{
    if (!last_word) return true; // the network's end, or a crash
    // The session itself ran into a limit: it would again.
    if (last_word == sqlstate("57P05")) return false;
    switch (classify(last_word)) {
    case failure_class::connection_lost:
    case failure_class::server_unavailable:
        return true;
    default:
        return last_word.class_code() == "08";
    }
}

void prepared_core::sent(const server_identity& to, bool was_there) noexcept
{
    if (sent_++ > 0) return;
    first_ = to;
    was_there_ = was_there;
}

prepared_core::decision prepared_core::unknown(std::string why)
{
    reason_ = std::move(why);
    return decision::report_unknown;
}

// Evidence: the command tag, after the server waited for what synchronous_commit asks for.
prepared_core::decision prepared_core::answered(bool confirmed)
{
    if (confirmed) return decision::report_success;
    reason_ = "the server stopped waiting for its synchronous standby";
    return decision::run_again; // which finds it missing, and asks whether the standby has it
}

prepared_core::decision prepared_core::missing(const server_identity& now, bool durable)
{
    // Evidence: the server's word, and nothing was sent before.
    ++refused_;
    if (!may_have_happened()) return decision::report_error;
    // Evidence: it was there before it was sent first, only this caller ends it, and the server has lost nothing since.
    if (!was_there_)
        return unknown("there is no transaction of this name, and whether there was one before is not known");
    if (!same_life(first_, now))
        return unknown("there is no transaction of this name on the server that answers (" + describe(now) +
                       "), which crashed, failed over, or is another one than the first (" + describe(first_) + ")");
    if (durable) return decision::report_success;
    return unknown("it took place, and that a synchronous standby has it could not be confirmed");
}

// Evidence for the answer's own statement: an ERROR is reported before anything is done. One sent earlier may still
// have taken effect.
prepared_core::decision prepared_core::refused()
{
    ++refused_;
    return may_have_happened() ? decision::run_again : decision::report_error;
}

} // namespace pgcoro::detail
