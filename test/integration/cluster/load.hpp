#pragma once

#include "integration/cluster/support.hpp"

#include <pgcoro/transaction/transactional.hpp>

#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <atomic>
#include <mutex>
#include <set>
#include <sstream>

inline constexpr int accounts = 10;
inline constexpr int callers = 8;

inline void make_bank(const trio& servers)
{
    servers.primary.psql("create table account (id int primary key, cents bigint not null); "
                         "insert into account select i, 1000 from generate_series(0, 9) i; "
                         "create table ledger (transfer bigint primary key)");
    servers.catch_up();
}

/// Transfers between accounts through a cluster or a pool, by several callers in two threads of their own,
/// who keep account of what they were told.
template <class Database>
class load
{
public:
    /// What the database is made of, beside its executor.
    template <class Options>
    explicit load(const Options& options)
        : database_(threads_.get_executor(), options)
    {
        for (int i = 0; i < callers; ++i)
            ended_.push_back(asio::co_spawn(asio::make_strand(threads_), caller(), asio::use_future));
    }
    ~load()
    {
        stop_ = true;
        threads_.stop();
        threads_.join();
    }

    Database& database() { return database_; }

    /// Runs the coroutine that `body()` returns beside the callers, until it has ended.
    template <class Body>
    void run_beside(Body body)
    {
        watchdog dog(2 * patience);
        asio::co_spawn(asio::make_strand(threads_), body(), asio::use_future).get();
    }

    /// Waits until that many more were committed.
    void proceed(int more) const
    {
        watchdog dog(2 * patience);
        auto wanted = committed() + static_cast<std::size_t>(more);
        while (committed() < wanted) std::this_thread::sleep_for(1ms);
    }

    /// Waits for the first commit after `since`; gives when it was.
    std::chrono::steady_clock::time_point first_commit_after(
        std::chrono::steady_clock::time_point since) const
    {
        watchdog dog(2 * patience);
        for (;; std::this_thread::sleep_for(1ms)) {
            std::lock_guard lock(mutex_);
            for (auto& c : commits_)
                if (c.ended >= since) return c.ended;
        }
    }

    /// Ends the load, and holds what the callers were told against what the database has.
    void check(const pgcoro::testing::server& now_primary)
    {
        watchdog dog(2 * patience);
        stop_ = true;
        for (auto& caller : ended_) caller.get();
        auto close = asio::co_spawn(threads_, database_.close(), asio::use_future);
        close.get();
        BOOST_TEST(now_primary.psql("select sum(cents) from account") == std::to_string(1000 * accounts));
        std::set<std::int64_t> booked;
        std::istringstream lines(now_primary.psql("select transfer from ledger"));
        for (std::int64_t id; lines >> id;) booked.insert(id);
        std::size_t lost = 0;
        for (auto& c : commits_) lost += booked.erase(c.id) == 0;
        BOOST_TEST(lost == 0u);
        for (auto id : unknown_) booked.erase(id);
        BOOST_TEST(booked.empty()); // nothing took place that its caller took for failed
        BOOST_TEST(errors_.empty(), (errors_.empty() ? "" : errors_.front()));
    }

    std::size_t committed() const
    {
        std::lock_guard lock(mutex_);
        return commits_.size();
    }
    std::size_t unknown() const
    {
        std::lock_guard lock(mutex_);
        return unknown_.size();
    }

private:
    struct commit
    {
        std::int64_t id;
        std::chrono::steady_clock::time_point ended;
    };

    asio::awaitable<void> caller()
    {
        while (!stop_) {
            auto id = ++last_id_;
            // In the order of their ids: what a lost connection does is the matter here, not deadlocks.
            auto from = static_cast<int>(id % (accounts - 1));
            auto body = [&](pgcoro::transaction& tx) -> asio::awaitable<void> {
                co_await tx.execute("update account set cents = cents - 1 where id = $1", from);
                co_await tx.execute("update account set cents = cents + 1 where id = $1", from + 1);
                co_await tx.execute("insert into ledger values ($1)", id);
            };
            bool unknown = false;
            std::string error;
            try {
                co_await pgcoro::transactional(database_, body);
            } catch (const pgcoro::commit_unknown&) {
                unknown = true;
            } catch (const std::exception& e) {
                error = e.what();
            }
            std::lock_guard lock(mutex_);
            if (unknown)
                unknown_.push_back(id);
            else if (!error.empty())
                errors_.push_back(error);
            else
                commits_.push_back({id, std::chrono::steady_clock::now()});
        }
    }

    asio::thread_pool threads_{2};
    Database database_;
    std::atomic<bool> stop_ = false;
    std::atomic<std::int64_t> last_id_ = 0;
    mutable std::mutex mutex_;
    std::vector<commit> commits_;
    std::vector<std::int64_t> unknown_;
    std::vector<std::string> errors_;
    std::vector<std::future<void>> ended_;
};

/// The replica that got farther, and the other one.
inline std::pair<pgcoro::testing::server*, pgcoro::testing::server*> farther_first(trio& servers)
{
    auto ahead = [](const pgcoro::testing::server& s) {
        return s.psql("select pg_last_wal_receive_lsn() - '0/0'");
    };
    bool first = std::stoll(ahead(servers.first)) >= std::stoll(ahead(servers.second));
    if (first) return {&servers.first, &servers.second};
    return {&servers.second, &servers.first};
}
