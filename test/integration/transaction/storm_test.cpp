// Many callers lock few rows in random order: deadlocks without end, none of which may reach a caller.
#include "connection/one_shot.hpp"
#include "integration/transaction/bank.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <numeric>
#include <random>

using pgcoro::transaction;
using namespace std::chrono_literals;

namespace
{

constexpr std::size_t callers = 16;
constexpr std::size_t transfers = 1'000;

struct storm
{
    std::array<std::size_t, callers> done{};
    std::size_t failed = 0;
    std::uint64_t deadlocks = 0;

    std::size_t sum() const { return std::accumulate(done.begin(), done.end(), std::size_t(0)); }
    std::size_t slowest() const { return *std::min_element(done.begin(), done.end()); }
};

// Until `count` transfers are through, or have failed.
storm transfer(const pgcoro::testing::server& server, int rows, std::size_t count, bool retry)
{
    server.psql("drop table if exists hot; create table hot (id int primary key, cents bigint); "
                "insert into hot select i, 0 from generate_series(1, " +
                std::to_string(rows) + ") i");
    storm s;
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto options = bank::options();
        options.connection = pgcoro::connection_options::from_uri(server.uri());
        options.size = callers;
        pgcoro::pool p(executor, options);
        std::size_t left = callers;
        auto all = std::make_shared<pgcoro::detail::one_shot>();
        auto caller = [&](std::size_t who) -> asio::awaitable<void> {
            std::minstd_rand random(static_cast<unsigned>(who + 1));
            while (s.sum() + s.failed < count) {
                int from = 1 + static_cast<int>(random() / 7 % static_cast<unsigned>(rows));
                int to = 1 + static_cast<int>(random() / 7 % static_cast<unsigned>(rows - 1));
                if (to >= from) ++to;
                pgcoro::transaction_metrics metrics;
                pgcoro::transaction_options how;
                how.metrics = &metrics;
                if (!retry) how.retry.max_attempts = 1;
                auto body = [&](transaction& tx) -> asio::awaitable<void> {
                    co_await tx.execute("update hot set cents = cents - 1 where id = $1", from);
                    co_await tx.execute("update hot set cents = cents + 1 where id = $1", to);
                };
                try {
                    co_await pgcoro::transactional(p, body, how);
                    ++s.done[who];
                } catch (const pgcoro::server_error&) {
                    ++s.failed;
                }
                s.deadlocks += metrics.deadlocks;
            }
            if (--left == 0) all->tell();
        };
        for (std::size_t i = 0; i < callers; ++i) asio::co_spawn(executor, caller(i), asio::detached);
        co_await all->async_wait(std::nullopt, asio::deferred);
    });
    BOOST_TEST(server.psql("select sum(cents) from hot") == "0");
    return s;
}

pgcoro::testing::server quick_to_see_deadlocks()
{
    pgcoro::testing::server_options o;
    o.settings["deadlock_timeout"] = "5ms";
    return pgcoro::testing::server(o);
}

} // namespace

BOOST_AUTO_TEST_SUITE(deadlock_storm)

BOOST_AUTO_TEST_CASE(no_deadlock_reaches_a_caller_and_none_of_them_starves)
{
    auto server = quick_to_see_deadlocks();
    for (int rows : {2, 100}) {
        BOOST_TEST_CONTEXT(rows << " rows")
        {
            auto with = transfer(server, rows, transfers, true);
            BOOST_TEST_MESSAGE(rows << " rows: " << with.deadlocks << " deadlocks, the slowest caller has "
                                    << with.slowest() << " of " << transfers / callers << " on the mean");
            BOOST_TEST(with.failed == 0u);
            BOOST_TEST(with.slowest() * 3 >= with.sum() / callers);
            auto without = transfer(server, rows, transfers, false);
            BOOST_TEST_MESSAGE("without retry " << without.failed << " failed");
            if (rows == 2) BOOST_TEST(without.failed > 0u);
            BOOST_TEST(with.failed * 100 <= without.failed); // 99 % fewer
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
