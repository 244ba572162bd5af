// What is known of one attempt at a transaction, and what follows from it. Evidence in, decision out: no I/O, no
// clock, no threads. Nothing else judges what became of a transaction.
//
// Two rules. An attempt is never run again without proof that it took no effect. Success is never reported without
// proof that the transaction is as durable as its session asked for.
#pragma once

#include "base/server_identity.hpp"

#include <pgcoro/error/sqlstate.hpp>

#include <string>
#include <string_view>

namespace pgcoro::detail
{

// What a server said when it was asked what became of a transaction.
struct outcome_answer
{
    enum class status {
        not_asked,    // the role may not call pg_xact_status, or the transaction's id is not known
        committed,
        aborted,
        in_progress,
        not_assigned, // the server has not given that id to any transaction yet
        forgotten,    // so long ago that the server has no record of it any more
    };
    enum class marker {
        not_asked,
        found,   // the row is there: its transaction is committed
        blocked, // an asker put its own row there and committed it: the transaction cannot commit any more
        absent,  // the row is not there, and may still come
    };

    server_identity server;
    bool standby = false;
    status id = status::not_asked;
    marker row = marker::not_asked;
    bool prepared = false; // pg_prepared_xacts has it, under our name and with our id
    // What is committed there is as durable as the session asked for: a commit of the asker's own, later in the log,
    // was confirmed, or there is no standby to wait for.
    bool durable = false;
};

// Why an attempt of which nothing stays may be worth another one.
enum class transaction_cause { none, serialization, deadlock, connection, requested, stale_plan };

class transaction_core
{
public:
    enum class state {
        fresh,         // nothing was sent
        clean,         // the id was asked for behind the last statement, and there is none: nothing is written
        unsure,        // a statement was sent, and nothing was heard of the id behind it
        writing,       // has an id
        refused,       // the server refused a statement: undoing the savepoint around it mends that
        doomed,        // can only be rolled back
        severed,       // the connection is gone, and COMMIT was not sent: the server rolls back
        aborted,       // rolled back, by the server's word
        left,          // the body ended it on the server with a statement of its own
        ending,        // COMMIT or PREPARE TRANSACTION is on its way
        in_doubt,      // and the connection is gone
        unconfirmed,   // committed, but its durability is not confirmed yet
        committed,
        prepared,
        unknown,       // for good
    };
    enum class closing { commit, prepare };
    enum class decision {
        proceed,
        ask_for_id,    // before COMMIT: whether the last statements wrote is not known
        force_id,      // before COMMIT: it has an effect, and no id to ask for afterwards
        send,          // COMMIT, or PREPARE TRANSACTION
        ask_outcome,   // of the server, again and again until another decision comes
        run_again,
        report_success,
        report_unknown,
        report_error,
    };
    using cause = transaction_cause;

    struct rules
    {
        bool by_id = true;
        bool by_marker = false;
        bool read_only = false;
    };

    transaction_core() noexcept = default;
    explicit transaction_core(rules r) noexcept
        : rules_(r)
    {}

    // Statements.
    void statement_sent() noexcept;
    // The statement that was told last never left the client.
    void statement_not_sent() noexcept;
    // Answered behind the last statement that was sent; empty: the transaction has no id.
    void id_answered(std::string_view id, const server_identity& of);
    // The last statement does something that leaves no id: NOTIFY, or a change to a foreign table.
    void acts_elsewhere() noexcept { acts_elsewhere_ = true; }
    // The last statement may set synchronous_commit: the transaction may ask for more than a session does by default.
    void sets_durability() noexcept { durability_set_ = true; }
    // The role may not ask for the id.
    void id_is_denied() noexcept { id_denied_ = true; }
    // Who the server is, where that is certain without the transaction's id.
    void server_known(const server_identity& s) noexcept;
    // A marker row goes with COMMIT.
    void marker_sent() noexcept { marked_ = true; }
    // An ERROR. `whole`: no savepoint mends it.
    void statement_refused(bool whole) noexcept;
    // A timeout, or the like: the connection may be fine, and nothing more is to be sent but ROLLBACK.
    void doom() noexcept;
    void savepoint_undone() noexcept;
    // With the SQLSTATE of the FATAL before it, if there was one.
    void connection_lost(sqlstate last_word) noexcept;
    // The server says that no transaction is open, and COMMIT was not sent.
    void left_by_body() noexcept;

