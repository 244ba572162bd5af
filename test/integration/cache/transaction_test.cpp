// The cache and transactions: what each sees of the other.
#include "integration/cache/support.hpp"

using namespace pgcoro;

namespace
{

constexpr const char* accounts =
    "create table account as select i as id, i * 10 as cents from generate_series(1, 9) i";
constexpr const char* cents_of = "select cents from cached.account where id = $1";
constexpr const char* set_cents = "update cached.account set cents = $1 where id = $2";

transaction_options read_committed() { return {.isolation = isolation::read_committed}; }

struct with_accounts
{
    scratch_schema schema{accounts};
    cached c;

    asio::awaitable<int> seen() { return c.cache().query_value<int>(cents_of, 3); }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(cache_transactions, with_accounts)

BOOST_AUTO_TEST_CASE(what_a_transaction_changes_is_forgotten_at_its_commit_and_not_before)
{
    c.run([&]() -> asio::awaitable<void> {
        auto before = co_await seen();
        BOOST_TEST(before == 30);
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            auto touched = co_await c.cache().in(tx).execute(set_cents, 31, 3);
            BOOST_TEST(touched == 1u);
            auto own = co_await c.cache().in(tx).query(cents_of, 3);
            BOOST_TEST(own->as_value<int>() == 31);
            BOOST_TEST(own.origin() == cache_origin::bypassed);
            auto others = co_await c.cache().query(cents_of, 3);
            BOOST_TEST(others.origin() == cache_origin::hit);
            BOOST_TEST(others->as_value<int>() == 30);
        };
        auto options = read_committed();
        co_await transactional(c.pool(), body, options);
        auto after = co_await seen();
        BOOST_TEST(after == 31);
    });
}

BOOST_AUTO_TEST_CASE(a_rollback_forgets_nothing)
{
    c.run([&]() -> asio::awaitable<void> {
        co_await seen();
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await c.cache().in(tx).execute(set_cents, 31, 3);
            c.cache().invalidate_at_commit(tx, names("cached.account"));
            throw std::runtime_error("no");
        };
        co_await failure_of<std::runtime_error>(transactional(c.pool(), body));
        auto hit = co_await c.cache().query(cents_of, 3);
        BOOST_TEST(hit.origin() == cache_origin::hit);
        BOOST_TEST(c.cache().stats().invalidations == 0u);
    });
}

BOOST_AUTO_TEST_CASE(a_transaction_that_has_not_written_shares_its_reads)
{
    c.run([&]() -> asio::awaitable<void> {
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            auto asked = co_await c.cache().in(tx).query(cents_of, 3);
            BOOST_TEST(asked.origin() == cache_origin::asked);
            auto hit = co_await c.cache().in(tx).query(cents_of, 3);
            BOOST_TEST(hit.origin() == cache_origin::hit);
        };
        auto options = read_committed();
        co_await transactional(c.pool(), body, options);
        auto hit = co_await c.cache().query(cents_of, 3);
        BOOST_TEST(hit.origin() == cache_origin::hit);
        BOOST_TEST(c.source().asked == 0);
    });
}

BOOST_AUTO_TEST_CASE(a_transaction_with_a_snapshot_of_its_own_neither_gives_nor_takes)
{
    c.run([&]() -> asio::awaitable<void> {
        co_await seen();
        for (auto level : {isolation::server_default, isolation::repeatable_read, isolation::serializable}) {
            auto body = [&](transaction& tx) -> asio::awaitable<void> {
                auto own = co_await c.cache().in(tx).query(cents_of, 3);
                BOOST_TEST(own.origin() == cache_origin::bypassed);
            };
            transaction_options options{.isolation = level};
            co_await transactional(c.pool(), body, options);
        }
        BOOST_TEST(c.cache().stats().entries == 1u);
    });
}

BOOST_AUTO_TEST_CASE(a_read_that_was_on_its_way_at_the_commit_is_not_kept)
{
    c.run([&]() -> asio::awaitable<void> {
        co_await c.cache().query(cents_of, 1); // its text is known
        c.source().held = true;
        beside reader(c.io().get_executor(), [&]() -> asio::awaitable<void> { co_await seen(); });
        while (c.source().asked < 2) co_await yield();
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute(set_cents, 31, 3);
            c.cache().invalidate_at_commit(tx, names("cached.account"));
        };
        co_await transactional(c.pool(), body);
        c.source().held = false;
        while (!reader.done()) co_await yield();
        BOOST_TEST(c.cache().stats().outdated == 1u);
        auto after = co_await seen();
        BOOST_TEST(after == 31);
    });
}

BOOST_AUTO_TEST_CASE(a_commit_whose_outcome_is_unknown_forgets)
{
    c.run([&]() -> asio::awaitable<void> {
        co_await seen();
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute(set_cents, 31, 3);
            c.cache().invalidate_at_commit(tx, names("cached.account"));
            // At COMMIT a deferred trigger has the server end this session.
            co_await tx.execute("select pg_temp.end_me()");
        };
        auto prepare = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute("create temporary table t(id int) on commit delete rows");
            co_await tx.execute("create function pg_temp.ended() returns trigger language plpgsql as "
                                "'begin perform pg_terminate_backend(pg_backend_pid()); return null; end'");
            co_await tx.execute(
                "create constraint trigger at_end after insert on t deferrable initially deferred "
                "for each row execute function pg_temp.ended()");
            co_await tx.execute("create function pg_temp.end_me() returns void language sql as "
                                "'insert into t values (1)'");
            co_await body(tx);
        };
        transaction_options options{.resolve_commit = pgcoro::resolve_commit::off};
        co_await failure_of<commit_unknown>(transactional(c.pool(), prepare, options));
        BOOST_TEST(c.cache().stats().invalidations == 1u);
    });
}

BOOST_AUTO_TEST_SUITE_END()
