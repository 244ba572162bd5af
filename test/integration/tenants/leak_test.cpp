// Tries to leak: many callers of several tenants share few connections, and are cancelled, fail and lose their connections
// at random. Nobody may ever see a row of another tenant, or a setting of somebody else.
#include "integration/pooler/bouncer.hpp"
#include "integration/tenants/support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>

#include <deque>
#include <random>

namespace
{

constexpr int tenants = 3;
constexpr int callers = 12;
constexpr int rounds = 25;

// Collects the callers' observations.
struct findings
{
    int own = 0;
    int plain = 0;
    int failed = 0;
    int cancelled = 0;
    std::string by_default; // the settings that a plain statement must see
    std::vector<std::string> leaks;

    void check(bool ok, const std::string& what)
    {
        if (!ok && leaks.size() < 10) leaks.push_back(what);
    }
};

enum class way { pool, multiplexer, reader, transaction };

class attempt
{
public:
    attempt(pgcoro::pool& p, pgcoro::multiplexer& m, findings& seen, std::uint64_t seed, bool kills)
        : pool_(p)
        , mux_(m)
        , seen_(seen)
        , random_(seed)
        , kills_(kills)
    {}

    // One of the caller's turns, which may be cancelled anywhere.
    asio::awaitable<void> turn(int tenant)
    {
        switch (static_cast<way>(pick(4))) {
        case way::pool:
            return act(pool_.with(of_tenant(tenant)), pool_, tenant);
        case way::multiplexer:
            return act(mux_.with(of_tenant(tenant)), mux_, tenant);
        case way::reader:
            return act(mux_.read().with(of_tenant(tenant)), mux_.read(), tenant);
        case way::transaction:
            break;
        }
        return in_transaction(tenant);
    }

    int pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

private:
    template <class With, class Plain>
    asio::awaitable<void> act(With mine, Plain& plain, int tenant)
    {
        switch (pick(7)) {
        case 0:
            co_await mine.query("select 1 / 0 from tenants.note");
            break;
        case 1:
            co_await mine.execute("update tenants.note set tenant = $1", tenant % tenants + 1); // the policy refuses it
            break;
        case 2:
            co_await mine.execute("select pg_sleep(0.02)");
            break;
        case 3:
            if (kills_ && pick(4) == 0) co_await mine.execute("select pg_terminate_backend(pg_backend_pid())");
            break;
        case 4:
            co_await bad_setting(plain);
            break;
        default:
            break;
        }
        co_await look(mine, tenant);
        co_await look_plain(plain, seen_.by_default);
    }

    template <class Plain>
    asio::awaitable<void> bad_setting(Plain& plain)
    {
        co_await plain.with({{"app.tenant", 2}, {"search_path", "tenant_2"}, {"role", "no_such_role"}}).query("select 1");
    }

    asio::awaitable<void> in_transaction(int tenant)
    {
        int what = pick(4);
        auto body = [&, what](pgcoro::transaction& tx) -> asio::awaitable<void> {
            auto other = tenant % tenants + 1;
            if (what == 0) co_await tx.set_local("app.tenant", std::to_string(other));
            auto before = co_await tx.query_value<std::string>(session_now);
            auto mine = tx.with(of_tenant(tenant));
            co_await look(mine, tenant);
            co_await look_plain(tx, before);
            auto inner = [&](pgcoro::transaction& in) -> asio::awaitable<void> {
                co_await in.with(of_tenant(other)).query("select 1 / 0");
            };
            bool failed = false;
            try {
                if (what == 1) co_await tx.savepoint(inner);
            } catch (const pgcoro::server_error&) {
                failed = true;
            }
            if (failed) co_await look_plain(tx, before);
            if (what == 2) co_await tx.with(of_tenant(tenant)).query("select 1 / 0");
            co_await look(mine, tenant);
        };
        co_await pgcoro::transactional(pool_, body);
    }

    template <class With>
    asio::awaitable<void> look(With& mine, int tenant)
    {
        auto notes = co_await mine.template query_as<std::string>(my_notes);
        bool own = notes.size() == 1 && notes[0] == "note of " + std::to_string(tenant);
        seen_.check(own, "tenant " + std::to_string(tenant) + " saw " + std::to_string(notes.size()) + " notes: " +
                             (notes.empty() ? std::string() : notes[0]));
        auto owner = co_await mine.template query_value<int>("select tenant from owner");
        seen_.check(owner == tenant, "tenant " + std::to_string(tenant) + " saw the schema of " + std::to_string(owner));
        ++seen_.own;
    }

