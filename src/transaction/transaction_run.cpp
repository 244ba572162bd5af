#include <pgcoro/transaction/transactional.hpp>

#include "connection/clock.hpp"
#include "connection/diagnostics.hpp"
#include "connection/open_span.hpp"
#include "pool/pool_impl.hpp"
#include "resilience/is_a.hpp"
#include "resilience/text.hpp"
#include "transaction/core.hpp"
#include "transaction/outcome.hpp"

#include <algorithm>

namespace pgcoro::detail
{

namespace asio = boost::asio;

struct transaction_run::verdict
{
    bool ours = false; // the failure is of this transaction's own statements, or of its end
    cause why = cause::none;
    transaction_core::decision next = transaction_core::decision::report_error;
    bool took_no_effect = true;
    transaction_outcome outcome = transaction_outcome::rolled_back;
};

transaction_run::transaction_run(std::shared_ptr<pool_impl> p, const transaction_options& options,
                                 std::source_location where, connection_source* outcomes)
    : pool_(std::move(p))
    , own_source_(outcomes ? nullptr : new pool_source(pool_))
    , outcomes_(outcomes ? *outcomes : *own_source_)
    , where_(where)
    , options_((options.validate(), options))
    , begun_(clock::now())
    , until_(options.timeout.count() > 0 ? deadline::after(options.timeout, begun_) : deadline::never())
    , retry_options_{.operation = options.name,
                     .deadline = until_,
                     .observer = pool_->options().observer,
                     .time = options.time}
    , loop_(options_.retry, retry_options_)
{
    auto* observer = pool_->options().observer;
    if (!observer) return;
    span_ = open_span::begin(observer, span_of::transaction, options_.trace);
    if (span_) {
        span_->at(pool_->options().name);
        span_->event().operation = options_.name;
    }
    observer->on_transaction_begin({pool_->options().name, options_.name});
    auto after = options_.report_after;
    if (after.count() == 0) after = pool_->options().report_transactions_after;
    if (after.count() == 0) return;
    watched_.reset(new running_transaction{options_.name, where, begun_, after});
}

transaction_run::~transaction_run()
{
    if (finished_) return; // else cancelled, or destroyed
    bool sent = transaction_ && !transaction_->core().took_no_effect();
    finish(sent ? transaction_outcome::unknown : transaction_outcome::rolled_back);
}

// With the failure that its caller sees; null without one, or when he sees nothing any more.
void transaction_run::finish(transaction_outcome outcome, const std::exception_ptr& failure)
{
    finished_ = true;
    metrics_.total = clock::now() - begun_;
    metrics_.waiting += loop_.waited();
    metrics_.retries = metrics_.attempts > 0 ? metrics_.attempts - 1 : 0;
    if (options_.metrics) *options_.metrics += metrics_;
    if (span_) {
        attempt_.reset(); // ends before its parent
        span_->event().attempt = static_cast<int>(metrics_.attempts);
        if (failure) span_->failed(failure);
        if (outcome == transaction_outcome::committed || outcome == transaction_outcome::prepared)
            span_->end();
        span_.reset();
    }
    if (auto* o = pool_->options().observer)
        o->on_transaction({.pool = pool_->options().name,
                           .name = options_.name,
                           .outcome = outcome,
                           .attempts = static_cast<int>(metrics_.attempts),
                           .commit_resolved = resolved_,
                           .duration = metrics_.total,
                           .waiting = metrics_.waiting,
                           .serialization_failures = metrics_.serialization_failures,
                           .deadlocks = metrics_.deadlocks,
                           .connections_lost = metrics_.connections_lost,
                           .other_failures = metrics_.other_failures});
}

void transaction_run::begin_attempt()
{
    if (!span_) return;
    attempt_ = open_span::begin(pool_->options().observer, span_of::attempt, span_->context());
    if (!attempt_) return;
    attempt_->at(pool_->options().name);
    attempt_->event().operation = options_.name;
    attempt_->event().attempt = loop_.attempt();
}

asio::awaitable<void> transaction_run::start()
{
    ++metrics_.attempts;
    begin_attempt();
    auto& parent = attempt_ ? attempt_->context() : options_.trace;
    auto asked = clock::now();
    auto within = std::min(pool_->options().acquire_timeout, time_left(until_));
    auto acquiring = attempt_ ? pool_->acquire_traced(within, parent, where_) : pool_->acquire(within, where_);
    lease held = co_await std::move(acquiring);
    metrics_.waiting += clock::now() - asked;
    if (watched_) {
        watched_->attempt = loop_.attempt();
        held.used_for(*watched_);
    }
    if (!options_.name.empty()) held->name_operation(options_.name);
    if (parent.valid()) held->trace(parent);
    transaction_.emplace(outcomes_, std::move(held), options_, until_, loop_.attempt(), unprepared_);
}

asio::awaitable<void> transaction_run::commit()
{
    co_await transaction_->commit();
    succeeded();
}

void transaction_run::note_resolved()
{
    if (!transaction_ || !transaction_->core().resolved()) return;
    resolved_ = true;
    ++metrics_.commits_resolved;
}

void transaction_run::succeeded()
{
    note_resolved();
    bool prepared = transaction_->core().now() == transaction_core::state::prepared;
    if (attempt_) attempt_->end();
    retry_options_.budget = &pool_->budget();
    loop_.succeeded();
    ++metrics_.committed;
    finish(prepared ? transaction_outcome::prepared : transaction_outcome::committed);
}

// A write was refused by a standby: what was the primary is none any more, or never was one.
void transaction_run::evict_if_demoted(const std::exception_ptr& failure, bool ours)
{
    if (options_.read_only || !ours) return;
    if (is_refused_by_standby(failure)) pool_->evict();
}

// Another attempt must change what failed: the text is not prepared in it. False where that was tried already.
bool transaction_run::must_change(const error& e)
{
    if (e.sql().empty()) return true; // of BEGIN, or the like: forgotten by the statement cache, and prepared again
    if (std::ranges::find(unprepared_, e.sql()) != unprepared_.end()) return false;
    unprepared_.push_back(e.sql());
    return true;
}

// Of a failure that is this transaction's own.
transaction_cause transaction_run::cause_of(const std::exception_ptr& failure)
{
    if (transaction_->core().now() == transaction_core::state::severed ||
        is_a<connection_error>(failure)) {
        bool gone = is_a<error>(failure, [](const error& e) { return !dynamic_cast<const deadline_exceeded*>(&e); });
        return gone ? transaction_->core().lost_by() : cause::none;
    }
    try {
        std::rethrow_exception(failure);
    } catch (const commit_unknown&) {
    } catch (const result_lost&) {
    } catch (const deadline_exceeded&) {
    } catch (const error& e) {
        if (e.sqlstate() == sqlstates::serialization_failure) return cause::serialization;
        if (e.sqlstate() == sqlstates::deadlock_detected) return cause::deadlock;
        if (is_lost_statement(e.sqlstate(), e.diag().routine, e.message()) && must_change(e)) return cause::stale_plan;
        if (options_.retry_if && options_.retry_if(e)) return cause::requested;
    } catch (...) {
        // A cancellation, or an exception of the body's.
    }
    return cause::none;
}

// What the core makes of it.
transaction_run::verdict transaction_run::judge(const std::exception_ptr& failure)
{
    verdict v;
    if (!transaction_) return v; // there was no connection to run it on
    auto& core = transaction_->core();
    v.ours = transaction_->threw(failure);
    v.took_no_effect = core.took_no_effect();
    if (v.ours && v.took_no_effect) v.why = cause_of(failure);
    v.next = core.failed(v.ours, v.why);
    if (!v.took_no_effect) v.outcome = transaction_outcome::unknown;
    return v;
}

void transaction_run::count(cause why)
{
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
}

asio::awaitable<void> transaction_run::failed(std::exception_ptr failure)
{
    auto cancellation = co_await asio::this_coro::cancellation_state;
    bool cancelled = cancellation.cancelled() != asio::cancellation_type::none || is_cancellation(failure);
    took_no_effect_ = false;
    if (transaction_ && transaction_->core().succeeded()) {
        succeeded(); // and then the body threw
        std::rethrow_exception(failure);
    }
    auto v = judge(failure);
    took_no_effect_ = v.took_no_effect;
    may_run_elsewhere_ = v.took_no_effect && (v.ours || !transaction_);
    count(v.why);
    note_resolved();
    evict_if_demoted(failure, v.ours);
    // A cancelled coroutine cannot wait for anything more: the pool rolls back when the lease comes home.
    if (transaction_ && !cancelled)
        co_await transaction_->rollback(time_after(pool_->options().cleanup_timeout));
    transaction_.reset();
    if (attempt_) attempt_->failed(failure);
    retry_options_.budget = v.why == cause::connection ? &pool_->budget() : nullptr;
    if (loop_.failed(failure, v.next == transaction_core::decision::run_again, cancelled)) {
        co_await loop_.wait();
        co_return;
    }
    finish(v.outcome, failure);
    loop_.rethrow();
}

} // namespace pgcoro::detail

namespace pgcoro
{

boost::asio::awaitable<void> transactional(pool& p, const statement_list& all, transaction_options options,
                                           std::source_location where)
{
    auto body = [&all](transaction& tx) -> boost::asio::awaitable<void> { co_await tx.last().run(all); };
    co_await transactional(p, body, options, where);
}

} // namespace pgcoro
