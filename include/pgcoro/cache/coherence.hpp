#pragma once

#include <pgcoro/connection/connection.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/resilience/backoff.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace PGCORO_API pgcoro
{

/// How a coherent cache listens to its database.
struct coherence_options
{
    /// No hit gives what a transaction has replaced whose COMMIT was answered longer ago than this. Typically
    /// it is some milliseconds; the bound is reached only when notifications are late, as on a connection
    /// that silently died: a quarter of it is the time between two round trips that prove it alive, and what
    /// was not proved in time is stale. At least 40 ms.
    ///
    /// The bound also holds for DDL: every half of it the cache reads a digest of the catalog, and forgets everything if
    /// it has changed. That costs the server some milliseconds for a thousand tables, and next to nothing while no
    /// transaction ends.
    std::chrono::milliseconds bound{2'000};

    /// The waits between attempts to connect again. Meanwhile everything is stale.
    backoff reconnect = backoff::exponential(std::chrono::milliseconds(50), std::chrono::seconds(5));

    /// Throws `std::invalid_argument` that names the option, its value and what it may be.
    void validate() const;
};

/// Has these tables tell of their changes: statement-level triggers (INSERT, UPDATE, DELETE, TRUNCATE) that
/// NOTIFY all coherent caches, at commit. A table's partitions and children get them, too; run it again for
/// new ones: until then, statements that read them are not kept. Names are as in SQL, `app.account`; unqualified ones go by the search_path, and so does the
/// trigger function, `pgcoro_cache_changed`, which is made where new tables would be. One transaction; what
/// is there already stays.
///
/// Costs of NOTIFY: writers of such tables commit one after the other (PostgreSQL takes a lock for it), and
/// cannot be prepared for two-phase commit. Triggers do not fire for changes by logical replication, for
/// sessions with `session_replication_role = replica`, and for ALTER TABLE, which the cache sees in the catalog.
/// Errors: `server_error` 42P01 for a table that is not there, 42501 without the privilege TRIGGER on it;
/// then nothing was done. Not inside a transaction. Cancellation: any kind; then nothing was done.
boost::asio::awaitable<void> install_cache_triggers(connection& on, std::vector<std::string> tables);

/// The reverse, for these tables and those below them. The function stays.
boost::asio::awaitable<void> remove_cache_triggers(connection& on, std::vector<std::string> tables);

} // namespace pgcoro
