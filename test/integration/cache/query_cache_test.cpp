// What a caller sees of the cache.
#include "integration/cache/support.hpp"

#include <pgcoro/observe/sampler.hpp>

#include <optional>

using namespace pgcoro;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace
{

constexpr const char* accounts =
    "create table account as select i as id, i * 10 as cents from generate_series(1, 9) i";
constexpr const char* cents_of = "select cents from cached.account where id = $1";

// Callers of the same statement, all at once.
class crowd
{
public:
    crowd(cached& in, std::size_t size)
        : in_(in)
    {
        for (std::size_t i = 0; i < size; ++i) add();
    }
    void add()
    {
        all_.push_back(std::make_unique<beside>(in_.io().get_executor(), [this]() -> asio::awaitable<void> {
            auto got = co_await in_.cache().query_value<int>(cents_of, 3);
            sum_ += got;
        }));
    }
    beside& operator[](std::size_t i) { return *all_[i]; }
    asio::awaitable<void> end()
    {
        for (auto& each : all_)
            while (!each->done()) co_await yield();
    }
    int sum() const { return sum_; }

private:
    cached& in_;
    int sum_ = 0;
    std::vector<std::unique_ptr<beside>> all_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(query_cache_reads)

BOOST_AUTO_TEST_CASE(a_second_call_does_not_reach_the_database)
{
    scratch_schema s(accounts);
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) {
            auto cents = co_await c.cache().query_value<int>(cents_of, 3);
            BOOST_TEST(cents == 30);
        }
        BOOST_TEST(c.source().asked == 1);
        auto other = co_await c.cache().query_value<int>(cents_of, 4);
        BOOST_TEST(other == 40);
        BOOST_TEST(c.source().asked == 2);
        BOOST_TEST(c.source().looked_up == 2); // once a text
        auto first = co_await c.cache().query(cents_of, 3);
        auto second = co_await c.cache().query(cents_of, 3);
        BOOST_TEST(first.origin() == cache_origin::hit);
        BOOST_TEST(first.share() == second.share());
        auto none = co_await c.cache().query_optional<int>(cents_of, 77);
        BOOST_TEST(!none);
        auto again = co_await c.cache().query(cents_of, 77);
        BOOST_TEST(again.origin() == cache_origin::hit);
        auto figures = c.cache().stats();
        BOOST_TEST(figures.hits == 5u);
        BOOST_TEST(figures.misses == 3u);
        BOOST_TEST(figures.entries == 3u);
    });
}

BOOST_AUTO_TEST_CASE(a_thousand_simultaneous_misses_are_one_query)
{
    scratch_schema s(accounts);
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        c.source().held = true;
        crowd all(c, 1'000);
        while (c.source().asked == 0) co_await yield();
        co_await yield();
        c.source().held = false;
        co_await all.end();
        BOOST_TEST(all.sum() == 30'000);
        BOOST_TEST(c.source().asked == 1);
        BOOST_TEST(c.source().looked_up == 2);
        BOOST_TEST(c.cache().stats().shared == 999u);
    });
}

BOOST_AUTO_TEST_CASE(another_takes_over_when_the_one_who_asks_is_cancelled)
{
    scratch_schema s(accounts);
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        co_await c.cache().query(cents_of, 1); // its text is known: who comes first asks
        c.source().held = true;
        c.source().asked = 0;
        crowd all(c, 5);
        for (int leader = 0; leader < 3; ++leader) {
            while (c.source().asked == leader) co_await yield();
            for (int i = 0; i < 20; ++i) co_await yield();
            BOOST_TEST(c.source().asked == leader + 1);
            co_await all[static_cast<std::size_t>(leader)].end();
        }
        co_await all[4].end(); // one who waits
        while (c.source().asked == 3) co_await yield();
        c.source().held = false;
        co_await all.end();
        BOOST_TEST(all.sum() == 30);
        BOOST_TEST(c.source().asked == 4);
    });
}

