/// Giving an operation up at each point where it waits.
#pragma once

#include "integration/beside.hpp"
#include "integration/connection/support.hpp"

#include <pgcoro/resilience/failure.hpp>

/// Begins `body()` on `io`, gives the event loop some more turns, then cancels it. Tells whether it had come
/// to its end before. A cancellation that ends in anything but operation_aborted fails the test.
template <class Body>
bool cancel_after(asio::io_context& io, int turns, Body&& body)
{
    beside given_up(io.get_executor(), [&] { return body(); });
    given_up.begin(io);
    for (int i = 0; i < turns && !given_up.done(); ++i) io.run_one();
    if (!given_up.done()) run_on(io, [&] { return given_up.end(); });
    BOOST_TEST((!given_up.error() || pgcoro::is_cancellation(given_up.error())));
    return !given_up.error();
}

/// Cancels at once, after the first turn, after the second … until it is through; each time the connection
/// goes on.
template <class Body>
void cancel_everywhere(pgcoro::connection_options options, Body&& body)
{
    watchdog dog(2 * patience);
    asio::io_context io;
    std::optional<pgcoro::connection> conn;
    auto connect = [&]() -> asio::awaitable<void> { conn = co_await pgcoro::connection::connect(options); };
    run_on(io, connect);
    bool completed = false;
    for (int turns = 0; !completed; ++turns) {
        completed = cancel_after(io, turns, [&] { return body(*conn); });
        run_on(io, [&] { return check_usable(*conn); });
        BOOST_REQUIRE(turns < 10'000);
    }
}
