// Limits of waiting for a connection, and the errors when they are reached.
#include "integration/pool/support.hpp"
#include "integration/resolver.hpp"
#include "integration/support/proxy.hpp"

#include <boost/asio/detached.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <deque>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

using pgcoro::lease;
using pgcoro::pool;

namespace
{

using clock_type = std::chrono::steady_clock;

constexpr auto never = std::chrono::milliseconds::max();
constexpr std::chrono::milliseconds three_centuries = std::chrono::hours(24 * 365 * 300);

asio::awaitable<std::string> failure_of_acquire(pool& p, std::chrono::milliseconds within)
{
    try {
        auto held = co_await p.acquire(within);
    } catch (const std::exception& e) {
        co_return e.what();
    }
    co_return std::string();
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

asio::awaitable<std::string> failure_of_connect(const pgcoro::connection_options& o)
{
    try {
        co_await pgcoro::connection::connect(o);
    } catch (const pgcoro::connection_error& e) {
        co_return e.what();
    }
    co_return std::string();
}

// Takes all descriptors of the process but that many.
class all_descriptors_but
{
public:
    explicit all_descriptors_but(int left)
    {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        auto few = before_;
        few.rlim_cur = 256;
        ::setrlimit(RLIMIT_NOFILE, &few);
        for (int fd; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken_.push_back(fd);
        for (; left > 0; --left) give_back();
    }
    all_descriptors_but(const all_descriptors_but&) = delete;
    all_descriptors_but& operator=(const all_descriptors_but&) = delete;
    ~all_descriptors_but()
    {
        while (!taken_.empty()) give_back();
        ::setrlimit(RLIMIT_NOFILE, &before_);
    }

private:
    void give_back()
    {
        ::close(taken_.back());
        taken_.pop_back();
    }

    rlimit before_{};
    std::vector<int> taken_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(pool_limits)

BOOST_AUTO_TEST_CASE(silent_idle_connections_cost_one_check_at_most)
{
    pgcoro::testing::server server;
    run([&]() -> asio::awaitable<void> {
        auto o = options_of(8, 2);
        o.connection = pgcoro::connection_options::from_uri(server.uri());
        o.alive_bypass = 0ms;
        o.ping_after = 0ms;
        o.ping_timeout = 20s; // seven of them would last for longer than a test may
        pool p(co_await asio::this_coro::executor, o);
        co_await p.warm_up();
        auto backends = "select pid from pg_stat_activity where application_name = 'pool test'";
        std::istringstream pids(server.psql(backends));
        for (pid_t pid = 0; pids >> pid;) server.pause(pid);
        auto begun = clock_type::now();
        auto one = co_await p.query_value<int>("select 1");
        BOOST_TEST(one == 1);
        BOOST_TEST((clock_type::now() - begun < 15s)); // the server accepts new connections all the while
        server.resume();
    });
}

BOOST_AUTO_TEST_CASE(check_of_a_silent_server_ends_with_the_callers_limit)
{
    pgcoro::testing::server server;
    run([&]() -> asio::awaitable<void> {
        auto o = options_of(3);
        o.connection = pgcoro::connection_options::from_uri(server.uri());
        o.pre_ping = pgcoro::pre_ping::always;
        o.ping_timeout = 60s;
        pool p(co_await asio::this_coro::executor, o);
        co_await p.warm_up();
        server.pause();
        BOOST_CHECK_THROW(co_await p.acquire(100ms), pgcoro::pool_timeout);
        server.resume();
        BOOST_TEST(co_await p.query_value<int>("select 1") == 1);
        co_await until([&] { return p.stats().idle == 3; }); // none was given up for the caller's haste
        BOOST_TEST(p.stats().connects == 3u);
    });
}

BOOST_AUTO_TEST_CASE(on_acquire_ends_with_the_callers_limit)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(1);
        bool slow = true;
        o.on_acquire = [&](pgcoro::connection& c) -> asio::awaitable<void> {
            if (slow) co_await c.execute("select pg_sleep(600)");
        };
        pool p(co_await asio::this_coro::executor, o);
        std::string what;
        try {
            auto held = co_await p.acquire(200ms);
        } catch (const pgcoro::pool_timeout& e) {
            what = e.what();
        }
        BOOST_TEST(what.find("on_acquire") != what.npos, what);
        slow = false;
        co_await until([&] { return p.stats().idle == 1; });
        BOOST_TEST(co_await p.query_value<int>("select 1") == 1);
        BOOST_TEST(p.stats().connects == 1u); // the same one, cleaned
    });
}

BOOST_AUTO_TEST_CASE(cancelled_on_acquire_is_a_cancellation)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto o = options_of(1);
        bool begun = false;
        o.on_acquire = [&](pgcoro::connection& c) -> asio::awaitable<void> {
            begun = true;
            co_await c.execute("select pg_sleep(600)");
        };
        pool p(executor, o);
        beside caller(executor, [&]() -> asio::awaitable<void> { auto held = co_await p.acquire(never); });
        co_await until([&] { return begun; });
        caller.cancel();
        co_await until([&] { return caller.done(); });
        BOOST_TEST(caller.threw<boost::system::system_error>());
        co_await until([&] { return p.stats().idle == 1; });
    });
}

