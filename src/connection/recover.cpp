// Stopping what runs on the server, and bringing a session back from wherever it was left.
#include "connection/cancel_threads.hpp"
#include "connection/diagnostics.hpp"
#include "connection/exchange.hpp"
#include "connection/operation.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>

namespace pgcoro::detail
{
namespace
{

void send_cancel(PGcancel* canceller)
{
    std::array<char, 256> why{}; // nobody to tell: what was to be cancelled ends by its own bounds then
    PQcancel(canceller, why.data(), why.size());
}

} // namespace

void session::cancel()
{
    std::lock_guard lock(cancel_mutex_);
    auto now = work::statement;
    if (work_.compare_exchange_strong(now, work::cancelled_statement) || now == work::cancelled_statement)
        ask_to_stop();
}

void session::ask_to_stop()
{
    // One at a time: a second one still on its way would be forgotten, and hit whatever comes next. One that
    // is through may have come before the statement did.
    if (cancelling_ && !cancelling_->finished->told()) return;
    cancelling_ = std::make_shared<cancel_request>();
    // Also when the session is gone meanwhile: a server that works does not see that its client left.
    cancel_threads::of_the_process().run([canceller = canceller_] { send_cancel(canceller.get()); },
                                         [request = cancelling_] { request->finished->tell(); });
}

void session::abort()
{
    cancel_threads::of_the_process().run([canceller = canceller_] { send_cancel(canceller.get()); }, [] {});
    wire_->guard().cut();
}

// Reads to the end of whatever was under way.
asio::awaitable<void> session::drain()
{
    auto* conn = wire_->get();
    if (std::exchange(sync_owed_, false)) {
        // Statements without their Sync: they must not take effect now. An error before it sees to that: of
        // syntax, because PgBouncer 1.21 and later hangs up on a prepared statement it does not know.
        if (!PQsendQueryParams(conn, "pgcoro: a pipeline given up half-way", 0, nullptr, nullptr, nullptr,
                               nullptr, 0) ||
            !PQpipelineSync(conn))
            fail(nullptr, {});
        ++syncs_due_;
    }
    wire_->flush();
    // The request to stop may have come before the statement, and gone by unheard: then it is repeated.
    auto patience = std::chrono::milliseconds(10);
    for (;;) {
        while (wire_->busy()) {
            bool came = co_await wire_->step_within(patience);
            if (came) continue;
            ask_to_stop();
            patience = std::min(patience * 2, std::chrono::milliseconds(1000));
        }
        result_ptr answer(PQgetResult(conn));
        if (wire_->broken()) fail(answer.get(), {});
        if (!answer) {
            if (PQpipelineStatus(conn) == PQ_PIPELINE_OFF || syncs_due_ == 0) break;
            continue;
        }
        switch (PQresultStatus(answer.get())) {
        case PGRES_PIPELINE_SYNC:
            --syncs_due_;
            break;
        case PGRES_COPY_IN:
        case PGRES_COPY_BOTH:
            PQputCopyEnd(conn, "given up by the client");
            wire_->flush();
            break;
        case PGRES_COPY_OUT:
            co_await wire_->discard_copy();
            break;
        default:
            break;
        }
    }
    if (PQpipelineStatus(conn) != PQ_PIPELINE_OFF && !PQexitPipelineMode(conn)) fail(nullptr, {});
}

asio::awaitable<void> session::recover(time_point deadline, bool rollback)
{
    check_idle();
    claim here(*this);
    auto executor = co_await asio::this_coro::executor;
    wire_->bind(executor);
    if (broken()) fail(nullptr, {});
    if (interrupted_) {
        operation op(*this, work::internal, deadline);
        co_await drain();
        if (!op.finish()) fail_overdue({});
        interrupted_ = false;
        for (auto& name : preparing_) statements_.unwanted().push_back(std::move(name));
        preparing_.clear();
    }
    if (cancelling_) {
        // A cancel that is still on its way when the session is used again would hit the wrong statement.
        auto why = co_await cancelling_->finished->async_wait(deadline, asio::deferred);
        if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
        if (why == wake::expired) {
            broken_ = true;
            throw connection_error(
                connection_failure::timeout,
                "the server (" + peer() +
                    ") did not take a cancel request in time, so the connection was given up");
        }
        cancelling_.reset();
    }
    if (rollback && in_transaction()) {
        operation op(*this, work::internal, deadline);
        co_await run_simple("rollback");
        if (!op.finish()) fail_overdue({});
    }
}

} // namespace pgcoro::detail
