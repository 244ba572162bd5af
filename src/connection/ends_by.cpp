#include "connection/ends_by.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>
#include <memory>
#include <utility>

namespace pgcoro::detail
{

namespace asio = boost::asio;

namespace
{

// Lives on the strand, where alone it may be used.
struct stop_request
{
    asio::cancellation_signal signal;
    bool work_ended = false;
};

// A parallel_group is not safe on several threads, so this coroutine runs on a strand.
asio::awaitable<bool> on_strand(std::chrono::steady_clock::time_point deadline, asio::awaitable<void> work,
                                std::shared_ptr<stop_request> stop)
{
    auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, deadline);
    auto both = asio::experimental::make_parallel_group(
        asio::co_spawn(executor, std::move(work), asio::deferred), timer.async_wait(asio::deferred));
    auto [order, failure, ec] = co_await both.async_wait(asio::experimental::wait_for_one(), asio::deferred);
    stop->work_ended = true;
    // A timer that was cancelled first, too, says that the caller cancelled both.
    bool deadline_came_first = order[0] != 0 && !ec;
    if (deadline_came_first && failure) co_return false;
    if (failure) std::rethrow_exception(failure);
    co_return true;
}

} // namespace

asio::awaitable<bool> ends_by(std::chrono::steady_clock::time_point deadline, asio::awaitable<void> work)
{
    auto executor = co_await asio::this_coro::executor;
    auto strand = asio::make_strand(executor);
    auto stop = std::make_shared<stop_request>();
    // A cancellation arrives on the executor of the caller, and goes on from the strand. Boost 1.81's
    // co_spawn would do the same, but keeps a pointer that may dangle.
    auto cancellation = co_await asio::this_coro::cancellation_state;
    auto from_caller = cancellation.slot();
    if (from_caller.is_connected())
        from_caller.assign([strand, stop](asio::cancellation_type) {
            asio::post(strand, [stop] {
                if (!stop->work_ended) stop->signal.emit(asio::cancellation_type::terminal);
            });
        });
    auto token = asio::bind_cancellation_slot(stop->signal.slot(), asio::use_awaitable);
    auto bounded = on_strand(deadline, std::move(work), stop);
    co_return co_await asio::co_spawn(strand, std::move(bounded), token);
}

} // namespace pgcoro::detail
