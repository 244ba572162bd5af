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

// Where the outcome of a COMMIT is asked for: on whichever host is the primary then.
class primary_source final
{
public:
    explicit primary_source(std::shared_ptr<cluster_impl> of);
    ~primary_source();
    primary_source(const primary_source&) = delete;
    primary_source& operator=(const primary_source&) = delete;
    connection_source* get() const noexcept;

private:
    struct impl;
    owned<impl> impl_;
};

// What a session's reads must have seen: moved to the primary before its transaction is sent, and back where nothing
// of that stays.
class session_write
{
public:
    // `of`: null for a cluster's own transactions. A read-only transaction writes nothing.
    session_write(cluster_session* of, bool writes) noexcept;
    commit_token seen() const noexcept { return seen_; }
    void begins() noexcept;
    // Nothing of the transaction stays.
    void undone() noexcept;
    // It is committed, or may be.
    boost::asio::awaitable<void> done();

private:
    cluster_session* session_;
    commit_token seen_;
};

template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> run_transaction(std::shared_ptr<cluster_impl> on, cluster_session* session,
                                                          Body body, transaction_options options,
                                                          std::source_location where)
{
    using value_type = typename awaited<std::invoke_result_t<Body&, transaction&>>::type;
    options.validate();
    auto until = options.timeout.count() > 0 ? deadline::after(options.timeout) : deadline::never();
    session_write written(session, !options.read_only);
    primary_source primary(on);
    bool on_replica = options.read_only && options.isolation != isolation::serializable; // a standby has no such level
    cluster_run run(std::move(on), on_replica, written.seen(), until);
    for (;;) {
        auto* host = co_await run.next();
        auto left = within(options, until);
        transaction_run attempts(host->shared(), left, where, primary.get());
        written.begins();
        std::exception_ptr failure; // a catch block must not suspend
        if constexpr (std::is_void_v<value_type>) {
            try {
                co_await run_attempts(attempts, body);
            } catch (...) {
                failure = std::current_exception();
            }
            if (!failure) {
                co_await written.done();
                co_return;
            }
        } else {
            std::optional<value_type> value;
            try {
                value_type made = co_await run_attempts(attempts, body);
                value.emplace(std::move(made));
            } catch (...) {
                failure = std::current_exception();
            }
            if (!failure) {
                co_await written.done();
                co_return std::move(*value);
            }
        }
        if (!attempts.took_no_effect()) {
            co_await written.done();
            std::rethrow_exception(failure);
        }
        written.undone();
        if (!attempts.may_run_elsewhere()) std::rethrow_exception(failure);
        co_await run.failed(failure, true);
    }
}

} // namespace detail

/// `transactional` on a cluster: on the primary, or, with `read_only`, on a replica that is fit for reads.
///
/// Beyond what `transactional` on a pool retries: when the primary goes away while it runs, or is demoted,
/// the whole is run again on the new one, within `options.timeout`; how long it waits for that is
/// `cluster_options::failover_timeout`. If the connection is lost in COMMIT, the server that is the primary then is
/// asked. Another server than the one that had the transaction can say by the transaction's id only that it did not
/// take place; `resolve_commit::by_marker` finds it there, too, if it was replicated. `options.metrics` and the events count the attempts of each host by themselves, and
/// `transaction::attempt()` begins again with each host.
template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> transactional(
    cluster& c, Body body, transaction_options options = transaction_options(),
    std::source_location where = std::source_location::current())
{
    return detail::run_transaction(c.impl(), nullptr, std::move(body), options, where);
}

/// The same for a session: what it wrote is seen by the session's reads, and a read-only transaction sees
/// what the session wrote before. From the moment that the transaction begins until its position is known, the
/// session reads from the primary; that holds also where the caller gets an error and the transaction may be committed.
template <transaction_body Body>
std::invoke_result_t<Body&, transaction&> transactional(
    cluster_session& s, Body body, transaction_options options = transaction_options(),
    std::source_location where = std::source_location::current())
{
    return detail::run_transaction(s.impl(), &s, std::move(body), options, where);
}

} // namespace pgcoro
