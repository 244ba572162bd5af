#pragma once

#include <pgcoro/cluster/commit_token.hpp>
#include <pgcoro/cluster/options.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/pool/pool.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

namespace PGCORO_API pgcoro
{

namespace detail
{
class cluster_impl;
class cluster_run;
class session_write;

// Under what name and span a call is told to the observer.
struct call_labels
{
    operation_name operation;
    trace_context trace;
};
} // namespace detail

class named_cluster;

/// What a host of a cluster is, by its own word.
enum class host_role {
    unknown,     ///< not asked yet
    primary,     ///< takes writes
    replica,     ///< a hot standby
    outdated,    ///< takes writes, but another one was promoted since: nothing is sent there
    unreachable, ///< does not answer
    removed,     ///< by `cluster::remove`
};

/// "primary", "replica" …: for messages and labels.
std::string_view to_string(host_role r) noexcept;

/// A host's figures at one moment; the counters count since it was added.
struct host_stats
{
    std::string name; ///< "host:port"
    host_role role{};
    /// How old what it shows may be, as `cluster_options::max_lag` counts; 0 for the primary, nothing when it
    /// is not known.
    std::optional<std::chrono::nanoseconds> lag;
    commit_token position;              ///< how far it has applied, or written, the log
    std::chrono::nanoseconds latency{}; ///< of the checks, a moving average
    std::uint64_t reads = 0;            ///< statements and transactions sent there as reads
    std::uint64_t writes = 0;
    std::uint64_t failed_checks = 0;
    std::string last_failure; ///< of a check, its first line; empty when the last one succeeded
    /// Why a replica serves no reads, whatever its lag: its log is not the primary's, or may not be, or every statement
    /// would fail there. Empty if nothing of the kind is known, and for other roles.
    std::string unusable;
    pool_stats connections;
};

/// A cluster's figures at one moment.
struct cluster_stats
{
    std::vector<host_stats> hosts;
    std::uint64_t failovers = 0;          ///< times there was a primary again, the same or another
    std::uint64_t promotions = 0;         ///< replicas that became the primary
    std::uint64_t waited_for_primary = 0; ///< callers that had to
    std::uint64_t token_waits = 0;        ///< reads that waited for a replica to catch up
    std::uint64_t caught_up = 0;          ///< of those, for which a replica caught up in time
    std::uint64_t stale_avoided = 0;      ///< reads that went to the primary for want of a fit replica
    std::uint64_t rerouted = 0;           ///< statements and transactions begun anew, mostly on another host
};

/// One primary and its replicas, a pool each: writes go to the primary, whichever it is by now, and reads to
/// replicas that are fit for them.
///
/// **Roles** are asked of the servers (`pg_is_in_recovery`), of each host on a connection of its own, again
/// and again; a host that comes, goes, is promoted or demoted is followed. Of two that take writes the one on
/// the newer timeline is meant, within one database cluster; a server of another one takes the primary's place only at
/// its address, or where no server of the old one answers. A replica serves reads once it says that it follows the
/// primary's timeline (docs/cluster.md); `host_stats::unusable` says why one does not.
///
/// **Statements** given to query(), execute() and their kin are routed by PostgreSQL's own parser: what is
/// one SELECT, locks no rows and calls no function that the catalog has as volatile goes to a replica, all
/// else to the primary. A read whose host fails is run again on another; a write is not, once it was sent: it
/// ends with `connection_error`, and `transactional` is for those who want to know what came of it.
///
/// **Failover.** With no primary, writes wait for one, up to `failover_timeout`. When there is a new one,
/// connections to the old one are cut, and only those; a demoted one is drained. What a standby refuses
/// (`server_error::by_standby`) is run again on the primary; a read that was refused goes there from then on.
///
/// **Errors** beyond those of `pool`: `connection_error` (wrong_role) when there is no primary in time; it
/// says of each host what it said.
/// **Cancellation:** any kind, at any wait. **Threads.** All functions may be called from any thread.
/// **Lifetime.** As for `pool`: the executor's context is kept busy until close() or the destructor, and must
/// outlive the cluster, which must outlive the calls under way.
class cluster : public querying<cluster>
{
public:
    /// Begins to ask the hosts. Throws `std::invalid_argument` when an option is out of its range,
    /// `connection_error` when the connection parameters contradict each other.
    cluster(boost::asio::any_io_executor executor, cluster_options options);
    /// With default options, for a URI with several hosts.
    cluster(boost::asio::any_io_executor executor, std::string_view uri);
    cluster(cluster&&) noexcept = default;
    cluster& operator=(cluster&& other) noexcept;
    /// Closes what is idle, and stops asking. Leases that are still out stay usable.
    ~cluster();

    /// A connection to the primary, for work that writes.
    boost::asio::awaitable<lease> acquire(std::source_location where = std::source_location::current());
    /// A connection for reads only, to a replica that has applied what `seen` stands for, else to the
    /// primary.
    boost::asio::awaitable<lease> acquire_read(commit_token seen = commit_token(),
                                               std::source_location where = std::source_location::current());

