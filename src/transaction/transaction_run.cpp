#include <pgcoro/transaction/transactional.hpp>

#include "connection/diagnostics.hpp"

#include <algorithm>

namespace pgcoro::detail
{

namespace
{

namespace asio = boost::asio;
using clock = std::chrono::steady_clock;

// How long the outcome of a lost COMMIT is asked for, where no deadline says less.
constexpr std::chrono::seconds resolve_within{30};

} // namespace

transaction_run::transaction_run(pool& p, const transaction_options& options)
    : pool_(p)
    , options_((options.validate(), options))
    , begun_(clock::now())
    , until_(options.timeout.count() > 0 ? deadline::after(options.timeout, begun_) : deadline::never())
    , retry_options_{.operation = options.name, .deadline = until_, .observer = p.options().observer}
    , loop_(options_.retry, retry_options_)
{}

transaction_run::~transaction_run()
{
    if (finished_) return;
    if (committing_ && transaction_) transaction_->tell_committed(); // it may have
    finish(transaction_outcome::rolled_back);                        // cancelled, or destroyed
}

void transaction_run::finish(transaction_outcome outcome)
{
    finished_ = true;
    metrics_.total = clock::now() - begun_;
    metrics_.waiting += loop_.waited();
    metrics_.retries = metrics_.attempts > 0 ? metrics_.attempts - 1 : 0;
    if (options_.metrics) *options_.metrics += metrics_;
    if (auto* o = pool_.options().observer)
        o->on_transaction({pool_.options().name, options_.name, outcome, static_cast<int>(metrics_.attempts),
                           resolved_, metrics_.total});
}

asio::awaitable<void> transaction_run::start(std::source_location where)
{
    ++metrics_.attempts;
    committing_ = false;
    auto asked = clock::now();
    auto within = pool_.options().acquire_timeout;
    auto left = until_.remaining(asked);
    if (left < within)
        within = std::max(std::chrono::ceil<std::chrono::milliseconds>(left), std::chrono::milliseconds(1));
    lease held = co_await pool_.acquire(within, where);
    metrics_.waiting += clock::now() - asked;
    transaction_.emplace(std::move(held), options_, until_, loop_.attempt());
}

asio::awaitable<void> transaction_run::commit()
{
    committing_ = true;
    std::exception_ptr lost;
    auto id = transaction_->id();
    auto came = co_await transaction_->commit(lost);
    if (came == transaction::commit_result::not_sent) std::rethrow_exception(lost);
    if (came == transaction::commit_result::unknown) co_await resolve(lost, id);
    transaction_->tell_committed();
    loop_.succeeded();
    ++metrics_.committed;
    finish(transaction_outcome::committed);
}

// Returns if the transaction committed; throws `lost` if it did not, or wrote nothing, so that it is run
// again; commit_unknown if that cannot be said.
asio::awaitable<void> transaction_run::resolve(std::exception_ptr lost, std::string id)
{
    bool wrote_nothing = id.empty() && options_.resolve_commit;
    if (options_.read_only || wrote_nothing) std::rethrow_exception(lost);
    auto limit = earlier(until_, deadline::after(resolve_within));
    std::string why = "the transaction's id was not asked for (resolve_commit is off)";
    auto pause =
        backoff::exponential(std::chrono::milliseconds(5), std::chrono::milliseconds(500), jitter::none);
    for (int asked = 1; !id.empty() && !limit.expired(); ++asked) {
        std::optional<std::string> status;
        try {
            auto left = std::chrono::ceil<std::chrono::milliseconds>(limit.remaining());
            lease held = co_await pool_.acquire(left);
            status =
                co_await held->query_value<std::optional<std::string>>("select pg_xact_status($1::xid8)", id);
        } catch (const error& e) {
            why = "asking for the outcome of transaction " + id + " failed: " + e.message();
            if (!e.is_transient()) break;
            status = "in progress"; // as far as we know
        }
        if (status == "committed" || status == "aborted") {
            resolved_ = true;
            ++metrics_.commits_resolved;
            if (status == "committed") co_return;
            std::rethrow_exception(lost);
        }
        if (!status) {
            why = "the server does not remember transaction " + id + " any more";
            break;
        }
        // In progress: its process has not noticed yet that its client is gone.
        co_await time_source::steady().sleep_for(pause.curve(asked));
    }
    std::string what =
        "the connection broke during COMMIT, and whether it took place could not be found out: " + why;
    commit_unknown unknown(what);
    try {
        std::rethrow_exception(lost);
    } catch (const error& e) {
        unknown.add_note(e.what());
    }
    throw unknown;
}

transaction_run::cause transaction_run::cause_of(const std::exception_ptr& failure) const
{
    // What failed outside of this transaction's own statements and COMMIT is none of its business: the body's
    // exceptions, errors of other connections, acquire().
    if (!transaction_ || (!committing_ && !transaction_->failure())) return cause::none;
    try {
        std::rethrow_exception(failure);
    } catch (const server_error& e) {
        if (e.sqlstate() == sqlstates::serialization_failure) return cause::serialization;
        if (e.sqlstate() == sqlstates::deadlock_detected) return cause::deadlock;
        // The statement cache has dropped the plan by now: the next attempt prepares it anew.
        if (is_lost_statement(e.sqlstate(), e.diag().routine)) return cause::stale_plan;
        if (options_.retry_if && options_.retry_if(e)) return cause::requested;
    } catch (const connection_error& e) {
        if (e.why() == connection_failure::lost || e.why() == connection_failure::timeout)
            return cause::connection;
    } catch (const error& e) {
        if (options_.retry_if && options_.retry_if(e)) return cause::requested;
    } catch (...) {
    }
    return cause::none;
}

asio::awaitable<void> transaction_run::failed(std::exception_ptr failure)
{
    auto cancellation = co_await asio::this_coro::cancellation_state;
    bool cancelled = cancellation.cancelled() != asio::cancellation_type::none || is_cancellation(failure);
    auto why = cause_of(failure);
    switch (why) {
    case cause::serialization:
        ++metrics_.serialization_failures;
        break;
    case cause::deadlock:
        ++metrics_.deadlocks;
        break;
    case cause::connection:
        ++metrics_.connections_lost;
        break;
    default:
        ++metrics_.other_failures;
    }
    bool unknown = false;
    try {
        std::rethrow_exception(failure);
    } catch (const commit_unknown&) {
        unknown = true;
    } catch (...) {
    }
    if (transaction_ && (unknown || (cancelled && committing_)))
        transaction_->tell_committed(); // it may have
    // A cancelled coroutine cannot wait for anything more: the pool rolls back when the lease comes home.
    if (transaction_ && !cancelled)
        co_await transaction_->rollback(clock::now() + pool_.options().cleanup_timeout);
    transaction_.reset();
    if (loop_.failed(failure, why != cause::none, cancelled)) {
        co_await loop_.wait();
        co_return;
    }
    finish(unknown ? transaction_outcome::unknown : transaction_outcome::rolled_back);
    loop_.rethrow();
}

} // namespace pgcoro::detail
