// Notifications: libpq keeps those that come during other operations until they are asked for.
#include "connection/diagnostics.hpp"
#include "connection/operation.hpp"

#include <pgcoro/connection/connection.hpp>
#include <pgcoro/connection/identifier.hpp>

namespace pgcoro
{
namespace detail
{

asio::awaitable<std::optional<notification>> session_impl::next_notification(std::chrono::milliseconds limit)
{
    co_await make_ready({});
    claim here(*this);
    auto until = time_after(limit);
    for (;;) {
        if (pq_ptr<PGnotify> n(PQnotifies(pg())); n) co_return notification{n->relname, n->extra, n->be_pid};
        // A limit of zero also reads what has arrived.
        bool alive = socket->read_unasked();
        if (pq_ptr<PGnotify> n(PQnotifies(pg())); n) co_return notification{n->relname, n->extra, n->be_pid};
        if (!alive || last_words) {
            broken = true;
            fail(nullptr, {});
        }
        if (until == steady_time::max()) {
            co_await socket->step();
            continue;
        }
        auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        if (left.count() <= 0) co_return std::nullopt;
        co_await socket->step_within(left);
    }
}

} // namespace detail

namespace asio = boost::asio;

namespace
{

std::string for_each_channel(const char* word, const std::vector<std::string>& channels)
{
    std::string script;
    for (auto& c : channels) script.append(word).append(" ").append(identifier(c).quoted()).append("; ");
    return script;
}

} // namespace

asio::awaitable<void> connection::listen(std::vector<std::string> channels)
{
    auto script = for_each_channel("listen", channels);
    co_await execute_script(script);
}

asio::awaitable<void> connection::unlisten(std::vector<std::string> channels)
{
    auto script = channels.empty() ? std::string("unlisten *") : for_each_channel("unlisten", channels);
    co_await execute_script(script);
}

asio::awaitable<notification> connection::wait_notification()
{
    auto came = co_await session().next_notification(std::chrono::milliseconds::max());
    co_return std::move(*came);
}

asio::awaitable<std::optional<notification>> connection::wait_notification(std::chrono::milliseconds within)
{
    return session().next_notification(within);
}

} // namespace pgcoro
