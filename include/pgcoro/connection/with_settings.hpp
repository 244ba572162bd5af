#pragma once

#include <pgcoro/connection/local_settings.hpp>
#include <pgcoro/connection/querying.hpp>
#include <pgcoro/export.hpp>

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string_view>
#include <utility>

namespace PGCORO_API pgcoro
{

/// Statements on `On` (a pool, cluster, transaction or multiplexer) with settings of the server that hold for the
/// statement only; what with() returns. See `querying` for the ways to run one.
///
/// ```cpp
/// auto mine = co_await pool.with({{"app.tenant", id}}).query("select * from account");
/// ```
/// Each statement is a transaction of one round trip: BEGIN, the settings, the statement, COMMIT. In a `transaction` it is
/// a part of that transaction, and the settings are set back behind the statement. Without any settings it runs as on
/// `On` itself. See docs/tenants.md.
///
/// @par Isolation
/// The settings end with the statement: the next statement on the connection never sees them, also if this one
/// fails, is cancelled, or its connection is lost. The server ends them with the transaction; nothing depends on a
/// second request that could get lost.
///
/// @par Errors
/// Those of the same functions of `On`. An error of the settings (an unknown role, a value that the server refuses) is
/// the `server_error` of the statement, which is not run then. `commit_unknown` if the connection is lost after the
/// statement was sent and before its COMMIT was answered: the statement may have taken effect, and is not run again. A
/// lost statement that cannot have written is a `connection_error` as usual: on a pool or cluster with the setting
/// `transaction_read_only` "on", on a cluster also if it is routed as a read, and by `read()` of a multiplexer. In a
/// `transaction`, the transaction decides as after any other statement.
/// `std::logic_error` for a statement that would begin or end a transaction. CALL and DO that commit inside are refused by
/// the server (2D000), so that no statement outlives its settings.
///
/// @par Cancellation
/// As on `On`. A statement that was sent may take effect.
///
/// @par Thread safety
/// As `On`.
///
/// @par Lifetime
/// Owns the settings; operations keep a copy of it, so that it may be a temporary. `On` must live until the operation
/// ends.
template <class On>
class with_settings : public querying<with_settings<On>, with_settings<On>>
{
public:
    /// For with() of `On`.
    with_settings(On& on, local_settings settings)
        : on_(on)
        , settings_(std::make_shared<const local_settings>(std::move(settings)))
    {}

    /// Returns the settings.
    const local_settings& settings() const noexcept { return *settings_; }

private:
    friend class querying<with_settings, with_settings>;

    boost::asio::awaitable<result> run_kept(std::string_view sql, params& args)
    {
        return on_.run_with(*settings_, sql, args);
    }

    typename On::kept_object on_;
    std::shared_ptr<const local_settings> settings_;
};

} // namespace pgcoro
