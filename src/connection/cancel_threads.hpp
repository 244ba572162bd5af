#pragma once

#include "connection/blocking_threads.hpp"

#include <functional>
#include <utility>

namespace pgcoro::detail
{

// Runs PQcancel() where nothing else waits for it.
struct cancel_threads
{
    static cancel_threads of_the_process() { return {}; }

    // Runs `request`, then `ended`; `ended` alone, at once, where no thread is left.
    void run(std::function<void()> request, const std::function<void()>& ended)
    {
        auto both = [request = std::move(request), ended] {
            request();
            ended();
        };
        if (!blocking_threads::for_cancel_requests().run(std::move(both))) ended();
    }
};

} // namespace pgcoro::detail
