#pragma once

#include "bank.hpp"
#include "callers.hpp"
#include "chaos.hpp"
#include "settings.hpp"

#include <pgcoro/pgcoro.hpp>

#include <boost/asio/awaitable.hpp>

#include <iosfwd>
#include <string>

namespace transfers
{

/// Writes to stderr, once a second, how it goes: one line that is written over on a terminal, else a line
/// each. Runs until it is cancelled. `c` is null when nobody does harm.
boost::asio::awaitable<void> show_live(const callers& all, const pgcoro::pool& pool, const chaos* c);

/// All that there is to tell at the end.
struct summary
{
    transfers::settings settings;
    bool interrupted = false;
    double seconds = 0;
    std::uint64_t asked = 0;
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
    std::uint64_t unknown = 0;
    pgcoro::transaction_metrics metrics;
    double p50_ms = 0;
    double p95_ms = 0;
    double p99_ms = 0;
    std::uint64_t backends_killed = 0;
    std::uint64_t restarts = 0;
    std::uint64_t connects = 0;
    std::vector<std::string> errors; ///< the first few that reached a caller
    audit books;

    /// Every invariant held, and no transfer was refused.
    bool passed() const { return books.passed() && failed == 0; }
};

/// Takes the figures together.
summary summarize(const settings& s, const callers& all, const pgcoro::pool& pool, const chaos* c,
                  const audit& books);

/// For people.
void print_table(std::ostream& out, const summary& s);
/// For programs: one JSON object.
void print_json(std::ostream& out, const summary& s);

} // namespace transfers