BOOST_AUTO_TEST_CASE(an_error_reaches_all_who_waited_and_is_not_kept)
{
    scratch_schema s(accounts);
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        co_await c.cache().query(cents_of, 1);
        c.source().held = true;
        crowd all(c, 3);
        while (c.source().asked < 2) co_await yield();
        shared_server().psql("alter table cached.account rename to gone");
        c.source().held = false;
        co_await all.end();
        for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(all[i].threw<server_error>());
        BOOST_TEST(c.source().asked == 2);
        shared_server().psql("alter table cached.gone rename to account");
        auto cents = co_await c.cache().query_value<int>(cents_of, 3);
        BOOST_TEST(cents == 30);
    });
}

BOOST_AUTO_TEST_CASE(who_asks_after_a_change_does_not_get_what_was_read_before_it)
{
    scratch_schema s(accounts);
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        c.source().held = true;
        crowd all(c, 2);
        while (c.source().asked < 1) co_await yield();
        c.cache().invalidate_tag("cached.account");
        all.add();
        while (c.source().asked < 2) co_await yield();
        c.source().held = false;
        co_await all.end();
        BOOST_TEST(c.source().asked == 2);
        BOOST_TEST(c.cache().stats().outdated == 1u);
        auto kept = co_await c.cache().query(cents_of, 3);
        BOOST_TEST(kept.origin() == cache_origin::hit);
    });
}

BOOST_AUTO_TEST_CASE(a_stale_result_is_given_at_once_and_asked_anew_in_the_background)
{
    scratch_schema s(accounts);
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        cache_call call{.ttl = seconds(10), .stale_while_revalidate = seconds(10)};
        co_await c.cache().with(call).query(cents_of, 3);
        shared_server().psql("update cached.account set cents = 31 where id = 3");
        c.time().advance(seconds(15));
        auto old = co_await c.cache().with(call).query(cents_of, 3);
        BOOST_TEST(old.is_stale());
        BOOST_TEST(old->as_value<int>() == 30);
        BOOST_TEST((old.age() == seconds(15)));
        while (c.cache().stats().queries < 2) co_await yield();
        auto fresh = co_await c.cache().with(call).query(cents_of, 3);
        while (fresh.is_stale()) {
            co_await yield();
            fresh = co_await c.cache().with(call).query(cents_of, 3);
        }
        BOOST_TEST(fresh->as_value<int>() == 31);
        BOOST_TEST(c.source().asked == 2);
        BOOST_TEST(c.cache().stats().refreshes == 1u);
        c.time().advance(seconds(21)); // too stale even for that
        auto asked = co_await c.cache().with(call).query(cents_of, 3);
        BOOST_TEST(asked.origin() == cache_origin::asked);
    });
}

BOOST_AUTO_TEST_CASE(a_hot_result_is_asked_anew_before_it_is_stale)
{
    scratch_schema s(accounts);
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        cache_call call{.ttl = seconds(100)};
        for (int i = 0; i < 6; ++i) co_await c.cache().with(call).query(cents_of, 3);
        c.time().advance(seconds(95));
        auto hit = co_await c.cache().with(call).query(cents_of, 3);
        BOOST_TEST(hit.origin() == cache_origin::hit);
        while (hit.age() > seconds(0)) {
            co_await yield();
            hit = co_await c.cache().with(call).query(cents_of, 3);
            BOOST_TEST(hit.origin() == cache_origin::hit);
        }
        BOOST_TEST(c.source().asked == 2);
    });
}

BOOST_AUTO_TEST_CASE(while_the_database_is_away_the_cache_answers_what_the_call_allows)
{
    scratch_schema s(accounts);
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        cache_call call{.ttl = seconds(10), .stale_if_error = minutes(1)};
        co_await c.cache().with(call).query(cents_of, 3);
        c.source().away = true;
        c.time().advance(seconds(5));
        auto fresh = co_await c.cache().with(call).query(cents_of, 3);
        BOOST_TEST(fresh.origin() == cache_origin::hit);
        c.time().advance(seconds(50));
        auto old = co_await c.cache().with(call).query(cents_of, 3);
        BOOST_TEST(old.is_stale());
        BOOST_TEST(old->as_value<int>() == 30);
        co_await failure_of<connection_error>(c.cache().query(cents_of, 3));
        co_await failure_of<connection_error>(c.cache().with(call).query(cents_of, 4));
        c.cache().invalidate_tag("cached.account"); // it is known to be wrong now
        co_await failure_of<connection_error>(c.cache().with(call).query(cents_of, 3));
    });
}

