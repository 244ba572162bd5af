#include "under_load.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <exception>

namespace chaos
{

namespace asio = boost::asio;
using namespace std::chrono_literals;

std::string figures(const pgcoro::cluster& c)
{
    std::string text;
    for (auto& h : c.stats().hosts) {
        auto& p = h.connections;
        text += " " + h.name + " (" + std::string(to_string(h.role)) + "): " + std::to_string(p.idle) +
                " idle, " + std::to_string(p.in_use) + " in use, " + std::to_string(p.cleaning) +
                " being cleaned, " + std::to_string(p.connecting) + " connecting, " +
                std::to_string(p.waiting) + " callers waiting;";
    }
    return text;
}

void under_load(loop& events, const pgcoro::cluster& c, load& work, const watch& seen,
                std::chrono::seconds limit, const std::function<void()>& harm)
{
    auto working = asio::co_spawn(events.io(), work.run(), asio::use_future);
    within(10s, [&] { return seen.alive() > 0; });
    std::exception_ptr broken;
    try {
        harm();
    } catch (...) {
        broken = std::current_exception();
    }
    work.stop();
    if (working.wait_for(limit) == std::future_status::timeout)
        give_up(std::to_string(seen.alive()) + " callers have not ended " + std::to_string(limit.count()) +
                " s after they were told to;" + figures(c));
    working.get();
    if (broken) std::rethrow_exception(broken);
}

} // namespace chaos
