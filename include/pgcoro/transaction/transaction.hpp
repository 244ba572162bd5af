#pragma once

#include <pgcoro/connection/statement_list.hpp>
#include <pgcoro/detail/owned.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/pool/pool.hpp>
#include <pgcoro/resilience/deadline.hpp>
#include <pgcoro/resilience/retry.hpp>
#include <pgcoro/transaction/options.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{

class transaction;

namespace detail
{
class connection_source;
class statement_limit;
class transaction_core;
struct transaction_core_deleter
{
    void operator()(transaction_core* c) const noexcept;
};
struct statement_limit_deleter
{
    void operator()(statement_limit* l) const noexcept;
};
} // namespace detail

/// A coroutine function that takes `transaction&`.
template <class Body>
concept transaction_body = requires
{
    typename detail::awaited<std::invoke_result_t<Body&, transaction&>>::type;
};

/// The transaction is committed, and what its last statement gave was lost with the connection; see
/// `transaction::last()`. It is not to be run again.
class result_lost : public error
{
public:
    using error::error;
    bool invalidates_transaction() const noexcept override { return false; }
    bool invalidates_connection() const noexcept override { return true; }
};

/// A transaction's last statement, which COMMIT travels with; see `transaction::last()`.
class last_statement : public querying<last_statement>
{
public:
    using querying::run;
    /// All these statements, in one round trip, as the last. Their handles have their results, or their
    /// error, when it returns or throws; `result_lost` where their transaction is committed all the same.
    boost::asio::awaitable<void> run(const statement_list& all);

private:
    friend class transaction;
    friend class querying<last_statement>;
    explicit last_statement(transaction& of) noexcept
        : transaction_(of)
    {}
    boost::asio::awaitable<result> run_kept(std::string_view sql, const params& args);

    transaction& transaction_;
};

