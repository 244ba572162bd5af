#include "transaction/two_phase.hpp"

#include "connection/session.hpp"
#include "transaction/outcome.hpp"

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

// Tells the server once. Gives the loss of the connection, if that is what came of it; `told` is set when the
// server may have heard of it.
asio::awaitable<std::exception_ptr> tell(pool& p, const std::string& statement, deadline limit, bool& told)
{
    constexpr sqlstate undefined_object{"42704"};
    lease held = co_await p.acquire(detail::time_left(limit));
    auto& session = held->session();
    auto sent = session.sent();
    std::string tag;
    try {
        co_await session.command(statement, limit.time(), tag);
    } catch (const server_error& e) {
        if (!told || e.sqlstate() != undefined_object) throw;
        // Gone since the answer was lost: that was it.
    } catch (const connection_error&) {
        if (!tag.empty()) co_return nullptr; // broke behind the answer
        told = told || session.sent() != sent;
        co_return std::current_exception();
    }
    co_return nullptr;
}

asio::awaitable<void> end_prepared(pool& p, std::string statement, std::chrono::milliseconds within)
{
    auto limit = deadline::after(within);
    auto pause =
        backoff::exponential(std::chrono::milliseconds(5), std::chrono::milliseconds(500), jitter::none);
    bool told = false;
    for (int attempt = 1;; ++attempt) {
        auto lost = co_await tell(p, statement, limit, told);
        if (!lost) co_return;
        if (!limit.expired()) {
            co_await time_source::steady().sleep_for(pause.curve(attempt));
            continue;
        }
        if (!told) std::rethrow_exception(lost);
        detail::throw_unknown("the connection broke during \"" + statement +
                                  "\", and whether it took place could not be found out in time: ask "
                                  "pg_prepared_xacts, or repeat the call",
                              lost);
    }
}

} // namespace

asio::awaitable<void> commit_prepared(pool& p, std::string_view gid, std::chrono::milliseconds within)
{
    return end_prepared(p, detail::two_phase_statement("commit prepared", gid), within);
}

asio::awaitable<void> rollback_prepared(pool& p, std::string_view gid, std::chrono::milliseconds within)
{
    return end_prepared(p, detail::two_phase_statement("rollback prepared", gid), within);
}

} // namespace pgcoro
