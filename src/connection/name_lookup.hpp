// Looking host names up without blocking an event loop.
#pragma once

#include "connection/clock.hpp"

#include <pgcoro/export.hpp>

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>
#include <vector>

namespace PGCORO_API pgcoro // pgcoro::redis uses it, too
{
namespace detail
{

namespace asio = boost::asio;

// What getaddrinfo() said of a name: addresses as numbers, each once, in its order; or why there are none.
struct lookup_answer
{
    std::vector<std::string> addresses;
    std::string error; // empty if it succeeded
};

// The addresses of a host name. getaddrinfo() runs on a thread of the process's own, never on one of the
// event loop's. Callers who ask for the same name share one look-up under way, unless it has been under way
// for so long that a new one may do better; a name has at most `most_per_name` at once, so that a name that
// hangs leaves threads for the others.
//
// Throws connection_error: timeout if there is no answer by the deadline; resolve if there is no address.
// Cancellation of any kind ends the wait with operation_aborted. The look-up itself cannot be stopped: it goes
// on after a deadline, a cancellation or the end of the caller's I/O context, on its own thread.
asio::awaitable<std::vector<std::string>> look_up(std::string name, clock::time_point deadline);

// Who shares which look-up: a pure state machine, one per process, under a lock of its user's.
class shared_lookups
{
public:
    static constexpr std::chrono::seconds joined_for{10};
    static constexpr std::size_t most_per_name = 4;

    // The look-ups of one name that are under way, by when they began.
    // Returns the index of the one to join, or size() if a new one is due.
    static std::size_t choose(const std::vector<clock::time_point>& under_way, clock::time_point now) noexcept
    {
        if (under_way.empty()) return 0;
        auto newest = under_way.size() - 1;
        bool fresh = now - under_way[newest] < joined_for;
        return fresh || under_way.size() >= most_per_name ? newest : under_way.size();
    }
};

} // namespace detail
} // namespace pgcoro
