/// Who waits for whom, as a tree; no I/O.
#pragma once

#include "cli/terminal.hpp"

#include <boost/describe/class.hpp>
#include <boost/json/array.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace pgcoro::cli
{

/// A session that waits for a lock, or that another one waits for. Process 0 stands for a prepared
/// transaction.
struct lock_session
{
    std::int32_t pid = 0;
    std::vector<std::int32_t> blocked_by; ///< empty: it holds what others want
    std::string user;
    std::string application;
    std::string state;
    double seconds = 0; ///< waited so far; of one that does not wait, in its state
    std::string lock;   ///< what it waits for: "ShareLock on transactionid", "AccessExclusiveLock on account"
    std::string query;  ///< empty unless it was asked for
};
BOOST_DESCRIBE_STRUCT(lock_session, (), (pid, blocked_by, user, application, state, seconds, lock, query))

/// A place in the tree. Each session has one: below the blocker that is nearest to a root.
struct lock_node
{
    const lock_session* session;
    std::vector<std::int32_t> also_behind; ///< the other ones that it waits for
    std::vector<lock_node> waiters;        ///< the longest waiting first
};

/// Roots first those with the most behind them. In a circle of waiters, a deadlock that is not resolved yet,
/// the one that waits longest is a root. The nodes point into `sessions`.
std::vector<lock_node> make_lock_tree(const std::vector<lock_session>& sessions);

std::vector<text_line> to_lines(const std::vector<lock_node>& roots);
boost::json::array to_json(const std::vector<lock_node>& roots);

} // namespace pgcoro::cli