    /// As `pool::with`: statements with settings of the server that hold for the statement only. They are routed as
    /// without settings, and a read is run again on another host if its host fails.
    with_settings<cluster> with(local_settings settings);

    /// As `pool::named` and `pool::traced`: the shorthands, acquire() and acquire_read() under the name of an
    /// operation, which is copied, and under a span.
    named_cluster named(std::string_view operation);
    named_cluster traced(const trace_context& parent);

    /// Waits until there is a primary; `connection_error` when there is none within `failover_timeout`. For a
    /// service that would rather not start without.
    boost::asio::awaitable<void> verify();

    /// A host joins, written as in `cluster_options::hosts`. Does nothing if it is there already.
    void add(std::string_view host);
    /// A host leaves: what is under way there has `drain_timeout` to end. Does nothing if it is not there.
    void remove(std::string_view host);

    /// Refuses new callers and those who wait (`pool_closed`), waits until all leases are back, but no longer
    /// than `within`, then cuts what is still out.
    boost::asio::awaitable<void> close(std::chrono::milliseconds within = std::chrono::seconds(30));

    /// The figures of this moment.
    cluster_stats stats() const;
    /// The same for who may outlive the cluster: nothing once it is gone. From any thread.
    std::function<std::optional<cluster_stats>()> probe() const;
    const cluster_options& options() const;

    /// For what is built on it.
    const std::shared_ptr<detail::cluster_impl>& impl() const;

private:
    friend class querying<cluster>;
    friend class with_settings<cluster>;
    boost::asio::awaitable<result> run_kept(std::string_view sql, const params& args);
    boost::asio::awaitable<result> run_with(const local_settings& settings, std::string_view sql, const params& args);

    std::shared_ptr<detail::cluster_impl> impl_;
};

/// A cluster's connections and shorthands under a name and a span; see `cluster::named` and
/// `cluster::traced`. Must not outlive the cluster.
class named_cluster : public querying<named_cluster, named_cluster>
{
public:
    explicit named_cluster(cluster& of, std::string_view operation = {},
                           const trace_context& parent = trace_context());

    /// The same under a name.
    named_cluster named(std::string_view operation) const noexcept;
    /// The same under a span.
    named_cluster traced(const trace_context& parent) const noexcept;

    /// As those of `cluster`: the wait for it is a span, and the statements on it have the name, and are
    /// children of the same span, until the lease ends.
    boost::asio::awaitable<lease> acquire(std::source_location where = std::source_location::current());
    boost::asio::awaitable<lease> acquire_read(commit_token seen = commit_token(),
                                               std::source_location where = std::source_location::current());

    /// As `cluster::with`.
    with_settings<named_cluster> with(local_settings settings);

private:
    friend class querying<named_cluster, named_cluster>;
    friend class with_settings<named_cluster>;
    boost::asio::awaitable<result> run_kept(std::string_view sql, const params& args);
    boost::asio::awaitable<result> run_with(const local_settings& settings, std::string_view sql, const params& args);

    detail::cluster_impl* impl_;
    detail::call_labels labels_;
};

/// One caller's view of a cluster, who reads what he wrote: each write moves token() on, and a read is served
/// by a replica that has got as far, or by the primary. Between requests the token travels with the caller:
///
/// ```cpp
/// pgcoro::cluster_session session(cluster, pgcoro::commit_token::from_text(request["x-seen"]));
/// co_await session.execute("update account set cents = 0 where id = $1", 7);
/// response["x-seen"] = session.token().text();
/// ```
/// A write costs a round trip more, for its position. Before it is sent, and for as long as its position is not known,
/// the session reads from the primary. Otherwise as `cluster`, which must outlive it. Used by
/// one coroutine at a time.
class cluster_session : public querying<cluster_session>
{
public:
    explicit cluster_session(cluster& of, commit_token seen = commit_token());

    /// What its reads must have seen. `primary_only()` for as long as the position of a write is not known.
    commit_token token() const noexcept { return seen_; }

    /// As `cluster::with`.
    with_settings<cluster_session> with(local_settings settings);
    /// A connection for reads that see what was written before.
    boost::asio::awaitable<lease> acquire_read(std::source_location where = std::source_location::current());
    /// The name of what it does from now on, as the observer gets it. The name is copied.
    void name_operation(std::string_view operation) noexcept { labels_.operation = operation; }
    /// The span that what it does from now on is a child of; see `cluster::traced`.
    void trace(const trace_context& parent) noexcept { labels_.trace = parent; }
    /// What the caller wrote by other ways, on a lease of the primary, counts from now on, too.
    boost::asio::awaitable<void> wrote();

    /// For what is built on it.
    const std::shared_ptr<detail::cluster_impl>& impl() const noexcept { return impl_; }

private:
    friend class querying<cluster_session>;
    friend class with_settings<cluster_session>;
    friend class detail::session_write;
    boost::asio::awaitable<result> run_kept(std::string_view sql, const params& args);
    boost::asio::awaitable<result> run_with(const local_settings& settings, std::string_view sql, const params& args);

    std::shared_ptr<detail::cluster_impl> impl_;
    commit_token seen_;
    detail::call_labels labels_;
};

} // namespace pgcoro
