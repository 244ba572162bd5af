// What came of a transaction whose end got no answer.
#pragma once

#include <pgcoro/pool/pool.hpp>
#include <pgcoro/resilience/deadline.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <exception>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

// Gives the id of the transaction once it has one, else NULL. The second is asked once a connection; it gives
// the server's timeline, too, behind a space: after a crash or a failover ids may be given once more.
extern const std::string_view id_query;
extern const std::string_view id_and_timeline_query;
// The same for a transaction that has to have an id.
extern const std::string_view new_id_query;

struct lost_transaction
{
    std::string id;       // empty: not known
    std::string timeline; // of the server that gave it
    std::string gid;      // of one that was to be prepared; else empty
};

enum class outcome { committed, aborted, prepared };

// Asks until there is an answer, for half a minute and no longer than the deadline says, but for some seconds
// in any case. Throws commit_unknown, which tells why nothing can be found out and how the answer was lost.
boost::asio::awaitable<outcome> find_outcome(pool& p, lost_transaction which, deadline until,
                                             std::exception_ptr lost);

// Throws commit_unknown, with what the connection was lost by.
[[noreturn]] void throw_unknown(const std::string& what, const std::exception_ptr& lost);

// For waits that take a number of milliseconds: at least one.
std::chrono::milliseconds time_left(const deadline& limit);

} // namespace pgcoro::detail
