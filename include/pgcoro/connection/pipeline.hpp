#pragma once

#include <pgcoro/connection/host.hpp>
#include <pgcoro/connection/statement_list.hpp>
#include <pgcoro/export.hpp>

#include <boost/asio/awaitable.hpp>

namespace PGCORO_API pgcoro
{

/// What stands between the statements of a pipeline.
enum class barrier {
    /// Nothing: they are one transaction. One that fails undoes those before it, and those behind it are not
    /// run.
    none,
    /// Each is a transaction of its own, and runs whatever became of the others. In a transaction that is
    /// open already they are part of that.
    each,
};

namespace detail
{

// Runs them in one round trip, whatever came of them before; see pipeline::run().
boost::asio::awaitable<void> run_statements(statement_host& host, statement_list::entries list, barrier b);

} // namespace detail

/// Several statements in one round trip:
///
/// ```cpp
/// auto batch = conn.pipeline();
/// auto rich = batch.query_as<account>("select id, owner, cents from account where cents > $1", 100'000);
/// auto paid = batch.execute("update account set cents = cents - 1 where id = $1", 7);
/// co_await batch.run();
/// for (auto& a : rich.get()) use(a);
/// ```
/// Texts and parameters are copied. Sending and reading go on at the same time, so that a pipeline may be of
/// any length; the results are kept until the handles are gone.
///
/// **Threads:** as its connection. **Lifetime:** not beyond its connection, lease or transaction object. run() throws
/// `std::logic_error` once the connection was closed or its lease released.
class pipeline : public statement_list
{
public:
    pipeline(detail::statement_host& host, barrier b)
        : host_(host)
        , barrier_(b)
    {}

    /// Runs the statements that were added since the last run(). Without any, does nothing.
    ///
    /// Throws the error of the first statement that failed, with its number; with `barrier::each` after all
    /// have run, and the handles of the others are good. `connection_error` when the connection is lost: all
    /// handles without an answer have it, too.
    /// Where no transaction is open, a prepared statement that the server has lost, or that no longer fits its tables, is prepared
    /// and run again, once; with `barrier::each` only if no statement behind it has run. Otherwise it is an error, once.
    /// **Cancellation:** any kind. The connection stays usable. Without barriers nothing of it stays, unless
    /// all was sent already and the server was quicker.
    boost::asio::awaitable<void> run();

private:
    detail::host_reference host_;
    barrier barrier_;
};

} // namespace pgcoro
