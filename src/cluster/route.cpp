// Where a caller's work goes, and what becomes of it when that fails.
#include "cluster/changing.hpp"

#include "connection/clock.hpp"
#include "resilience/chance.hpp"
#include "resilience/text.hpp"
#include "transaction/outcome.hpp"

#include <pgcoro/cluster/transactional.hpp>
#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace pgcoro::detail
{

namespace
{

// With the postmaster's start as server_identity has it: another server may answer by now.
constexpr std::string_view applied_question =
    "select (coalesce(pg_catalog.pg_last_wal_replay_lsn(), '0/0') - '0/0')::bigint, "
    "(extract(epoch from pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint";

// A write is begun anew each time that the primary has changed under it. This often, and for longer than a
// failover may take, something else is wrong.
constexpr int most_changes = 10;

template <class T>
bool contains(const std::vector<T>& all, const T& one)
{
    return std::ranges::find(all, one) != all.end();
}

// Nothing was tried: before there was a connection it turned out that the host has another role.
bool is_of_role(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const pool_closed&) {
        return true;
    } catch (const connection_error& e) {
        return e.why() == connection_failure::wrong_role;
    } catch (...) {
        return false;
    }
}

} // namespace

bool is_refused(const std::exception_ptr& failure)
{
    return sqlstate_of(failure) == sqlstates::read_only_sql_transaction.str() || is_refused_by_standby(failure);
}

// A standby cannot run it, and a primary can: unlogged tables, the serializable level. A write in a read-only transaction is
// refused by both.
bool only_a_primary_can(const std::exception_ptr& failure)
{
    return is_refused_by_standby(failure) && sqlstate_of(failure) != sqlstates::read_only_sql_transaction.str();
}

std::shared_ptr<one_shot> cluster_impl::wait_for_news()
{
    // Those who gave up are cleared away now and then.
    auto n = waiting_.size();
    if (n >= 16 && (n & (n - 1)) == 0) std::erase_if(waiting_, [](auto& weak) { return weak.expired(); });
    auto news = std::make_shared<one_shot>();
    waiting_.push_back(news);
    return news;
}

asio::awaitable<void> cluster_impl::change(std::shared_ptr<one_shot> news, time_point until)
{
    auto why = co_await news->async_wait(until, asio::deferred);
    if (why == wake::cancelled) throw boost::system::system_error(asio::error::operation_aborted);
}

asio::awaitable<cluster_route> cluster_impl::primary(time_point until)
{
    auto begun = clock::now();
    for (bool first = true;; first = false) {
        std::shared_ptr<one_shot> news;
        {
            std::lock_guard lock(mutex_);
            check_open();
            if (auto id = core_.primary()) co_return cluster_route{members_[*id], members_[*id]->pool};
            if (clock::now() >= until)
                throw connection_error(connection_failure::wrong_role,
                                       "no primary among the hosts of cluster '" + options_.pool.name +
                                           "' for " + text_of(clock::now() - begun) + ": " + state_text());
            if (first) {
                ++waited_for_primary_;
                kick_all();
            }
            news = wait_for_news();
        }
        co_await change(std::move(news), until);
    }
}

std::optional<cluster_route> cluster_impl::choose_from(std::vector<host_id> hosts,
                                                       const std::vector<std::size_t>& failed)
{
    std::erase_if(hosts, [&](host_id id) { return contains(failed, id); });
    if (hosts.empty()) return std::nullopt;
    std::vector<read_candidate> candidates;
    for (auto id : hosts) {
        auto used = members_[id]->pool->stats();
        candidates.push_back({used.in_use + used.waiting, core_.latency(id)});
    }
    auto first = static_cast<std::uint32_t>(generator()());
    auto second = static_cast<std::uint32_t>(generator()());
    auto& m = members_[hosts[choose(options_.reads, candidates, turn_++, first, second)]];
    return cluster_route{m, m->pool};
}