BOOST_AUTO_TEST_CASE(unlimited_durations_wait_without_limit)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        for (auto within : {never, three_centuries}) {
            pool p(executor, options_of(1));
            lease held = co_await p.acquire(within); // nothing is open yet
            beside waiting(executor, [&]() -> asio::awaitable<void> {
                lease next = co_await p.acquire(within);
            });
            co_await until([&] { return p.stats().waiting == 1; });
            co_await pause(300ms); // beyond a turn of the pool's timer
            BOOST_TEST(!waiting.done());
            held.release();
            co_await until([&] { return waiting.done(); });
            BOOST_TEST(!waiting.error());
            held = co_await p.acquire(within);
            beside closing(executor, [&] { return p.close(within); });
            co_await until([&] { return closing.begun(); });
            BOOST_TEST(co_await held->query_value<int>("select 1 from pg_sleep(0.3)") == 1);
            BOOST_TEST(!closing.done());
            held.release();
            co_await until([&] { return closing.done(); });
            BOOST_TEST(!closing.error());
        }
    });
}

BOOST_AUTO_TEST_CASE(limits_of_zero_and_less_succeed_only_without_a_wait)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        for (auto within : {0ms, -5ms, std::chrono::milliseconds::min()}) {
            auto o = options_of(1);
            int hooks = 0;
            o.on_acquire = [&](pgcoro::connection&) -> asio::awaitable<void> {
                ++hooks;
                co_return;
            };
            pool p(executor, o);
            BOOST_CHECK_THROW(co_await p.acquire(within), pgcoro::pool_timeout); // nothing is open
            co_await until([&] { return p.stats().idle == 1; });
            lease held = co_await p.acquire(within);
            BOOST_TEST(hooks == 1);
            BOOST_CHECK_THROW(co_await p.acquire(within), pgcoro::pool_timeout); // it is leased
            co_await p.close(within);
            BOOST_CHECK_THROW(co_await held->execute("select 1"), pgcoro::connection_error); // it was cut
        }
    });
}

BOOST_AUTO_TEST_CASE(timeout_and_stats_carry_the_reason_in_one_line)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(2);
        o.connection = pgcoro::connection_options::from_uri(shared_server().tcp_uri());
        o.connection.parameters["port"] = "1"; // nobody listens there
        pool p(co_await asio::this_coro::executor, o);
        auto reason = first_line(co_await failure_of_connect(o.connection));
        BOOST_TEST_REQUIRE(!reason.empty());
        auto what = co_await failure_of_acquire(p, 300ms);
        BOOST_TEST(what.find(reason) != what.npos, what);
        BOOST_TEST(what.find("no connection could be opened") != what.npos, what);
        BOOST_TEST(what.find("leases held long") == what.npos, what);
        BOOST_TEST(what.find('\n') == what.npos, what);
        BOOST_TEST(p.stats().last_connect_failure == reason);
    });
}

BOOST_AUTO_TEST_CASE(what_waiting_cannot_mend_ends_all_waits_at_once)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto o = options_of(8);
        o.connection.parameters["dbname"] = "nowhere";
        pool p(executor, o);
        std::deque<beside> callers;
        for (int i = 0; i < 20; ++i)
            callers.emplace_back(
                executor, [&]() -> asio::awaitable<void> { auto mine = co_await p.acquire(never); });
        co_await until([&] { return std::ranges::all_of(callers, [](auto& c) { return c.done(); }); });
        for (auto& c : callers) BOOST_TEST(c.threw<pgcoro::connection_error>());
    });
}