    template <class Plain>
    asio::awaitable<void> look_plain(Plain& plain, std::string expected)
    {
        auto now = co_await plain.template query_value<std::string>(session_now);
        seen_.check(now == expected, "a plain statement saw: " + now);
        ++seen_.plain;
    }

    pgcoro::pool& pool_;
    pgcoro::multiplexer& mux_;
    findings& seen_;
    std::mt19937_64 random_;
    bool kills_;
};

asio::awaitable<void> pause(std::chrono::microseconds time)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::deferred);
}

// A caller, each of whose turns is cancelled after a random time, or not.
asio::awaitable<void> call(pgcoro::pool& p, pgcoro::multiplexer& m, findings& seen, std::uint64_t seed, bool kills, int n,
                           int& done)
{
    auto executor = co_await asio::this_coro::executor;
    attempt a(p, m, seen, seed, kills);
    for (int i = 0; i < rounds; ++i) {
        int tenant = (n + i) % tenants + 1;
        beside turn(executor, [&] { return a.turn(tenant); });
        while (!turn.begun()) co_await yield();
        if (a.pick(3) == 0) {
            co_await pause(std::chrono::microseconds(a.pick(8000)));
            if (!turn.done()) {
                turn.cancel();
                ++seen.cancelled;
            }
        }
        while (!turn.done()) co_await pause(std::chrono::microseconds(500));
        if (turn.error()) ++seen.failed;
    }
    ++done;
}

void try_to_leak(const pgcoro::connection_options& connection, std::size_t size, bool kills)
{
    make_tenants(shared_server());
    auto seed = std::random_device{}();
    BOOST_TEST_MESSAGE("seed " << seed);
    findings seen;
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto options = tenants_pool(connection, size);
        pgcoro::pool p(executor, options);
        pgcoro::multiplexer mux(executor, p, {.connections = 2});
        seen.by_default = co_await p.query_value<std::string>(session_now);
        BOOST_TEST(seen.by_default.starts_with("nobody none \"$user\", public "));
        int done = 0;
        for (int n = 0; n < callers; ++n) {
            auto caller = call(p, mux, seen, seed + static_cast<unsigned>(n), kills, n, done);
            asio::co_spawn(executor, std::move(caller), asio::detached);
        }
        while (done < callers) co_await pause(std::chrono::microseconds(1000));
        // Every connection, all at once.
        std::vector<pgcoro::lease> all;
        for (std::size_t i = 0; i < size; ++i) {
            auto held = co_await p.acquire();
            all.push_back(std::move(held));
        }
        for (auto& held : all) {
            auto now = co_await held->query_value<std::string>(session_now);
            seen.check(now == seen.by_default, "a connection was left with: " + now);
        }
    });
    for (auto& leak : seen.leaks) BOOST_ERROR(leak + " (seed " + std::to_string(seed) + ")");
    BOOST_TEST(seen.own > callers * rounds / 4);
    BOOST_TEST(seen.plain > callers * rounds / 4);
    BOOST_TEST(seen.failed > 0);
    BOOST_TEST(seen.cancelled > 0);
    BOOST_TEST(shared_server().psql("select string_agg(tenant || body, ',' order by id) from tenants.note") ==
               "1note of 1,2note of 2,3note of 3");
}

} // namespace

BOOST_AUTO_TEST_SUITE(tenants_leak)

BOOST_AUTO_TEST_CASE(nothing_leaks_between_callers_that_fail_and_are_cancelled)
{
    try_to_leak(shared_options(), 4, false);
}

BOOST_AUTO_TEST_CASE(nothing_leaks_when_backends_are_killed) { try_to_leak(shared_options(), 4, true); }

BOOST_AUTO_TEST_CASE(nothing_leaks_behind_a_transaction_pooler)
{
    bouncer b(shared_server(), "transaction", 3);
    auto options = pgcoro::connection_options::from_uri(b.uri());
    options.pooler = pgcoro::pooler_mode::transaction;
    try_to_leak(options, 4, false);
}

BOOST_AUTO_TEST_CASE(nothing_leaks_behind_a_session_pooler)
{
    bouncer b(shared_server(), "session", 4);
    auto options = pgcoro::connection_options::from_uri(b.uri());
    options.pooler = pgcoro::pooler_mode::session;
    try_to_leak(options, 4, true);
}

BOOST_AUTO_TEST_SUITE_END()