BOOST_AUTO_TEST_CASE(warming_has_results_there_before_anyone_asks)
{
    scratch_schema s(accounts);
    cached c;
    c.run([&]() -> asio::awaitable<void> {
        auto kept = co_await c.cache().warm(
            names("select count(*) from cached.account", "select 1", "select txid_current()"));
        BOOST_TEST(kept == 2u);
        auto hit = co_await c.cache().query("select count(*) from cached.account");
        BOOST_TEST(hit.origin() == cache_origin::hit);
    });
}

BOOST_AUTO_TEST_CASE(several_threads_share_one_cache)
{
    scratch_schema s(accounts);
    asio::io_context io;
    pool_options o;
    o.connection = shared_options();
    pool p(io.get_executor(), o);
    cache_options small;
    small.max_entries = 5;
    small.max_bytes = 5'000;
    query_cache cache(io.get_executor(), p, small);
    std::atomic<int> wrong{0};
    std::atomic<int> left{8};
    for (int i = 0; i < 8; ++i)
        asio::co_spawn(
            io,
            [&, i]() -> asio::awaitable<void> {
                for (int n = 0; n < 500; ++n) {
                    int id = 1 + (n * 7 + i) % 9;
                    auto cents = co_await cache.query_value<int>(cents_of, id);
                    if (cents != 10 * id) ++wrong;
                    if (n % 50 == i) cache.invalidate_tag("cached.account");
                    if (n % 70 == i) cache.invalidate(cents_of, id);
                }
            },
            [&](std::exception_ptr e) {
                if (e) ++wrong;
                if (--left == 0) io.stop();
            });
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&] { io.run(); });
    for (auto& t : threads) t.join();
    BOOST_TEST(wrong == 0);
    BOOST_TEST(left == 0);
    BOOST_TEST(cache.stats().entries <= 5u);
}

BOOST_AUTO_TEST_CASE(cancelled_at_any_point_it_leaves_nothing_behind)
{
    scratch_schema s(accounts);
    watchdog dog(2 * patience);
    bool completed = false;
    for (int turns = 0; !completed; ++turns) {
        cached c;
        {
            beside given_up(c.io().get_executor(), [&]() -> asio::awaitable<void> {
                auto got = co_await c.cache().query_value<int>(cents_of, 3);
                BOOST_TEST(got == 30);
            });
            given_up.begin(c.io());
            for (int i = 0; i < turns && !given_up.done(); ++i) c.io().run_one();
            if (!given_up.done()) run_on(c.io(), [&] { return given_up.end(); });
            completed = !given_up.error();
        }
        c.run([&]() -> asio::awaitable<void> {
            auto got = co_await c.cache().query_value<int>(cents_of, 3);
            BOOST_TEST(got == 30);
        });
    }
}

BOOST_AUTO_TEST_CASE(a_watched_cache_is_in_the_samples_and_raises_the_alert_when_it_seldom_hits)
{
    scratch_schema schema(accounts);
    cached c;
    metrics seen;
    history past;
    alerts raised;
    sampler samples(seen, past, &raised);
    c.run([&]() -> asio::awaitable<void> {
        std::optional<metrics::watching> watched(seen.watch("accounts", c.cache()));
        for (int id : {1, 2, 3, 3}) co_await c.cache().query_value<int>(cents_of, id);
        auto poor = co_await samples.take();
        BOOST_TEST(poor.cache_hit_ratio == 0.25);
        BOOST_REQUIRE(raised.active().size() == 1u);
        BOOST_TEST(raised.active().front().name == "cache_hit_ratio");
        BOOST_TEST((raised.active().front().severity == alert_severity::info));
        for (int id : {1, 2, 3, 3}) co_await c.cache().query_value<int>(cents_of, id);
        auto good = co_await samples.take();
        BOOST_TEST(good.cache_hit_ratio == 1);
        BOOST_TEST(raised.active().empty());
        auto f = seen.snapshot().caches.at(0);
        BOOST_TEST(f.name == "accounts");
        BOOST_TEST(f.hits == 5u);
        BOOST_TEST(f.misses == 3u);
        watched.reset();
        BOOST_TEST(seen.snapshot().caches.empty());
    });
}

BOOST_AUTO_TEST_SUITE_END()
