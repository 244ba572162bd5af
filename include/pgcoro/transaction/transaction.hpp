#pragma once

#include <pgcoro/pool/pool.hpp>
#include <pgcoro/resilience/deadline.hpp>
#include <pgcoro/transaction/options.hpp>

#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace pgcoro
{

/// A transaction under way, as the body of `transactional` gets it. It begins with its first statement, in
/// the same round trip, and ends with the body: COMMIT if it returns, ROLLBACK if it throws. The body neither
/// commits nor rolls back, and keeps no reference to it.
///
/// **Errors** beyond those of `querying`: `deadline_exceeded` when the transaction's time is over. After an
/// error of the server's the transaction can only be rolled back; that happens also if the body swallows the
/// error. **Cancellation:** any kind; the transaction is rolled back. **Threads:** one coroutine at a time.
class transaction final : public querying<transaction>,
                          public statements<transaction>,
                          private detail::statement_host
{
public:
    transaction(lease held, const transaction_options& options, deadline until, int attempt);
    transaction(const transaction&) = delete;
    transaction& operator=(const transaction&) = delete;

    /// As query(), with parameters made by hand.
    boost::asio::awaitable<result> run(std::string_view sql, params args);

    /// Which attempt this is, counted from 1.
    int attempt() const noexcept { return attempt_; }

    /// The transaction's id as text, known once it has written something; empty before, for read-only
    /// transactions, and without `resolve_commit`.
    const std::string& id() const noexcept { return id_; }

    /// How it runs.
    const transaction_options& options() const noexcept { return options_; }

    /// Has `then` called once this attempt has committed, or may have: also when that cannot be found out. Not
    /// after a rollback. In the order of asking, on the thread that learns of it; it must not throw.
    void at_commit(std::function<void()> then) { at_commit_.push_back(std::move(then)); }

    /// The rest is for `transactional`.
    /// @{

    /// What came of COMMIT.
    enum class commit_result {
        committed,
        not_sent, ///< the connection was lost before: nothing happened
        unknown,  ///< the connection was lost during COMMIT
    };
    /// Throws what kept it from committing. `lost` is set where the result is not `committed`.
    boost::asio::awaitable<commit_result> commit(std::exception_ptr& lost);
    /// Rolls back. Does not throw; a connection that does not comply by the deadline is given up.
    boost::asio::awaitable<void> rollback(std::chrono::steady_clock::time_point by);
    /// It committed, or may have: calls what at_commit() was given, once.
    void tell_committed() noexcept;
    /// The first error of a statement of this transaction; null if none failed.
    const std::exception_ptr& failure() const noexcept { return failure_; }
    /// @}

private:
    friend class querying<transaction>;
    boost::asio::awaitable<result> run_kept(std::string_view sql, const params& args);
    friend class statements<transaction>;
    detail::statement_host& host() noexcept { return *this; }
    detail::session& on() override;
    detail::prologue begin(std::string_view sql) override;
    void told(const char* id) override;
    std::exception_ptr failed(std::exception_ptr why, std::string_view sql) override;

    lease lease_;
    const transaction_options& options_;
    deadline until_;
    int attempt_;
    bool begun_ = false;
    std::string id_;
    std::exception_ptr failure_;
    std::vector<std::function<void()>> at_commit_;
};

} // namespace pgcoro
