// The cluster's body: a lock around the core, a pool and a watcher for each host.
#pragma once

#include "cluster/core.hpp"
#include "cluster/statement_kinds.hpp"
#include "connection/one_shot.hpp"

#include <pgcoro/cluster/cluster.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace pgcoro::detail
{

namespace asio = boost::asio;

// A host, and what was sent there.
struct cluster_member
{
    using executor = asio::strand<asio::any_io_executor>;

    cluster_member(cluster_core::host_id i, std::string called, connection_options how, executor e)
        : id(i)
        , name(std::move(called))
        , connection(std::move(how))
        , strand(std::move(e))
    {}

    const cluster_core::host_id id;
    const std::string name;
    const connection_options connection;
    std::atomic<std::uint64_t> reads{0};
    std::atomic<std::uint64_t> writes{0};

    // Guarded by the cluster's lock.
    bool was_replica = false;           // when it was last heard of
    std::shared_ptr<pgcoro::pool> pool; // null once the cluster is closed, or the host removed
    std::shared_ptr<one_shot> kick = std::make_shared<one_shot>(); // look at it now
    std::uint64_t checks = 0;
    std::uint64_t failed_checks = 0;
    std::string last_failure; // its first line; empty if the last check succeeded

    // Used on the strand only, on which it is watched.
    executor strand;
    asio::cancellation_signal stop;
    bool watched = false;
};

// Where somebody's work goes.
struct cluster_route
{
    std::shared_ptr<cluster_member> member;
    std::shared_ptr<pgcoro::pool> pool;
};

// Did a server refuse it because it takes no writes, or because it is a standby?
bool is_refused(const std::exception_ptr& failure);

class cluster_impl : public std::enable_shared_from_this<cluster_impl>
{
public:
    using time_point = std::chrono::steady_clock::time_point;
    using host_id = cluster_core::host_id;

    cluster_impl(asio::any_io_executor executor, cluster_options options);
    void start();

    asio::awaitable<cluster_route> primary(time_point until);
    // A host that is none of `failed`.
    asio::awaitable<cluster_route> reader(commit_token seen, std::vector<std::size_t> failed,
                                          time_point until);
    // Something failed there: is it worth while to begin anew, because the host is not what it was?
    asio::awaitable<bool> has_changed(const cluster_route& route, time_point until);
    // Was its pool replaced since, because the host's role changed?
    bool is_replaced(const cluster_route& route) const;
    [[noreturn]] void throw_unsettled(int begun, const std::exception_ptr& failure) const;
    // Is it a failure that another host might not have?
    bool is_the_hosts(const std::exception_ptr& failure) const;

    asio::awaitable<lease> acquire(bool reads, commit_token seen, call_labels labels,
                                   std::source_location where);
    // `wrote` is set before it is sent to the primary as a write, and stays so unless the server refused it. `settings`
    // hold for the statement only.
    asio::awaitable<result> run(std::string_view sql, const params& args, const local_settings& settings,
                                commit_token seen, const call_labels& labels, bool& wrote,
                                std::optional<std::string>* context = nullptr);
    // How far the log has got where it was just written.
    asio::awaitable<commit_token> written_by_now();

    void add(std::string_view host);
    void remove(std::string_view host);
    asio::awaitable<void> close(std::chrono::milliseconds within);
    void abandon() noexcept;

    cluster_stats stats() const;
    // What it does in the background may keep it for a while longer than that.
    bool open() const;
    const cluster_options& options() const noexcept { return options_; }
    void count_rerouted() noexcept { ++rerouted_; }

private:
    class changing;

    void add(std::string name, connection_options how);
    std::shared_ptr<pgcoro::pool> make_pool(const cluster_member& m);
    asio::awaitable<void> greet(std::string name, host_id id, connection& c);
    asio::awaitable<void> watch(std::shared_ptr<cluster_member> m);
    // A connection for the questions, and what they are for this role.
    struct watching
    {
        pgcoro::connection connection;
        std::string question;
        bool serializable; // default_transaction_isolation
    };
    asio::awaitable<cluster_core::answer> ask(watching& w);
    asio::awaitable<watching> connect_to_ask(const cluster_member& m);
    std::chrono::milliseconds pause_after(const cluster_member& m) const;
    asio::awaitable<bool> catches_up(const cluster_route& route, commit_token seen);
    asio::awaitable<bool> is_read(std::string_view sql);
    asio::awaitable<void> change(std::shared_ptr<one_shot> news, time_point until);
    static asio::awaitable<void> retire(std::shared_ptr<pgcoro::pool> p, std::chrono::milliseconds within);

    // With the lock held.
    std::shared_ptr<one_shot> wait_for_news();
    std::optional<cluster_route> choose_from(std::vector<host_id> hosts,
                                             const std::vector<std::size_t>& failed);
    void kick_all();
    void check_open() const;
    std::string state_text() const;

    const cluster_options options_;
    asio::any_io_executor executor_;
    statement_kinds kinds_;
    std::atomic<std::uint64_t> waited_for_primary_{0};
    std::atomic<std::uint64_t> token_waits_{0};
    std::atomic<std::uint64_t> caught_up_{0};
    std::atomic<std::uint64_t> stale_avoided_{0};
    std::atomic<std::uint64_t> rerouted_{0};

    mutable std::mutex mutex_; // guards all below; never held over a suspension or a call to the outside
    cluster_core core_;
    std::vector<std::shared_ptr<cluster_member>> members_; // by id; removed ones stay
    std::vector<std::weak_ptr<one_shot>> waiting_;         // for a change
    std::uint64_t turn_ = 0;
    std::uint64_t failovers_ = 0;
    std::uint64_t promotions_ = 0;
    std::string last_primary_; // empty before the first is gone
    time_point without_primary_since_{};
    bool closed_ = false;
};

} // namespace pgcoro::detail
