#pragma once

#include <pgcoro/cluster/cluster.hpp>
#include <pgcoro/detail/owned.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/transaction/transactional.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{

namespace detail
{

struct cluster_route;

// One caller's work, and the hosts that it is tried on.
class cluster_run
{
public:
    cluster_run(std::shared_ptr<cluster_impl> on, bool reads, commit_token seen, deadline until);
    ~cluster_run();
    cluster_run(const cluster_run&) = delete;
    cluster_run& operator=(const cluster_run&) = delete;

    // The pool to do it on. It stays while this stays, or until the next call. Throws when there is none in
    // time.
    boost::asio::awaitable<pool*> next();
    // It failed. Returns when another host may do better; rethrows when none would, or when it must not be
    // done again: `repeatable` says that nothing of it has stayed.
    boost::asio::awaitable<void> failed(std::exception_ptr failure, bool repeatable);

    // From now on it goes to the primary.
    void turn_into_write() noexcept { reads_ = false; }
    deadline until() const noexcept { return until_; }

private:
    // Is it worth while to begin anew? `changed`: the host is not what it was.
    bool read_again(const std::exception_ptr& failure, bool changed);
    bool write_again(const std::exception_ptr& failure, bool changed);

    std::shared_ptr<cluster_impl> impl_;
    bool reads_;
    commit_token seen_;
    deadline until_;
    deadline changes_end_; // by then the hosts should have settled; set by the first failure
    int begun_ = 0;
    owned<cluster_route> route_;
    std::vector<std::size_t> failed_hosts_;
};

// The options for what is left of the time. Throws deadline_exceeded when nothing is.
transaction_options within(transaction_options options, deadline until);

template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> run_transaction(std::shared_ptr<cluster_impl> on, commit_token seen,
                                                          Body body, transaction_options options,
                                                          std::source_location where)
{
    using value_type = typename awaited<std::invoke_result_t<Body&, transaction&>>::type;
    options.validate();
    auto until = options.timeout.count() > 0 ? deadline::after(options.timeout) : deadline::never();
    cluster_run run(std::move(on), options.read_only, seen, until);
    auto call = [&body](transaction& tx) { return body(tx); };
    for (;;) {
        auto* host = co_await run.next();
        auto left = within(options, until);
        std::exception_ptr failure; // a catch block must not suspend
        if constexpr (std::is_void_v<value_type>) {
            try {
                co_await transactional(*host, call, left, where);
                co_return;
            } catch (...) {
                failure = std::current_exception();
            }
        } else {
            try {
                value_type value = co_await transactional(*host, call, left, where);
                co_return value;
            } catch (...) {
                failure = std::current_exception();
            }
        }
        co_await run.failed(std::move(failure), true);
    }
}

} // namespace detail

/// `transactional` on a cluster: on the primary, or, with `read_only`, on a replica that is fit for reads.
///
/// Beyond what `transactional` on a pool retries: when the primary goes away while it runs, or is demoted,
/// the whole is run again on the new one, within `options.timeout`; how long it waits for that is
/// `cluster_options::failover_timeout`. If the connection is lost in COMMIT, and it is another server that is
/// primary then, it ends with `commit_unknown`: with asynchronous replication the new one cannot say what the
/// old one did. `options.metrics` and the events count the attempts of each host by themselves, and
/// `transaction::attempt()` begins again with each host.
template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> transactional(
    cluster& c, Body body, transaction_options options = transaction_options(),
    std::source_location where = std::source_location::current())
{
    return detail::run_transaction(c.impl(), commit_token(), std::move(body), options, where);
}

/// The same for a session: what it wrote is seen by the session's reads, and a read-only transaction sees
/// what the session wrote before.
template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> transactional(
    cluster_session& s, Body body, transaction_options options = transaction_options(),
    std::source_location where = std::source_location::current())
{
    if constexpr (std::is_void_v<typename std::invoke_result_t<Body&, transaction&>::value_type>) {
        co_await detail::run_transaction(s.impl(), s.token(), std::move(body), options, where);
        if (!options.read_only) co_await s.wrote();
    } else {
        auto value = co_await detail::run_transaction(s.impl(), s.token(), std::move(body), options, where);
        if (!options.read_only) co_await s.wrote();
        co_return value;
    }
}

} // namespace pgcoro
