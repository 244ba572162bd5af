#pragma once

#include <pgcoro/testing/server.hpp>

/// The one server that all integration tests share. Started by the first who asks, stopped with the process.
/// A test that stops, kills or pauses it leaves it running again for the next one; a test that wants other
/// settings starts its own.
inline pgcoro::testing::server& shared_server()
{
    static pgcoro::testing::server server;
    if (!server.running()) server.start();
    return server;
}
