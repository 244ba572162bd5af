// Does the database answer?
#include <pgcoro/observe/health.hpp>

#include <pgcoro/resilience/failure.hpp>

#include "observe/utf8.hpp"
#include "resilience/text.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>

namespace pgcoro
{

namespace asio = boost::asio;

asio::awaitable<health_check> check_health(pool& p, std::chrono::milliseconds within)
{
    health_check found;
    auto begun = std::chrono::steady_clock::now();
    auto elapsed = [&] { return std::chrono::steady_clock::now() - begun; };
    std::exception_ptr failure;
    try {
        auto held = co_await p.acquire(within);
        auto left = within - std::chrono::duration_cast<std::chrono::milliseconds>(elapsed());
        co_await held->ping(std::max(left, std::chrono::milliseconds(1)));
        found.healthy = true;
    } catch (...) {
        failure = std::current_exception();
    }
    found.response_time = std::chrono::duration<double>(elapsed()).count();
    if (failure) {
        if (is_cancellation(failure)) std::rethrow_exception(failure);
        found.error = detail::to_utf8(detail::first_line(failure));
    }
    co_return found;
}

} // namespace pgcoro