/// A transaction under way, as the body of `transactional` gets it. It begins with its first statement, in
/// the same round trip, and ends with the body: COMMIT if it returns, ROLLBACK if it throws. The body keeps
/// no reference to it. A statement that would begin or end a transaction itself (BEGIN, COMMIT, ROLLBACK …) is a
/// `std::logic_error`, and the transaction is rolled back.
///
/// **Errors** beyond those of `querying`: `deadline_exceeded` when the transaction's time is over. After an
/// error of the server's the transaction, or the savepoint() it happened in, can only be rolled back; that
/// happens also if the body swallows the error. `std::logic_error` for a statement after the last().
/// **Cancellation:** any kind; the transaction is rolled back. **Threads:** one coroutine at a time.
class transaction final : public querying<transaction>,
                          public statements<transaction>,
                          private detail::statement_host
{
public:
    transaction(detail::connection_source& source, lease held, const transaction_options& options, deadline until,
                int attempt, const std::vector<std::string>& unprepared);
    transaction(const transaction&) = delete;
    transaction& operator=(const transaction&) = delete;
    ~transaction();

    /// Runs `body(transaction&)`, which gets this very transaction, in a savepoint, and gives what it gives;
    /// nested to any depth. If the body throws, what it did is undone, the exception reaches the caller, and
    /// the transaction goes on:
    ///
    /// ```cpp
    /// try {
    ///     co_await tx.savepoint([&](pgcoro::transaction& inner) { return add_bonus(inner, id); });
    /// } catch (const pgcoro::server_error& e) {
    ///     if (!e.is_constraint("bonus_once")) throw;
    /// }
    /// ```
    /// Costs no round trip: SAVEPOINT travels with the body's first statement, RELEASE and ROLLBACK TO with
    /// the next one after it or with COMMIT (until then what it locked stays locked), and a body without
    /// statements sends nothing.
    ///
    /// An error of the server's that the body swallows undoes the savepoint too, and is thrown. After a
    /// deadlock, a serialization failure, a lost connection or the transaction's timeout no savepoint helps:
    /// the whole transaction is lost, every later statement throws the same error, and `transactional` runs
    /// it again. **Cancellation:** any kind; the savepoint is undone, and the transaction can go on.
    template <transaction_body Body>
    std::invoke_result_t<Body&, transaction&> savepoint(Body body)
    {
        using value_type = typename detail::awaited<std::invoke_result_t<Body&, transaction&>>::type;
        enter_savepoint();
        std::exception_ptr failure; // a catch block must not suspend, and GCC 12 dislikes a throw in it
        if constexpr (std::is_void_v<value_type>) {
            try {
                co_await body(*this);
                leave_savepoint();
                co_return;
            } catch (...) {
                failure = std::current_exception();
            }
        } else {
            try {
                value_type value = co_await body(*this);
                leave_savepoint();
                co_return value;
            } catch (...) {
                failure = std::current_exception();
            }
        }
        undo_savepoint();
        std::rethrow_exception(std::move(failure));
    }

    /// How many savepoints are around the caller.
    std::size_t depth() const noexcept { return depth_; }

    /// A server setting for the rest of this transaction (of this savepoint, when it is undone), for instance
    /// a user's name that row security policies look at. As SET LOCAL, but `value` is a parameter.
    boost::asio::awaitable<void> set_local(std::string_view name, std::string_view value);

    /// Statements with settings of the server that hold for the statement only, for instance a statement on behalf of
    /// another tenant or role. They are set back to what they were before right behind the statement, in its round trip:
    ///
    /// ```cpp
    /// co_await tx.with({{"role", "auditor"}}).execute("insert into audit (what) values ($1)", "transfer");
    /// ```
    /// If the statement fails, the settings end with the transaction, or with the savepoint() around it, which can only
    /// be rolled back. A setting with a dot that was never made is empty afterwards, not null. See `with_settings`.
    with_settings<transaction> with(local_settings settings);

    /// Through this the last statement is run, in any way of `querying`, and COMMIT travels with it: a round
    /// trip less.
    ///
    /// ```cpp
    /// co_return co_await tx.last().query_value<std::int64_t>("select cents from account where id = $1", 1);
    /// ```
    /// Its result comes when the transaction is committed; if the statement fails, it is rolled back. Nothing
    /// can be run in the transaction after it, and the body's later exceptions undo nothing.
    ///
    /// As long as the transaction's id is not known, COMMIT goes by itself, because its outcome could not be
    /// found out if its answer were lost: that is where nothing was written before, and the transaction is
    /// neither read-only nor without `resolve_commit`. With `resolve_commit::by_marker` COMMIT travels with the
    /// statement also then.
    ///
    /// **Errors** beyond a statement's: those of COMMIT (serialization failures, deferred constraints);
    /// `commit_unknown`; `result_lost`. `std::logic_error` in a savepoint.
    last_statement& last() noexcept { return last_; }

    /// Ends the transaction with PREPARE TRANSACTION, for a transaction manager that ends it by
    /// `commit_prepared` or `rollback_prepared` later, from whatever connection. `gid` is its name, unique in
    /// the server, of 1 to 199 bytes. Nothing can be run in the transaction after it. If the answer is lost,
    /// the server is asked (`pg_prepared_xacts`, `pg_xact_status`); what was not prepared is run again.
    /// The server's `max_prepared_transactions` must be above 0.
    ///
    /// A prepared transaction holds its locks, over restarts too, until somebody ends it: keep the names.
    boost::asio::awaitable<void> prepare_transaction(std::string_view gid);

    /// Which attempt this is, counted from 1.
    int attempt() const noexcept { return attempt_; }

    /// Returns the transaction's id as text. It is known after the statement that wrote first, or after the next one:
    /// the first statement of a connection's first transaction asks for the role's rights instead. Empty before, for
    /// transactions that write nothing, and without `resolve_commit`.
    const std::string& id() const noexcept;

    /// How it runs.
    const transaction_options& options() const noexcept { return options_; }

    /// Has `then` called once this attempt has ended and has committed, is prepared, or may have committed,
    /// also when that cannot be found out; not after a rollback. In the order of asking, before
    /// `transactional` returns; it must not throw.
    void at_commit(std::function<void()> then) { at_commit_.push_back(std::move(then)); }

    /// The rest is for `transactional`.
    /// @{

    /// What is known of its fate.
    const detail::transaction_core& core() const noexcept { return *core_; }
    /// The session that it runs on; null at its end.
    detail::session* session() noexcept;
    /// Will the next statement undo a savepoint first?
    bool undoes_next() const noexcept;
    /// Is this the very exception that one of its statements, or its end, threw?
    bool threw(const std::exception_ptr& failure) const noexcept;
    /// Commits, unless it is at its end already. Throws what kept it from that; if the answer is lost, finds
    /// out what came of it first.
    boost::asio::awaitable<void> commit();
    /// Rolls back. Does not throw; a connection that does not comply by the deadline is given up.
    boost::asio::awaitable<void> rollback(std::chrono::steady_clock::time_point by);
    /// The first error that the transaction cannot be committed after; null if there is none.
    const std::exception_ptr& failure() const noexcept { return failure_; }
    /// @}

private:
    friend class last_statement;
    friend class querying<transaction>;
    friend class statements<transaction>;
    friend class with_settings<transaction>;

    boost::asio::awaitable<result> run_kept(std::string_view sql, const params& args);
    boost::asio::awaitable<result> run_with(const local_settings& settings, std::string_view sql, const params& args);
    boost::asio::awaitable<result> run_last(std::string_view sql, const params& args);
    boost::asio::awaitable<void> run_last(const statement_list& all);

    detail::statement_host& host() noexcept { return *this; }
    detail::session& on() override;
    void check(std::string_view sql) override;
    detail::prologue begin(std::string_view sql) override;
    void told(const char* id) override;
    std::exception_ptr failed(std::exception_ptr why, std::string_view sql) override;

    void enter_savepoint();
    void leave_savepoint();
    void undo_savepoint();

    enum class question { none, rights, id };

    void check_last() const;
    void note_effects(const result& got);
    std::string_view next_question();
    std::string_view rights_question() const noexcept;
    void limit_time(detail::session& session, detail::prologue& p, bool first, std::string_view sql);
    void limit_statement_time(detail::session& session, detail::prologue& p);
    void limit_again(detail::session& session, detail::prologue& p, const local_settings& settings);
    [[noreturn]] void fail_late(std::string_view sql);
    std::chrono::steady_clock::time_point answer_due() const;
    std::string ending_text(std::string_view statement, bool marked);
    std::string marker_statement();
    boost::asio::awaitable<void> ask_for_id(bool force);
    boost::asio::awaitable<bool> ready_to_end(bool prepares);
    boost::asio::awaitable<void> end_by(std::string statement, std::string gid, bool prepares);
    boost::asio::awaitable<void> find_out(std::exception_ptr lost, std::string gid = {});
    boost::asio::awaitable<void> end_answered(std::string tag, std::string gid);
    boost::asio::awaitable<void> end_failed(std::exception_ptr failure, bool sent, std::string gid, std::string sql);
    bool may_ride();
    std::exception_ptr overdue(std::exception_ptr failure, std::string_view sql);
    void ended() noexcept;
    void let_go() noexcept;

    detail::connection_source& source_; // of connections to ask for the outcome on
    lease lease_;
    const transaction_options& options_;
    deadline until_;
    int attempt_;
    const std::vector<std::string>& unprepared_; // texts that are not to be prepared
    detail::owned<detail::transaction_core, detail::transaction_core_deleter> core_;
    question asked_ = question::none; // goes behind the statement under way
    bool asking_ = false;             // the statement under way is a question itself
    bool commit_next_ = false;        // COMMIT goes with the next statement
    std::size_t depth_ = 0;           // savepoints that the caller is in
    std::size_t set_ = 0;             // of those, known to the server
    std::vector<std::string> due_;    // RELEASE and ROLLBACK TO, with the next statement
    detail::owned<detail::statement_limit, detail::statement_limit_deleter> limit_;
    params statement_time_;   // of the limit that travels with the statement under way
    params transaction_time_; // the same for transaction_timeout
    // What the statement under way takes to the server; restored if it does not get there.
    struct
    {
        std::uint64_t sent = 0;
        std::size_t set = 0;
        std::vector<std::string> due;
    } before_;
    std::string marker_;         // the key of the row that goes with COMMIT; empty before
    std::exception_ptr failure_; // the first error that it cannot be committed after
    std::exception_ptr latest_;  // the last one that was thrown
    last_statement last_{*this};
    std::vector<std::function<void()>> at_commit_;
};

} // namespace pgcoro
