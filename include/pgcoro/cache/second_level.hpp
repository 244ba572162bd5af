#pragma once

#include <pgcoro/export.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// A store of bytes that several processes share, behind their `query_cache`s: `cache_options::second`.
/// `redis_second_level` is one. It may lose anything at any time, and whatever it gives is looked at with
/// distrust; but who may write there decides what the caches answer.
///
/// **What is never served from it** is what cannot be known to be current. Each value says which transactions
/// were over when its query was sent: a snapshot of the primary's (`pg_current_snapshot`), taken before. Each
/// cache remembers for each tag, and for the time at which it began to listen (again), a snapshot that it
/// took after it heard of the last change. A value is served only if all that was over by those was over for
/// the value, too, so that the value has seen each change that the cache was told of; of those it is not told
/// of yet it hears within `coherence_options::bound`, and forgets it as it would a result of its own. This
/// takes no order in which processes write to the second level, and nothing that must not get lost there.
///
/// It follows that a coherent cache
/// - uses nothing from there while it does not listen;
/// - uses nothing that was read before it began to listen, because nobody knows what it would have been told:
///   a process that was started anew, or had lost its connection, finds what the others read from then on.
///
/// A cache that is not coherent promises no more than the time to live, and what it itself invalidated: what
/// is found is not older than its time to live by the server's clock, nor than an invalidation by this
/// cache. What another process invalidates, or this one before it was started anew, it does not know.
///
/// Values are found under their full key: the statement, its parameters and tags, and the server (its system
/// identifier, timeline and time of start), database, role and all settings that can change a result.
/// It is compared in full. After a failover, or a restart of the server, nothing from before is found.
/// What was lost in a crash of a backend under `synchronous_commit = off` can be in there; so it can in any
/// reader's hands.
///
/// **Cost.** A miss of the first level asks here first, and, if that is in vain, the primary for a snapshot
/// before the query is sent. Results are handed over in the background. From a hot standby that is no
/// cluster's, where there are no snapshots to be compared, nothing is kept here.
/// A result found here has no command_tag(), and none without columns is kept.
class second_level
{
public:
    virtual ~second_level();

    /// The value, or nothing: also when the store fails, or takes too long. Does not throw, but for
    /// cancellation. Any thread; several at once.
    virtual boost::asio::awaitable<std::optional<std::string>> get(std::string_view key) = 0;
    /// Keeps it, for no longer than `ttl`, if it can. Does not throw. Any thread; several at once.
    virtual boost::asio::awaitable<void> set(std::string_view key, std::string value,
                                             std::chrono::milliseconds ttl) = 0;
};

} // namespace pgcoro
