#include "transaction/two_phase.hpp"

#include "connection/session.hpp"
#include "resilience/is_a.hpp"
#include "transaction/core.hpp"
#include "transaction/outcome.hpp"
#include "transaction/parts.hpp"

#include <pgcoro/resilience/backoff.hpp>
#include <pgcoro/resilience/deadline.hpp>
#include <pgcoro/resilience/time_source.hpp>
#include <pgcoro/transaction/two_phase.hpp>

#include <algorithm>
#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;

std::string detail::two_phase_statement(std::string_view verb, std::string_view gid)
{
    constexpr std::size_t most = 199; // GIDSIZE - 1
    if (gid.empty() || gid.size() > most || gid.find('\0') != gid.npos)
        throw std::invalid_argument(
            "pgcoro: the name of a prepared transaction has 1 to 199 bytes and no NUL, "
            "and not " +
            std::to_string(gid.size()) + " bytes: " + std::string(gid));
    // E'…' means the same whatever standard_conforming_strings says.
    std::string text(verb);
    text += " E'";
    for (char c : gid) {
        if (c == '\'' || c == '\\') text += c;
        text += c;
    }
    return text + "'";
}

namespace
{

using decision = detail::prepared_core::decision;

struct prepared_end
{
    std::string statement;
    std::string gid;
};

// Sends it once. Returns what comes next; `lost` is how the connection broke, if it did.
asio::awaitable<decision> send(detail::connection_source& from, const prepared_end& what, deadline limit,
                               detail::prepared_core& core, std::exception_ptr& lost)
{
    constexpr sqlstate undefined_object{"42704"};
    lease held = co_await from.acquire(detail::time_left(limit));
    auto& session = held->session();
    detail::never_cancelled guard(session); // it may wait for a standby
    detail::server_state server;
    try {
        server = co_await detail::ask_server(session, what.gid, limit);
    } catch (const connection_error&) { // an idle connection that was dead
        lost = std::current_exception();
        co_return decision::run_again;
    }
    auto sent = session.sent();
    std::string tag;
    std::exception_ptr failure;
    bool missing = false;
    bool refused = false;
    try {
        co_await session.command(what.statement, limit.time(), tag);
    } catch (const server_error& e) {
        failure = std::current_exception();
        refused = is_servers_word(e);
        missing = refused && e.sqlstate() == undefined_object;
    } catch (...) {
        failure = std::current_exception();
    }
    if (session.sent() != sent) core.sent(server.identity, server.prepared);
    if (!tag.empty()) co_return core.answered(!session.take_unreplicated()); // perhaps it broke behind the answer
    if (missing) {
        auto now = co_await detail::ask_server(session, what.gid, limit);
        auto next = core.missing(now.identity, now.durable);
        if (next == decision::report_error) std::rethrow_exception(failure);
        co_return next;
    }
    lost = failure;
    if (refused) {
        auto next = core.refused();
        if (next == decision::report_error) std::rethrow_exception(failure);
        co_return next;
    }
    if (!detail::is_a<error>(failure)) std::rethrow_exception(failure); // a cancellation
    co_return core.lost();
}

asio::awaitable<void> end_prepared(std::shared_ptr<detail::pool_impl> p, prepared_end what,
                                   std::chrono::milliseconds within)
{
    detail::pool_source from(std::move(p));
    auto limit = deadline::after(within);
    auto pause =
        backoff::exponential(std::chrono::milliseconds(5), std::chrono::milliseconds(500), jitter::none);
    detail::prepared_core core;
    std::exception_ptr lost;
    for (int attempt = 1;; ++attempt) {
        auto next = decision::run_again;
        std::exception_ptr failure;
        try {
            next = co_await send(from, what, limit, core, lost);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            bool again = core.may_have_happened() && detail::is_a<error>(failure);
            if (!again) std::rethrow_exception(failure);
            if (!lost) lost = failure;
        }
        if (next == decision::report_success) co_return;
        if (next == decision::run_again && !limit.expired()) {
            co_await time_source::steady().sleep_for(pause.curve(attempt));
            continue;
        }
        if (!core.may_have_happened()) std::rethrow_exception(lost);
        detail::throw_unknown("the answer to \"" + what.statement +
                                  "\" was lost, and whether it took place could not be found out: " + core.reason(),
                              lost);
    }
}

} // namespace

asio::awaitable<void> commit_prepared(pool& p, std::string_view gid, std::chrono::milliseconds within)
{
    prepared_end what{detail::two_phase_statement("commit prepared", gid), std::string(gid)};
    return end_prepared(p.shared(), std::move(what), within);
}

asio::awaitable<void> rollback_prepared(pool& p, std::string_view gid, std::chrono::milliseconds within)
{
    prepared_end what{detail::two_phase_statement("rollback prepared", gid), std::string(gid)};
    return end_prepared(p.shared(), std::move(what), within);
}

} // namespace pgcoro
