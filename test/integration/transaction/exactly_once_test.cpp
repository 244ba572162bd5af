// A proxy cuts the connection at every possible byte of COMMIT's exchange: what the callers were told must be
// what the database has.
#include "from_environment.hpp"
#include "integration/run.hpp"
#include "integration/support/proxy.hpp"
#include "integration/transaction/quick_server.hpp"

#include <pgcoro/pgcoro.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <set>

namespace asio = boost::asio;
using pgcoro::pool;
using pgcoro::transaction;
using test::fault;

namespace
{

constexpr std::string_view commit{"Q\0\0\0\x0b"
                                  "commit\0",
                                  12};
// CommandComplete with the tag COMMIT, and ReadyForQuery.
constexpr std::size_t tag = 12;
constexpr std::size_t answer = tag + 6;
constexpr std::size_t places = commit.size() + 1 + answer + 1;

// Each so many-th COMMIT is cut, each time one byte further on.
struct cutter
{
    std::size_t every;
    std::atomic<std::size_t> commits{0};
    std::atomic<std::size_t> cuts{0};
    std::atomic<std::size_t> harmless{0}; // the client had been told that it is committed

    std::optional<fault> operator()(std::string_view message)
    {
        if (message != commit || ++commits % every != 0) return std::nullopt;
        auto place = cuts++ % places;
        fault f;
        f.where = place <= commit.size() ? fault::to_server : fault::to_client;
        f.after = place <= commit.size() ? place : place - commit.size() - 1;
        if (f.where == fault::to_client && f.after >= tag) ++harmless;
        return f;
    }
};

pgcoro::pool_options options_for(const test::proxy& p)
{
    pgcoro::pool_options o;
    o.connection = pgcoro::connection_options::from_uri(p.uri());
    o.size = 8;
    o.max_overflow = 0;
    o.name = "exactly once";
    o.retry_budget.capacity = 1e6; // this server is as sick as can be
    return o;
}

struct told
{
    std::size_t committed = 0;
    std::size_t unknown = 0;
    std::size_t failed = 0;
    pgcoro::transaction_metrics metrics;
};

// 8 callers make `count` transfers together, each a row of its number.
told transfer(const pgcoro::pool_options& where, std::size_t count, pgcoro::resolve_commit resolve)
{
    told all;
    std::size_t next = 0;
    run([&]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, where);
        auto caller = [&]() -> asio::awaitable<void> {
            while (next < count) {
                auto id = static_cast<std::int64_t>(next++);
                pgcoro::transaction_metrics metrics;
                pgcoro::transaction_options options;
                options.resolve_commit = resolve;
                options.metrics = &metrics;
                auto body = [&](transaction& tx) -> asio::awaitable<void> {
                    co_await tx.execute("insert into transfer values ($1)", id);
                };
                try {
                    co_await pgcoro::transactional(p, body, options);
                    ++all.committed;
                } catch (const pgcoro::commit_unknown&) {
                    ++all.unknown;
                } catch (const pgcoro::error& e) {
                    BOOST_TEST_MESSAGE(e.what());
                    ++all.failed;
                }
                all.metrics += metrics;
            }
        };
        using namespace asio::experimental::awaitable_operators;
        co_await (caller() && caller() && caller() && caller() && caller() && caller() && caller() &&
                  caller());
    });
    return all;
}

// What happened: a row for each transfer each time it took place.
struct ledger
{
    ledger() { quick_server().psql("drop table if exists transfer; create table transfer (id bigint)"); }
    static std::string rows() { return quick_server().psql("select count(*) from transfer"); }
    static std::string distinct() { return quick_server().psql("select count(distinct id) from transfer"); }
};

} // namespace

BOOST_AUTO_TEST_SUITE(exactly_once)

constexpr std::size_t many = test::repeated(10'000);

BOOST_AUTO_TEST_CASE(thousands_of_transfers_happen_once_each_wherever_their_commits_are_cut)
{
    ledger l;
    cutter cuts{.every = 5};
    test::proxy between(test::socket_of(quick_server()), std::ref(cuts));
    auto was = transfer(options_for(between), many, pgcoro::resolve_commit::by_id);
    BOOST_TEST(cuts.cuts >= many / 5);
    BOOST_TEST(was.committed == many);
    BOOST_TEST(was.unknown == 0u); // nothing that could not be known
    BOOST_TEST(was.failed == 0u);
    BOOST_TEST(was.metrics.commits_resolved == cuts.cuts - cuts.harmless);
    BOOST_TEST(l.rows() == std::to_string(many));
    BOOST_TEST(l.distinct() == std::to_string(many));
}

BOOST_AUTO_TEST_CASE(without_the_transactions_id_what_was_cut_is_unknown_and_nothing_else_is)
{
    ledger l;
    cutter cuts{.every = 3};
    test::proxy between(test::socket_of(quick_server()), std::ref(cuts));
    auto was = transfer(options_for(between), 300, pgcoro::resolve_commit::off);
    BOOST_TEST(was.unknown == cuts.cuts - cuts.harmless);
    BOOST_TEST(was.committed == 300u - was.unknown);
    BOOST_TEST(was.failed == 0u);
    BOOST_TEST(l.rows() == l.distinct());
}

BOOST_AUTO_TEST_CASE(a_reset_and_a_silent_loss_of_the_answer_are_resolved_too)
{
    for (auto what : {fault::reset, fault::drop}) {
        ledger l;
        std::atomic<bool> armed = true;
        auto once = [&](std::string_view message) -> std::optional<fault> {
            if (message != commit || !armed.exchange(false)) return std::nullopt;
            fault f;
            f.where = fault::to_client;
            f.what = what;
            return f;
        };
        test::proxy between(test::socket_of(quick_server()), once);
        auto options = options_for(between);
        options.connection.statement_timeout = std::chrono::milliseconds(200); // silence ends with it
        options.connection.response_grace = std::chrono::milliseconds(100);
        auto was = transfer(options, 3, pgcoro::resolve_commit::by_id);
        BOOST_TEST(was.committed == 3u);
        BOOST_TEST(was.metrics.commits_resolved == 1u);
        BOOST_TEST(was.metrics.connections_lost == 0u); // it had been committed
        BOOST_TEST(l.rows() == "3");
    }
}

BOOST_AUTO_TEST_SUITE_END()
