// Bringing a session back from wherever it was left.
#include "connection/diagnostics.hpp"
#include "connection/operation.hpp"

#include <boost/asio/this_coro.hpp>

namespace pgcoro::detail
{

asio::awaitable<void> session_impl::make_ready(std::string_view sql)
{
    check_idle();
    auto executor = co_await asio::this_coro::executor;
    socket->bind(executor);
    if (!is_ready()) co_await recover(answer_due({}), false);
    if (!is_broken()) co_return;
    if (last_words) throw_lost(*last_words, pg(), backend_pid, sql);
    throw connection_error(connection_failure::lost,
                           "the connection was lost before this statement (" + peer() + "): get another one", {}, sql);
}

asio::awaitable<void> session_impl::recover(steady_time deadline, bool rollback)
{
    check_idle();
    claim here(*this);
    auto executor = co_await asio::this_coro::executor;
    socket->bind(executor);
    if (is_broken()) fail(nullptr, {});
    if (interrupted) {
        wire::bounded_wait waiting(*socket, deadline, !watched);
        co_await drain();
        if (!waiting.end()) fail_overdue({});
        interrupted = false;
    }
    if (auto request = stops.pending()) {
        // A request that is still on its way when the session is used again would stop the wrong statement.
        auto why = co_await request->ended->async_wait(deadline, asio::deferred);
        if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
        if (why == wake::expired || request->overdue) {
            broken = true;
            throw connection_error(
                connection_failure::timeout,
                "the server (" + peer() +
                    ") did not take a cancel request in time, so the connection was given up");
        }
        stops.forget();
    }
    if (rollback && PQtransactionStatus(pg()) > PQTRANS_ACTIVE) {
        operation op(*this, operation::kind::under_claim);
        co_await run_simple(op, "rollback", {.deadline = deadline, .of_statement = false});
    }
}

} // namespace pgcoro::detail
