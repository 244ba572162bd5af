// Who stays in the cache, and that it is worth it.
#include "cache/eviction.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <unordered_map>

using namespace pgcoro::detail;
using pgcoro::cache_eviction;

namespace
{

std::uint64_t mixed(std::uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

// A cache of numbers.
class cache
{
public:
    cache(cache_eviction kind, std::size_t bytes, std::size_t entries)
        : bytes_(bytes)
        , entries_(entries)
        , order_(kind, bytes, entries)
    {}
    ~cache()
    {
        for (auto& [key, e] : kept_) order_.remove(*e);
    }

    bool ask(std::uint64_t key, std::size_t bytes = 1, std::chrono::nanoseconds cost = {})
    {
        order_.asked(mixed(key));
        if (auto at = kept_.find(key); at != kept_.end()) {
            order_.used(*at->second);
            return true;
        }
        auto& e = *(kept_[key] = std::make_unique<entry>());
        e.key = key;
        e.hash = mixed(key);
        e.bytes = bytes;
        e.cost = cost;
        std::vector<evictable*> gone;
        order_.add(e, gone);
        for (auto* out : gone) kept_.erase(static_cast<entry*>(out)->key);
        std::size_t taken = 0;
        if (key % 64 == 0) // now and then: it is slow
            for (auto& [k, each] : kept_) taken += each->bytes;
        within_ = within_ && taken <= bytes_ && kept_.size() <= entries_;
        return false;
    }
    bool has(std::uint64_t key) const { return kept_.contains(key); }
    std::size_t size() const { return kept_.size(); }
    bool within_bounds() const { return within_; }

private:
    struct entry : evictable
    {
        std::uint64_t key;
    };
    std::size_t bytes_;
    std::size_t entries_;
    bool within_ = true;
    eviction order_;
    std::unordered_map<std::uint64_t, std::unique_ptr<entry>> kept_;
};

// Keys by Zipf's law; every so often a report that reads many others, once each.
std::vector<std::uint64_t> trace_with_scans()
{
    constexpr std::size_t keys = 20'000;
    constexpr double skew = 0.9;
    std::vector<double> sums(keys);
    double sum = 0;
    for (std::size_t i = 0; i < keys; ++i) sums[i] = sum += std::pow(static_cast<double>(i + 1), -skew);
    std::mt19937_64 rng(42);
    std::vector<std::uint64_t> trace;
    std::uint64_t fresh = 1'000'000;
    for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 10'000; ++i) {
            auto at = std::generate_canonical<double, 53>(rng) * sum;
            trace.push_back(
                static_cast<std::uint64_t>(std::lower_bound(sums.begin(), sums.end(), at) - sums.begin()));
        }
        for (int i = 0; i < 3'000; ++i) trace.push_back(++fresh);
    }
    return trace;
}

double hit_ratio(cache_eviction kind, const std::vector<std::uint64_t>& trace)
{
    cache c(kind, 1'000, 1'000);
    std::size_t hits = 0;
    std::size_t asked = 0;
    for (auto key : trace) {
        bool hit = c.ask(key);
        if (key > 1'000'000) continue; // of the scan nothing can hit
        ++asked;
        hits += hit;
    }
    return static_cast<double>(hits) / static_cast<double>(asked);
}

} // namespace

BOOST_AUTO_TEST_SUITE(cache_eviction_order)

BOOST_AUTO_TEST_CASE(reports_that_read_everything_once_do_not_flush_what_is_asked_for_often)
{
    auto trace = trace_with_scans();
    auto tiny_lfu = hit_ratio(cache_eviction::tiny_lfu, trace);
    auto lru = hit_ratio(cache_eviction::lru, trace);
    BOOST_TEST_MESSAGE("hit ratio on Zipf(0.9) with scans: W-TinyLFU " << tiny_lfu << ", LRU " << lru);
    BOOST_TEST(tiny_lfu > lru + 0.08);
}

BOOST_AUTO_TEST_CASE(lru_drops_who_was_asked_for_least_recently)
{
    cache c(cache_eviction::lru, 3, 3);
    for (auto key : {1, 2, 3, 1, 4}) c.ask(static_cast<std::uint64_t>(key));
    BOOST_TEST(c.has(1));
    BOOST_TEST(!c.has(2));
    BOOST_TEST(c.has(3));
    BOOST_TEST(c.has(4));
}

BOOST_AUTO_TEST_CASE(bytes_and_entries_stay_within_their_bounds_at_every_step)
{
    for (auto kind : {cache_eviction::lru, cache_eviction::tiny_lfu})
        for (std::size_t entries : {10, 100, 1'000}) {
            cache c(kind, 10'000, entries);
            std::mt19937_64 rng(7);
            for (int i = 0; i < 20'000; ++i) c.ask(rng() % 2'000, 1 + rng() % 300);
            BOOST_TEST(c.within_bounds());
            BOOST_TEST(c.size() > 0u);
        }
}

BOOST_AUTO_TEST_CASE(what_took_long_stays_rather_than_what_is_quickly_had_again)
{
    cache c(cache_eviction::tiny_lfu, 100, 100);
    for (std::uint64_t key = 0; key < 200; ++key) c.ask(key);
    c.ask(1'000, 1, std::chrono::seconds(2));
    c.ask(1'001, 1); // each pushes the one before it out of the window
    c.ask(1'002, 1);
    BOOST_TEST(c.has(1'000));
    BOOST_TEST(!c.has(1'001));
}

BOOST_AUTO_TEST_CASE(a_large_newcomer_must_be_worth_more_than_all_who_would_go_for_it)
{
    cache c(cache_eviction::tiny_lfu, 100, 100);
    for (int round = 0; round < 3; ++round)
        for (std::uint64_t key = 0; key < 98; ++key) c.ask(key);
    c.ask(500, 50);
    BOOST_TEST(!c.has(500));
    std::size_t kept = 0;
    for (std::uint64_t key = 0; key < 98; ++key) kept += c.has(key);
    BOOST_TEST(kept >= 97u);
}

BOOST_AUTO_TEST_CASE(the_sketch_never_counts_too_little_and_forgets_by_halves)
{
    frequency_sketch sketch(64);
    for (int i = 0; i < 10; ++i) sketch.record(mixed(1));
    BOOST_TEST(sketch.estimate(mixed(1)) >= 10u);
    for (std::uint64_t i = 0; i < 2'000; ++i) sketch.record(mixed(100 + i));
    BOOST_TEST(sketch.estimate(mixed(1)) < 10u);
}

BOOST_AUTO_TEST_SUITE_END()