// The refused caller's thread is busy, and a later connect succeeds, before it learns why.
BOOST_AUTO_TEST_CASE(refusal_keeps_its_reason_when_a_later_connect_succeeds)
{
    pgcoro::testing::server_options with_password;
    with_password.auth = "scram-sha-256";
    with_password.password = "right";
    pgcoro::testing::server server(with_password);
    asio::io_context slow;
    std::exception_ptr refused;
    {
        asio::io_context of_pool;
        auto o = options_of(1);
        o.connection = pgcoro::connection_options::from_uri(server.tcp_uri());
        std::string secret = "wrong";
        o.connection.credentials = [&]() -> asio::awaitable<pgcoro::credentials> {
            co_return pgcoro::credentials{.password = secret};
        };
        pool p(of_pool.get_executor(), o);
        asio::co_spawn(
            slow, [&]() -> asio::awaitable<void> { auto mine = co_await p.acquire(); },
            [&](std::exception_ptr e) { refused = e; });
        slow.poll(); // it waits now, and its thread does something else
        run_on(of_pool, [&]() -> asio::awaitable<void> {
            co_await until([&] { return p.stats().connect_failures == 1; });
            secret = "right";
            BOOST_TEST(co_await p.query_value<int>("select 1") == 1);
        });
        slow.restart();
        slow.run();
    }
    BOOST_TEST_REQUIRE(static_cast<bool>(refused));
    BOOST_CHECK_THROW(std::rethrow_exception(refused), pgcoro::connection_error);
}

BOOST_AUTO_TEST_CASE(verify_ends_within_its_limit_when_the_server_falls_silent)
{
    pgcoro::testing::server server;
    run([&]() -> asio::awaitable<void> {
        auto o = options_of(1);
        o.connection = pgcoro::connection_options::from_uri(server.uri());
        o.acquire_timeout = 1s;
        o.on_connect = [&](pgcoro::connection&) -> asio::awaitable<void> {
            server.pause();
            co_return;
        };
        pool p(co_await asio::this_coro::executor, o);
        BOOST_CHECK_THROW(co_await p.verify(), pgcoro::connection_error);
        server.resume();
    });
}

BOOST_AUTO_TEST_CASE(hung_login_does_not_keep_callers_from_others)
{
    std::atomic<int> logins{0};
    auto first_hangs = [&](std::string_view message) -> std::optional<test::fault> {
        bool startup = message.size() >= 8 && message.substr(4, 4) == std::string_view("\0\3\0\0", 4);
        if (!startup || logins++ > 0) return std::nullopt;
        return test::fault{test::fault::to_server, 0, test::fault::drop};
    };
    test::proxy between(test::socket_of(shared_server()), first_hangs);
    run([&]() -> asio::awaitable<void> {
        auto o = options_of(2);
        o.connection = pgcoro::connection_options::from_uri(between.uri());
        o.connection.connect_timeout = 10min;
        o.max_connecting = 1;
        pool p(co_await asio::this_coro::executor, o);
        BOOST_TEST(co_await p.query_value<int>("select 1") == 1);
        BOOST_TEST(p.stats().connecting == 1u);
    });
}

BOOST_AUTO_TEST_CASE(connection_begun_before_evict_reaches_nobody)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto o = options_of(1);
        int begun = 0;
        bool go_on = false;
        o.on_connect = [&](pgcoro::connection&) -> asio::awaitable<void> {
            ++begun;
            while (!go_on) co_await pause(1ms);
        };
        pool p(executor, o);
        beside caller(executor, [&]() -> asio::awaitable<void> { co_await p.execute("select 1"); });
        co_await until([&] { return begun == 1; });
        p.evict();
        go_on = true;
        co_await until([&] { return caller.done(); });
        BOOST_TEST(!caller.error());
        BOOST_TEST(begun == 2);
    });
}

BOOST_AUTO_TEST_CASE(warm_base_outlasts_idle_timeout)
{
    run([]() -> asio::awaitable<void> {
        auto o = options_of(3);
        o.idle_timeout = 20ms;
        pool p(co_await asio::this_coro::executor, o);
        co_await p.warm_up();
        co_await pause(500ms);
        BOOST_TEST(p.stats().idle == 3u);
        BOOST_TEST(p.stats().connects == 3u);
    });
}

BOOST_AUTO_TEST_CASE(load_around_size_does_not_churn_connections)
{
    run([]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        pool p(executor, options_of(2, 4));
        auto ask = [&]() -> asio::awaitable<void> { co_await p.execute("select 1"); };
        for (int round = 0; round < 20; ++round) {
            std::deque<beside> callers;
            for (int i = 0; i < 5; ++i)
                callers.emplace_back(executor, ask);
            co_await until([&] { return std::ranges::all_of(callers, [](auto& c) { return c.done(); }); });
        }
        BOOST_TEST(p.stats().closes == 0u);
        BOOST_TEST(p.stats().connects <= 6u);
    });
}

