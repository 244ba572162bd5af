#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observe/figures.hpp>
#include <pgcoro/observer/observer.hpp>

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <string>

namespace PGCORO_API pgcoro
{

class circuit_breaker;
class cluster;
class pool;
class query_cache;
class retry_budget;

/// What `metrics` counts, and how much memory it may take.
struct metrics_options
{
    /// A statement that takes longer counts as slow. Above 0.
    std::chrono::milliseconds slow_query{1'000};

    /// Figures by statement: those of one shape are one, whatever their literals and spacing. A text's
    /// fingerprint is made once per thread and text, in some 50 µs.
    bool by_statement = true;

    /// So many kinds of statement, operations and transactions are told apart each; later ones are "other".
    /// A kind takes some 4 KiB a thread that met it. 1 to 100,000.
    std::size_t max_series = 200;

    /// So many texts a thread remembers the fingerprints of. 1 or more.
    std::size_t max_texts = 1'000;

    /// Told of everything, too; null for nobody. Must outlive the metrics.
    pgcoro::observer* next = nullptr;

    /// Throws `std::invalid_argument` that names the option, its value and what it may be.
    void validate() const;
};

/// Counts what the layer does. An observer: put it into `pool_options::observer`, and `watch` the pool.
///
///     pgcoro::metrics metrics;
///     options.observer = &metrics;
///     pgcoro::pool pool(io.get_executor(), options);
///     metrics.watch(pool);
///     … boost::json::value_from(metrics.snapshot())
///
/// **Statements** are distinguished by their shape: their text without constants and comments. Every literal
/// of every kind of statement counts as a constant, `CREATE ROLE … PASSWORD '…'` and `NOTIFY` included. A
/// statement that PostgreSQL 15's parser does not understand, or of more than 16 KiB, is "other".
/// **Operations** are what `connection::name_operation`, `pool::named` and `transaction_options::name` say.
///
/// **Threads.** All functions from any thread. Each thread counts in memory of its own, without a lock;
/// snapshot() adds it up. Figures of one snapshot may so be some events apart.
///
/// **Memory** is bounded by the options, and by the number of threads that are there at once: those that come
/// take over the memory of those that went.
class metrics final : public observer
{
public:
    explicit metrics(metrics_options options = {});
    metrics(const metrics&) = delete;
    metrics& operator=(const metrics&) = delete;
    ~metrics() override;

    /// Has the snapshots tell the state of this pool, by its name, for as long as it is there.
    void watch(const pool& p);

    /// Has the snapshots tell of this cluster, by its pool's name, for as long as it is there. Its hosts'
    /// pools are told by its hosts' figures and by their events; they need not be watched.
    void watch(const cluster& c);

    /// What has snapshots tell of something that they must not outlive: ends with its life.
    class watching
    {
    public:
        watching() = default;
        watching(watching&&) noexcept = default;
        watching& operator=(watching&&) noexcept = default;

    private:
        friend class metrics;
        std::shared_ptr<const void> held_;
    };
    /// The breaker's state beyond what events say. It must outlive what is returned.
    [[nodiscard]] watching watch(const circuit_breaker& b);
    /// A budget under a name. It must outlive what is returned.
    [[nodiscard]] watching watch(std::string name, retry_budget& b);
    /// A cache under a name; `sample::cache_hit_ratio` is of all that are watched. It must outlive what is
    /// returned.
    [[nodiscard]] watching watch(std::string name, const query_cache& c);

    /// All figures as they are now. Costs some hundred microseconds and memory for the distributions.
    metrics_snapshot snapshot() const;

    const metrics_options& options() const noexcept;

    void on_query(const query_event& e) noexcept override;
    void on_notice(const notice_event& e) noexcept override;
    void on_connect(const connect_event& e) noexcept override;
    void on_disconnect(const disconnect_event& e) noexcept override;
    void on_acquire(const acquire_event& e) noexcept override;
    void on_acquire_failed(const acquire_failed_event& e) noexcept override;
    void on_release(const release_event& e) noexcept override;
    void on_leak(const leak_event& e) noexcept override;
    void on_retry(const retry_event& e) noexcept override;
    void on_transaction_begin(const transaction_begin_event& e) noexcept override;
    void on_transaction(const transaction_event& e) noexcept override;
    void on_long_transaction(const long_transaction_event& e) noexcept override;
    void on_breaker(const breaker_event& e) noexcept override;
    void on_role(const role_event& e) noexcept override;
    void on_failover(const failover_event& e) noexcept override;
    /// Spans are not counted; `metrics_options::next` is asked whether it wants them.
    bool wants_spans() const noexcept override;
    void on_span_begin(span_begin& s) noexcept override;
    void on_span(const span_event& e) noexcept override;

private:
    struct impl;
    template <class T>
    watching keep(std::list<T> impl::*list, T watched);

    std::shared_ptr<impl> impl_;
};

} // namespace pgcoro