asio::awaitable<cluster_route> cluster_impl::reader(commit_token seen, std::vector<std::size_t> failed,
                                                    time_point until)
{
    {
        std::optional<cluster_route> lagging;
        {
            std::lock_guard lock(mutex_);
            check_open();
            auto now = clock::now();
            if (auto fit = choose_from(core_.readable(seen.position(), now), failed)) co_return *fit;
            bool may_wait = options_.catch_up_timeout.count() > 0 && seen != commit_token::primary_only();
            if (may_wait) lagging = choose_from(core_.behind(seen.position(), now), failed);
        }
        bool caught = false;
        if (lagging) ++token_waits_;
        if (lagging) caught = co_await catches_up(*lagging, seen);
        if (caught) {
            ++caught_up_;
            co_return *lagging;
        }
    }
    // No replica is fit: the primary is. While there is none, whoever becomes fit first.
    ++stale_avoided_;
    for (;;) {
        std::shared_ptr<one_shot> news;
        {
            std::lock_guard lock(mutex_);
            check_open();
            if (auto id = core_.primary()) co_return cluster_route{members_[*id], members_[*id]->pool};
            if (auto fit = choose_from(core_.readable(seen.position(), clock::now()), failed)) co_return *fit;
            if (clock::now() >= until)
                throw connection_error(
                    connection_failure::wrong_role,
                    "no host of cluster '" + options_.pool.name +
                        "' is fit for a read: no primary, and no replica known to be up to date within "
                        "max_lag (" +
                        state_text() +
                        "); only a primary can tell that: set max_lag to 0 to read without one");
            kick_all();
            news = wait_for_news();
        }
        co_await change(std::move(news), until);
    }
}

// Asks the replica itself until it has applied that much.
asio::awaitable<bool> cluster_impl::catches_up(const cluster_route& route, commit_token seen)
{
    auto until = clock::now() + options_.catch_up_timeout;
    auto pause = std::chrono::milliseconds(1);
    asio::steady_timer timer(co_await asio::this_coro::executor);
    try {
        auto held = co_await route.pool->acquire(options_.catch_up_timeout);
        for (;;) {
            using row = std::tuple<std::int64_t, std::int64_t>;
            auto [applied, started] = co_await held->query_value<row>(applied_question);
            auto position = static_cast<std::uint64_t>(applied);
            {
                std::lock_guard lock(mutex_);
                auto known = core_.started(route.member->id);
                if (known != 0 && started != known) co_return false;
                core_.applied(route.member->id, position, known);
            }
            if (position >= seen.position()) co_return true;
            if (clock::now() + pause > until) co_return false;
            timer.expires_after(pause);
            co_await timer.async_wait(asio::deferred);
            pause = std::min(2 * pause, std::chrono::milliseconds(20));
        }
    } catch (const error&) {
        // It is as good as one that lags.
    }
    co_return false;
}

bool cluster_impl::is_the_hosts(const std::exception_ptr& failure) const
{
    if (is_refused(failure)) return true;
    try {
        std::rethrow_exception(failure);
    } catch (const connection_error& e) {
        return e.is_transient();
    } catch (const pool_closed&) {
        return true; // the host's, because it is not what it was
    } catch (const pool_timeout&) {
        return true; // perhaps because nothing comes back from there
    } catch (...) {
        return false;
    }
}

asio::awaitable<bool> cluster_impl::has_changed(const cluster_route& route, time_point until)
{
    // One check may be under way, and have its answer from before the failure.
    std::optional<std::uint64_t> enough;
    for (;;) {
        std::shared_ptr<one_shot> news;
        {
            std::lock_guard lock(mutex_);
            auto& m = *route.member;
            if (closed_) co_return false;
            m.kick->tell();
            if (m.pool != route.pool || core_.primary() != m.id) co_return true;
            if (!enough) enough = m.checks + 2;
            if (m.checks >= *enough || clock::now() >= until) co_return false;
            news = wait_for_news();
        }
        co_await change(std::move(news), until);
    }
}

bool cluster_impl::is_replaced(const cluster_route& route) const
{
    std::lock_guard lock(mutex_);
    return route.member->pool != route.pool;
}

void cluster_impl::throw_unsettled(int begun, const std::exception_ptr& failure) const
{
    std::lock_guard lock(mutex_);
    throw connection_error(connection_failure::wrong_role,
                           "cluster '" + options_.pool.name + "': begun " + std::to_string(begun) +
                               " times, and each time the host changed its role before the end; now " +
                               state_text() + ". Are primaries changing, or does one address lead to " +
                               "several servers? The last failure: " + first_line(failure));
}

