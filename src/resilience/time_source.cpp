#include <pgcoro/resilience/deadline.hpp>
#include <pgcoro/resilience/time_source.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace pgcoro
{
namespace
{

class steady_time final : public time_source
{
public:
    time_point now() const noexcept override { return std::chrono::steady_clock::now(); }

    boost::asio::awaitable<void> sleep_for(duration time) override
    {
        if (time <= duration::zero()) co_return;
        const auto executor = co_await boost::asio::this_coro::executor;
        boost::asio::steady_timer timer(executor);
        timer.expires_at(deadline::after(time, now()).time());
        co_await timer.async_wait(boost::asio::use_awaitable);
    }
};

} // namespace

time_source::~time_source() = default;

time_source& time_source::steady() noexcept
{
    static steady_time source;
    return source;
}

} // namespace pgcoro