BOOST_AUTO_TEST_CASE(operation_of_a_temporary_named_pool_keeps_a_copy)
{
    struct names : pgcoro::observer
    {
        std::vector<std::string> seen;
        void on_query(const pgcoro::query_event& e) noexcept override { seen.emplace_back(e.operation); }
    } told;
    asio::io_context io;
    auto o = options_of(1);
    o.observer = &told;
    pool p(io.get_executor(), o);
    int sum = 0;
    auto add = [&](std::exception_ptr e, int n) {
        BOOST_TEST(!e);
        sum += n;
    };
    asio::co_spawn(io, p.named("load account").query_value<int>("select 1"), add);
    asio::co_spawn(io, p.named("load account").traced({}).query_value<int>("select $1::int", 2), add);
    auto ran = p.named("load account").run("select 3", {});
    asio::co_spawn(io, std::move(ran), [&](std::exception_ptr e, pgcoro::result got) {
        BOOST_TEST(!e);
        sum += got.as_value<int>();
    });
    auto acquiring = p.named("load account").acquire();
    asio::co_spawn(io, std::move(acquiring), [&](std::exception_ptr e, lease) { BOOST_TEST(!e); });
    run_on(io, [&]() -> asio::awaitable<void> { co_await until([&] { return sum == 6; }); });
    BOOST_TEST(told.seen == std::vector<std::string>(3, "load account"), boost::test_tools::per_element());
}

#ifndef PGCORO_SANITIZED // UBSan itself opens descriptors, to look whether an object is what it is taken for
BOOST_AUTO_TEST_CASE(no_descriptor_left_is_a_transient_connection_error)
{
    run([]() -> asio::awaitable<void> {
        pool p(co_await asio::this_coro::executor, options_of(1));
        co_await p.execute("select 1"); // the context has opened its own descriptors now
        p.evict();
        for (int left = 0; left < 2; ++left) { // none for libpq's socket, none for the copy that Asio waits on
            all_descriptors_but taken(left);
            bool transient = false;
            try {
                co_await pgcoro::connection::connect(options_of(1).connection);
            } catch (const pgcoro::connection_error& e) {
                transient = e.is_transient();
            }
            BOOST_TEST(transient, left);
            BOOST_CHECK_THROW(co_await p.acquire(50ms), pgcoro::pool_timeout);
        }
        BOOST_TEST(co_await p.query_value<int>("select 1") == 1);
    });
}

BOOST_AUTO_TEST_CASE(context_that_gets_no_descriptor_is_a_connection_error_that_says_so)
{
    named_address host("descriptors.example");
    auto failure = [](auto work) {
        std::string why;
        auto body = [&]() -> asio::awaitable<void> {
            try {
                co_await work();
            } catch (const pgcoro::connection_error& e) {
                why = e.what();
                BOOST_TEST(e.is_transient());
            } catch (const std::exception& e) {
                why = std::string("another exception: ") + e.what();
            }
        };
        asio::io_context io; // opens its descriptors when somebody waits for the first time
        asio::co_spawn(io, body(), asio::detached);
        io.run();
        return why;
    };
    auto by_socket = options_of(1).connection;
    auto by_name = pgcoro::connection_options::from_uri(shared_server().tcp_uri());
    by_name.parameters["host"] = "descriptors.example";
    auto check = [&](auto work, const char* begin, int most) {
        for (int left = 0; left < most; ++left) {
            std::string why;
            {
                all_descriptors_but taken(left);
                why = failure(work);
            }
            BOOST_TEST(why.starts_with(begin), left << ": " << why);
            BOOST_TEST((why.find("oo many open files") != std::string::npos), left << ": " << why);
        }
    };
    auto connect = [](const pgcoro::connection_options& o) {
        return [&o]() -> asio::awaitable<void> { co_await pgcoro::connection::connect(o); };
    };
    check(connect(by_socket), "cannot connect to ", 4); // libpq needs one, the context two, and the wait one
    check(connect(by_name), "cannot connect to ", 3);
    auto make_pool = [&]() -> asio::awaitable<void> { pool p(co_await asio::this_coro::executor, options_of(1)); };
    check(make_pool, "pool 'pool test' cannot use its I/O context: ", 2);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