cluster_run::cluster_run(std::shared_ptr<cluster_impl> on, bool reads, commit_token seen, deadline until)
    : impl_(std::move(on))
    , reads_(reads)
    , seen_(seen)
    , until_(until)
{}

cluster_run::~cluster_run() = default;

asio::awaitable<pool*> cluster_run::next()
{
    auto until = earlier(until_, deadline::after(impl_->options().failover_timeout)).time();
    cluster_route to;
    try {
        if (reads_)
            to = co_await impl_->reader(seen_, failed_hosts_, until);
        else
            to = co_await impl_->primary(until);
    } catch (const connection_error& e) {
        if (!until_.expired()) throw;
        deadline_exceeded late("the time was over before there was a host to run it on");
        late.add_note(e.what());
        throw late;
    }
    if (begun_++ > 0) impl_->count_rerouted();
    ++(reads_ ? to.member->reads : to.member->writes);
    route_.reset(new cluster_route(std::move(to)));
    co_return route_->pool.get();
}

bool cluster_run::read_again(const std::exception_ptr& failure, bool changed)
{
    if (is_refused(failure)) return false; // the caller said read-only, and writes
    if (is_of_role(failure) && impl_->is_replaced(*route_)) return true; // it will do in its new role
    // Another replica will do, also if this one recovers meanwhile.
    bool first = !contains(failed_hosts_, route_->member->id);
    failed_hosts_.push_back(route_->member->id);
    return changed && first;
}

bool cluster_run::write_again(const std::exception_ptr& failure, bool changed)
{
    if (changed || !is_refused_by_standby(failure)) return changed;
    // A primary answers at this address, and connections made there before lead to a standby: so it is with
    // HAProxy between a promotion and its next check.
    route_->pool->evict();
    return !changes_end_.expired();
}

asio::awaitable<void> cluster_run::failed(std::exception_ptr failure, bool repeatable)
{
    if (!impl_->is_the_hosts(failure)) std::rethrow_exception(failure);
    auto& options = impl_->options();
    if (begun_ == 1) changes_end_ = earlier(until_, deadline::after(options.failover_timeout));
    // A statement that was refused has done nothing.
    if (!repeatable && !is_refused(failure)) std::rethrow_exception(failure);
    if (reads_ && only_a_primary_can(failure)) {
        turn_into_write();
        co_return;
    }
    if (begun_ > most_changes && changes_end_.expired()) impl_->throw_unsettled(begun_, failure);
    auto until = earlier(until_, deadline::after(2 * options.check_timeout)).time();
    bool changed = co_await impl_->has_changed(*route_, until);
    bool again = reads_ ? read_again(failure, changed) : write_again(failure, changed);
    if (!again) std::rethrow_exception(failure);
    if (begun_ <= 2 || !failed_hosts_.empty()) co_return;
    // Whoever stands in between takes turns among several: not in a tight loop.
    asio::steady_timer timer(co_await asio::this_coro::executor, options.recheck_interval);
    co_await timer.async_wait(asio::deferred);
}

transaction_options within(transaction_options options, deadline until)
{
    if (until.is_never()) return options;
    auto left = std::chrono::floor<std::chrono::milliseconds>(until.remaining());
    if (left.count() <= 0)
        throw deadline_exceeded("the time was over before it could be run on another host");
    options.timeout = left;
    return options;
}

struct primary_source::impl final : connection_source
{
    explicit impl(std::shared_ptr<cluster_impl> of)
        : cluster(std::move(of))
    {}
    asio::awaitable<lease> acquire(std::chrono::milliseconds within) override
    {
        auto until = time_after(within);
        auto to = co_await cluster->primary(until);
        auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());
        try {
            lease held = co_await to.pool->acquire(std::max(left, std::chrono::milliseconds(1)));
            co_return held;
        } catch (const pool_closed& e) {
            if (!cluster->open()) throw;
            throw connection_error(connection_failure::wrong_role, e.what()); // it is not the primary any more
        }
    }

    std::shared_ptr<cluster_impl> cluster;
};

primary_source::primary_source(std::shared_ptr<cluster_impl> of)
    : impl_(new impl(std::move(of)))
{}
primary_source::~primary_source() = default;
connection_source* primary_source::get() const noexcept { return impl_.get(); }

} // namespace pgcoro::detail
