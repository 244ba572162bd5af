// P7: what does a hit in the cache cost, and what does the database see of the same questions?
#include "measures/measures.hpp"
#include "random.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <cmath>
#include <memory>

namespace bench
{

namespace asio = boost::asio;

namespace
{

using clock = std::chrono::steady_clock;

const std::string zipf = "pgcoro, Zipf, a write in 50";
const std::string uncached = "pool, Zipf, a write in 50";
const std::string scanned = "pgcoro, the same with scans";
const std::string scanned_lru = "plain LRU, the same with scans";
const std::string crowd = "1,000 at once";

constexpr const char* cents_of = "select cents from account where id = $1";
constexpr const char* set_cents = "update account set cents = cents + 1 where id = $1";
constexpr std::size_t simultaneous = 1'000;
constexpr std::uint64_t questions_with_scans = 26'000;

// Counts what reaches the database.
class counted final : public pgcoro::cache_source
{
public:
    explicit counted(pgcoro::pool& p)
        : pool_(p)
    {}
    asio::awaitable<pgcoro::result> run(std::string_view sql, const pgcoro::params& args) override
    {
        if (sql == cents_of) ++queries;
        return pool_.run(sql, args);
    }
    std::uint64_t queries = 0;

private:
    pgcoro::pool& pool_;
};

class caches
{
public:
    explicit caches(const environment& where)
        : pool_(io_.get_executor(), where.pool(16))
        , source_(std::make_shared<counted>(pool_))
        , cache_(io_.get_executor(), source_,
                 small(pgcoro::cache_eviction::tiny_lfu, environment::accounts / 10))
        , scanned_(io_.get_executor(), source_, small(pgcoro::cache_eviction::tiny_lfu, 1'000))
        , lru_(io_.get_executor(), source_, small(pgcoro::cache_eviction::lru, 1'000))
    {
        double sum = 0;
        for (std::int64_t id = 1; id <= environment::accounts; ++id)
            sums_.push_back(sum += std::pow(static_cast<double>(id), -1.0));
    }

    sample hits(seconds how_long)
    {
        return run([&]() -> asio::awaitable<std::uint64_t> {
            co_await cache_.query(cents_of, 1);
            auto end = end_of(how_long);
            std::uint64_t done = 0;
            do {
                for (int i = 0; i < 4'096; ++i) co_await cache_.query(cents_of, 1);
                done += 4'096;
            } while (clock::now() < end);
            co_return done;
        });
    }

    // Most read a few accounts. A write forgets the account's own result, as its writer tells.
    sample workload(seconds how_long, bool use_cache)
    {
        auto before = source_->queries;
        std::uint64_t reads = 0;
        auto s = run([&]() -> asio::awaitable<std::uint64_t> {
            auto end = end_of(how_long);
            std::uint64_t done = 0;
            for (; clock::now() < end; ++done) {
                auto id = next(random_);
                if (done % 50 == 49) {
                    co_await pool_.execute(set_cents, id);
                    cache_.invalidate(cents_of, id);
                    continue;
                }
                ++reads;
                if (use_cache)
                    co_await cache_.query(cents_of, id);
                else
                    co_await source_->run(cents_of, pgcoro::params::of(id));
            }
            co_return done;
        });
        s.extra["queries / read"] =
            static_cast<double>(source_->queries - before) / static_cast<double>(reads);
        return s;
    }

    // Every so often a report reads thrice as many accounts as there is room for, once each; its own answers
    // do not count. The same questions whatever the cache; the time is not what counts.
    sample with_scans(pgcoro::cache_eviction kind)
    {
        auto& cache = kind == pgcoro::cache_eviction::lru ? lru_ : scanned_;
        auto& rows = kind == pgcoro::cache_eviction::lru ? lru_random_ : scanned_random_;
        std::int64_t scan = 0;
        std::uint64_t reads = 0;
        std::uint64_t hits = 0;
        auto s = run([&]() -> asio::awaitable<std::uint64_t> {
            for (std::uint64_t done = 0; done < questions_with_scans; ++done) {
                if (done % 13'000 >= 10'000) {
                    scan = scan % environment::accounts + 1;
                    co_await cache.query(cents_of, scan);
                    continue;
                }
                ++reads;
                auto got = co_await cache.query(cents_of, next(rows));
                hits += got.origin() == pgcoro::cache_origin::hit;
            }
            co_return questions_with_scans;
        });
        s.extra["hits / read"] = static_cast<double>(hits) / static_cast<double>(reads);
        return s;
    }

    // All want what is not there; the time is not what counts.
    sample at_once(seconds)
    {
        auto before = source_->queries;
        cache_.invalidate(cents_of, 7);
        auto s = run([&]() -> asio::awaitable<std::uint64_t> {
            std::size_t left = simultaneous;
            for (std::size_t i = 0; i < simultaneous; ++i)
                asio::co_spawn(io_, cache_.query(cents_of, 7),
                               [&](std::exception_ptr, auto&&...) { --left; });
            while (left > 0) co_await asio::post(io_, asio::deferred);
            co_return simultaneous;
        });
        s.extra["queries"] = static_cast<double>(source_->queries - before);
        return s;
    }

private:
    static pgcoro::cache_options small(pgcoro::cache_eviction kind, std::size_t room)
    {
        pgcoro::cache_options o;
        o.eviction = kind;
        o.max_entries = room;
        return o;
    }
    static clock::time_point end_of(seconds how_long)
    {
        return clock::now() + std::chrono::duration_cast<clock::duration>(how_long);
    }
    std::int64_t next(random_rows& from)
    {
        constexpr std::int64_t steps = 1 << 30;
        auto at = static_cast<double>(from.upto(steps)) / static_cast<double>(steps) * sums_.back();
        return std::lower_bound(sums_.begin(), sums_.end() - 1, at) - sums_.begin() + 1;
    }

    template <class Body>
    sample run(Body body)
    {
        return measured([&] {
            std::uint64_t done = 0;
            std::exception_ptr failure;
            auto keep = [&]() -> asio::awaitable<void> { done = co_await body(); };
            bool ended = false;
            asio::co_spawn(io_, keep, [&](std::exception_ptr e) {
                failure = e;
                ended = true;
            });
            io_.restart();
            while (!ended) io_.run_one();
            if (failure) std::rethrow_exception(failure);
            return done;
        });
    }

    asio::io_context io_;
    pgcoro::pool pool_;
    std::shared_ptr<counted> source_;
    pgcoro::query_cache cache_;
    pgcoro::query_cache scanned_;
    pgcoro::query_cache lru_;
    random_rows random_{1};
    random_rows scanned_random_{2}; // the same
    random_rows lru_random_{2};
    std::vector<double> sums_;
};

double least(const samples& all, const std::string& of, const char* figure)
{
    double value = all.at(of).front().extra.at(figure);
    for (auto& s : all.at(of)) value = std::min(value, s.extra.at(figure));
    return value;
}

} // namespace

measure cache_hit(const environment& where)
{
    measure m;
    m.id = "P7";
    m.title = "an answer from the cache";
    auto all = std::make_shared<caches>(where);
    m.contenders.push_back({ours, [all](seconds how_long) { return all->hits(how_long); }});
    m.contenders.push_back({zipf, [all](seconds how_long) { return all->workload(how_long, true); }});
    m.contenders.push_back({uncached, [all](seconds how_long) { return all->workload(how_long, false); }});
    m.contenders.push_back(
        {scanned, [all](seconds) { return all->with_scans(pgcoro::cache_eviction::tiny_lfu); }});
    m.contenders.push_back(
        {scanned_lru, [all](seconds) { return all->with_scans(pgcoro::cache_eviction::lru); }});
    m.contenders.push_back({crowd, [all](seconds how_long) { return all->at_once(how_long); }});
    m.goals.push_back(
        {"a hit, ns", goal::at_most, 300, [](const samples& s) { return least_cpu_ns(s, ours); }});
    m.goals.push_back({"queries of 1,000 at once", goal::at_most, 1,
                       [](const samples& s) { return least(s, crowd, "queries"); }});
    m.goals.push_back({"queries / reads on Zipf", goal::at_most, 0.4, [](const samples& s) {
                           return least(s, zipf, "queries / read") / least(s, uncached, "queries / read");
                       }});
    m.goals.push_back({"hits with scans / plain LRU's", goal::at_least, 1, [](const samples& s) {
                           return least(s, scanned, "hits / read") / least(s, scanned_lru, "hits / read");
                       }});
    return m;
}

} // namespace bench
