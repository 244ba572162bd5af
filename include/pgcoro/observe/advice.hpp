/// What could be done better, each with the figures that say so.
#pragma once

#include <pgcoro/connection/connection.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/observe/figures.hpp>
#include <pgcoro/observe/health.hpp>
#include <pgcoro/pool/options.hpp>

#include <boost/describe/class.hpp>

#include <optional>
#include <string_view>
#include <vector>

namespace PGCORO_API pgcoro
{

/// How large a pool should be by what was measured.
struct pool_size_advice
{
    double arrivals = 0;           ///< acquires a second
    double use_time = 0;           ///< mean seconds that a connection was lent
    double busy = 0;               ///< connections in use on average: arrivals · use_time
    std::uint64_t recommended = 0; ///< for `pool_options::size`
    std::uint64_t size = 0;        ///< what it is
};
BOOST_DESCRIBE_STRUCT(pool_size_advice, (), (arrivals, use_time, busy, recommended, size))

/// By Little's law (J. D. C. Little, "A Proof for the Queuing Formula L = λW", Operations Research 9, 1961)
/// L = arrivals · mean use is how many connections are in use on average; ⌈L + 2√L⌉ has room for its swings
/// ("square-root staffing": W. Whitt, "Understanding the Efficiency of Multi-Server Service Systems",
/// Management Science 38, 1992). `before` and `now` are the same pool's figures, `seconds` apart: a busy hour
/// says more than a night. Nothing with less than 100 acquires between them. What the server's cores can do
/// bounds what size is of use.
std::optional<pool_size_advice> advise_pool_size(const pool_figures& before, const pool_figures& now,
                                                 double seconds);

/// Timeouts and sizes that contradict each other. `connect_timeout` is the one in force: connection string, service file
/// and environment included, as `connection_options::connect_timeout` has it.
std::vector<finding> advise_timeouts(const pool_options& o);

/// Statements that ran in a row on one lease at least `least` times: one insert_many(), a pipeline, or one
/// statement with an array would carry them in a round trip.
std::vector<finding> advise_loops(const metrics_snapshot& s, std::uint64_t least = 10);

/// How `explain` asks.
struct explain_options
{
    /// Runs the statement, in a read-only transaction that is rolled back, for what it really read. Only for
    /// statements that PostgreSQL's grammar says are reads: others throw `std::invalid_argument`.
    bool analyze = false;

    double least_rows = 10'000; ///< read and thrown away, before a scan is worth a word
    double factor = 10;         ///< so many times as many rows read as returned
};

namespace detail
{
boost::asio::awaitable<std::vector<finding>> explain(connection& c, std::string sql, params args,
                                                     explain_options options);
}

/// Looks at a statement's plan (EXPLAIN in JSON): scans that read far more rows than they return and, with
/// `analyze`, estimates that are far off. Without `analyze` nothing is run. The text and the parameters are copied.
/// Errors and cancellation as connection::query; with `analyze` not within a transaction
/// (`std::logic_error`).
template <class... T>
boost::asio::awaitable<std::vector<finding>> explain(connection& c, explain_options options,
                                                     std::string_view sql, const T&... args)
{
    return detail::explain(c, std::string(sql), params::of(args...), options);
}

} // namespace pgcoro