    // The end.
    // The body has returned: what comes next?
    decision end(closing how) const noexcept;
    // There was none.
    void nothing_to_commit() noexcept { state_ = state::committed; }
    // May COMMIT go in the same round trip as the last statement, before an answer to it?
    bool may_ride() const noexcept;
    // May the asker keep the marker's transaction from committing, with a row of its own? Only where that proves that
    // it took no effect.
    bool may_block(const server_identity& now) const noexcept;
    // Is a marker row to go with the end? `rides`: a statement goes with it, too.
    bool wants_marker(bool rides) const noexcept;
    // `rides`: a statement goes in the same round trip.
    void end_sent(closing how, bool rides = false) noexcept;
    void end_not_sent() noexcept;
    // With the command tag. `confirmed`: the server did not warn that its wait for a standby was cancelled.
    decision end_answered(std::string_view tag, bool confirmed) noexcept;
    // An ERROR as the answer. Those that the server itself reports are its word that nothing stays.
    void end_refused() noexcept;
    // No answer. What comes next?
    decision end_lost(sqlstate last_word) noexcept;
    decision outcome(const outcome_answer& a);
    // Nobody answers in time, or the caller does not wait for an answer.
    void give_up(std::string_view why);

    // The attempt failed. `ours`: of a statement of this transaction, or of its end.
    decision failed(bool ours, cause why) const noexcept;

    // Questions.
    state now() const noexcept { return state_; }
    bool begun() const noexcept { return state_ != state::fresh; }
    // May more statements follow?
    bool open() const noexcept { return state_ <= state::writing; }
    // No statement can follow, whatever savepoint is undone.
    bool over() const noexcept { return state_ >= state::doomed; }
    bool wants_id() const noexcept;
    // Certainly nothing of it stays.
    bool took_no_effect() const noexcept { return state_ <= state::aborted; }
    bool succeeded() const noexcept { return state_ == state::committed || state_ == state::prepared; }
    // Something of it may stay, or does.
    bool may_have_taken_effect() const noexcept { return !took_no_effect(); }
    // The outcome came from a question to the server.
    bool resolved() const noexcept { return resolved_; }
    closing how() const noexcept { return how_; }
    bool marked() const noexcept { return marked_; }
    // Must it be on a synchronous standby, if there is one, whatever a session asks for by default? A server that stopped
    // waiting for one was asked to wait.
    bool needs_standby() const noexcept { return durability_set_ || state_ == state::unconfirmed; }
    const std::string& id() const noexcept { return id_; }
    const server_identity& server() const noexcept { return server_; }
    // Why the outcome is not known, or not yet.
    const std::string& reason() const noexcept { return reason_; }
    cause lost_by() const noexcept { return lost_by_; }

    // Does a connection that was lost with this FATAL (none: the default value) let the attempt be run again?
    static bool is_passing(sqlstate last_word) noexcept;

private:
    bool may_force_id() const noexcept { return rules_.by_id && !id_denied_ && id_.empty(); }
    bool wrote_nothing() const noexcept;
    bool can_be_asked_for() const noexcept;
    bool by_row() const noexcept { return marked_ && how_ == closing::commit; }
    std::string why_not() const;
    state progress() const noexcept { return id_.empty() ? state::unsure : state::writing; }
    decision ask(std::string why);
    decision unknown(std::string why);
    decision ask_for_row_or_give_up(std::string why);
    decision absent(const outcome_answer& a);
    decision present(const outcome_answer& a);

    rules rules_;
    state state_ = state::fresh;
    state before_ = state::fresh;   // the last statement, or the end, was sent
    state evidence_ = state::fresh; // of what was written, at the time that the end was sent
    closing how_ = closing::commit;
    cause lost_by_ = cause::none;
    bool acts_elsewhere_ = false;
    bool durability_set_ = false;
    bool id_denied_ = false;
    bool server_known_ = false;
    bool marked_ = false;
    bool resolved_ = false;
    std::string id_;
    server_identity server_; // that gave the id
    std::string reason_;
};

// COMMIT PREPARED and ROLLBACK PREPARED: whether a prepared transaction has been ended.
class prepared_core
{
public:
    using decision = transaction_core::decision;

    // It was handed to this server, where pg_prepared_xacts had the name before, or not.
    void sent(const server_identity& to, bool was_there) noexcept;
    // With its command tag. `confirmed`: the server did not warn that its wait for a standby was cancelled.
    decision answered(bool confirmed);
    // The server says that there is no transaction of this name. `durable`: what was committed there before is on
    // the standby.
    decision missing(const server_identity& now, bool durable);
    // Any other ERROR.
    decision refused();
    // No answer.
    decision lost() const noexcept { return decision::run_again; }

    // It was sent at least once, and none of the answers says that it did not take effect.
    bool may_have_happened() const noexcept { return sent_ > refused_; }
    const std::string& reason() const noexcept { return reason_; }

private:
    decision unknown(std::string why);

    int sent_ = 0;
    int refused_ = 0; // of those sent
    bool was_there_ = false; // before it was sent first
    server_identity first_;
    std::string reason_ = "no server answered in time: ask pg_prepared_xacts, or repeat the call";
};

} // namespace pgcoro::detail
