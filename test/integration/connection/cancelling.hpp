/// Giving an operation up at each point where it waits.
#pragma once

#include "integration/connection/support.hpp"

/// Runs `body()` on `io` for some turns of the event loop, then cancels it. Tells whether it had come to its
/// end before. A cancellation that ends in anything but operation_aborted fails the test.
template <class Body>
bool cancel_after(asio::io_context& io, int turns, Body&& body)
{
    asio::cancellation_signal signal;
    bool ended = false;
    bool completed = false;
    asio::co_spawn(io, body(), asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) {
                       ended = true;
                       completed = !e;
                       if (!e) return;
                       try {
                           std::rethrow_exception(e);
                       } catch (const boost::system::system_error& aborted) {
                           BOOST_TEST(aborted.code() == asio::error::operation_aborted);
                       }
                   }));
    io.restart();
    for (int i = 0; i < turns && !ended; ++i) io.run_one();
    signal.emit(asio::cancellation_type::terminal);
    run_on(io, [&]() -> asio::awaitable<void> {
        while (!ended) co_await yield();
    });
    return completed;
}

/// Cancels after the first turn, after the second … until it is through; each time the connection goes on.
/// Not before the first, in which co_spawn starts the coroutine: cancelled there, Boost 1.83 throws out of
/// run().
template <class Body>
void cancel_everywhere(pgcoro::connection_options options, Body&& body)
{
    watchdog dog(2 * patience);
    asio::io_context io;
    std::optional<pgcoro::connection> conn;
    auto connect = [&]() -> asio::awaitable<void> { conn = co_await pgcoro::connection::connect(options); };
    run_on(io, connect);
    bool completed = false;
    for (int turns = 1; !completed; ++turns) {
        completed = cancel_after(io, turns, [&] { return body(*conn); });
        run_on(io, [&] { return check_usable(*conn); });
        BOOST_REQUIRE(turns < 10'000);
    }
}
