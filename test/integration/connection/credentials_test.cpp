// Credentials that change: a secret store, a token service and a secret's file, each as a fake that changes the
// server's roles.
#include "integration/connection/support.hpp"

#include <pgcoro/pool/pool.hpp>

#include <boost/asio/steady_timer.hpp>

#include <cstdio>
#include <deque>
#include <fstream>

#include <unistd.h>

using namespace std::chrono_literals;
using pgcoro::connection;

namespace
{

using answer = asio::awaitable<pgcoro::credentials>;

asio::awaitable<void> pause(std::chrono::nanoseconds time)
{
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(asio::deferred);
}

template <class Condition>
asio::awaitable<void> until(Condition condition)
{
    while (!condition()) co_await pause(1ms);
}

// The shared server by TCP, where it asks for passwords. Names a user that must be replaced.
pgcoro::connection_options by_tcp()
{
    auto options = pgcoro::connection_options::from_uri(shared_server().tcp_uri());
    options.parameters["user"] = "nobody";
    options.parameters["password"] = "the_options_own_secret";
    return options;
}

void set_password(const std::string& role, const std::string& password)
{
    shared_server().psql("do $$ begin if not exists (select from pg_roles where rolname = '" + role +
                         "') then create role " + role + "; end if; end $$; alter role " + role +
                         " login password '" + password + "'");
}

// As the database engine of a secret store: each call makes a user, whose end it announces.
struct fake_store
{
    explicit fake_store(std::chrono::milliseconds lease)
        : lease_(lease)
    {}

    answer issue()
    {
        ++calls;
        co_await pause(20ms); // others come meanwhile
        auto user = "leased_" + std::to_string(calls);
        set_password(user, "secret_of_" + user);
        if (nologin) revoke(user);
        users.push_back(user);
        co_return pgcoro::credentials{.user = user, .password = "secret_of_" + user, .valid_for = lease_};
    }
    void revoke(const std::string& user) const
    {
        shared_server().psql("alter role " + user + " nologin; select pg_terminate_backend(pid) from "
                             "pg_stat_activity where usename = '" + user + "'");
    }

    std::chrono::milliseconds lease_;
    int calls = 0;
    bool nologin = false; // the server refuses its users
    std::vector<std::string> users;
};

} // namespace

BOOST_AUTO_TEST_SUITE(changing_credentials)

BOOST_AUTO_TEST_CASE(connects_at_the_same_time_share_one_call)
{
    fake_store store(1h);
    auto options = by_tcp();
    options.credentials = [&] { return store.issue(); };
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        std::deque<beside> callers;
        for (int i = 0; i < 5; ++i)
            callers.emplace_back(executor, [&]() -> asio::awaitable<void> {
                auto c = co_await connection::connect(options);
                auto user = co_await c.query_value<std::string>("select current_user");
                BOOST_TEST(user == "leased_1");
            });
        for (auto& c : callers) {
            co_await until([&] { return c.done(); });
            BOOST_TEST(!c.error());
        }
    });
    BOOST_TEST(store.calls == 1);
}

BOOST_AUTO_TEST_CASE(cancelled_connect_leaves_its_call_to_another)
{
    auto options = by_tcp();
    set_password("slow", "secret");
    int calls = 0;
    options.credentials = [&]() -> answer {
        if (++calls == 1) co_await pause(600s);
        co_return pgcoro::credentials{.user = "slow", .password = "secret"};
    };
    options.connect_timeout = 60s;
    run([&]() -> asio::awaitable<void> {
        auto executor = co_await asio::this_coro::executor;
        auto connect = [&]() -> asio::awaitable<void> { auto c = co_await connection::connect(options); };
        beside first(executor, connect);
        co_await until([&] { return calls == 1; });
        beside second(executor, connect);
        co_await yield();
        co_await first.end();
        co_await until([&] { return second.done(); });
        BOOST_TEST(!second.error());
    });
    BOOST_TEST(calls == 2);
}

BOOST_AUTO_TEST_CASE(refused_password_is_asked_for_again_while_it_rotates)
{
    set_password("rotated", "second");
    auto options = by_tcp();
    int calls = 0;
    options.credentials = [&]() -> answer {
        co_return pgcoro::credentials{.user = "rotated", .password = ++calls < 3 ? "first" : "second", .valid_for = 1h};
    };
    run([&]() -> asio::awaitable<void> {
        auto c = co_await connection::connect(options);
        co_await check_usable(c);
        BOOST_TEST(calls == 3);
        auto other = co_await connection::connect(options);
        BOOST_TEST(calls == 3);
        set_password("rotated", "third");
        auto failed = co_await failure_of<pgcoro::connection_error>(connection::connect(options));
        BOOST_TEST(failed.sqlstate() == pgcoro::sqlstate("28P01"));
        BOOST_TEST(calls == 7); // the cached one, then four new ones
        for (auto* secret : {"first", "second", "third", "secret"}) BOOST_TEST(!contains(failed.what(), secret));
    });
}

BOOST_AUTO_TEST_CASE(pool_replaces_connections_before_their_user_is_dropped)
{
    fake_store store(3s);
    pgcoro::pool_options o;
    o.connection = by_tcp();
    o.connection.credentials = [&] { return store.issue(); };
    o.size = 2;
    o.max_overflow = 0;
    run([&]() -> asio::awaitable<void> {
        pgcoro::pool p(co_await asio::this_coro::executor, o);
        co_await p.warm_up();
        auto user = co_await p.query_value<std::string>("select current_user");
        BOOST_TEST(user == store.users.front());
        auto count = [](const std::string& of) {
            return shared_server().psql("select count(*) from pg_stat_activity where usename = '" + of + "'");
        };
        co_await until([&] { return store.users.size() > 1 && count(store.users.front()) == "0"; });
        store.revoke(store.users.front());
        auto next = co_await p.query_value<std::string>("select current_user");
        BOOST_TEST(next != user);
        co_await p.close();
    });
}

BOOST_AUTO_TEST_CASE(kept_credential_whose_user_may_not_log_in_any_more_is_asked_for_again)
{
    fake_store store(1h);
    auto options = by_tcp();
    options.credentials = [&] { return store.issue(); };
    run([&]() -> asio::awaitable<void> {
        auto first = co_await connection::connect(options);
        store.revoke(store.users.front());
        auto second = co_await connection::connect(options);
        co_await check_usable(second);
        BOOST_TEST(store.calls == 2);
        // A new one that is refused is a mistake in the store, which asking again does not mend.
        store.nologin = true;
        store.revoke(store.users.back());
        auto failed = co_await failure_of<pgcoro::connection_error>(connection::connect(options));
        BOOST_TEST(failed.sqlstate() == pgcoro::sqlstates::invalid_authorization);
        BOOST_TEST(store.calls == 3);
    });
}

BOOST_AUTO_TEST_CASE(function_that_hangs_is_bounded_by_connect_timeout)
{
    auto options = by_tcp();
    options.connect_timeout = 100ms;
    options.credentials = []() -> answer {
        co_await pause(600s);
        co_return pgcoro::credentials();
    };
    auto failed = connect_failure(options);
    BOOST_TEST(failed.why() == pgcoro::connection_failure::timeout);
    BOOST_TEST(contains(failed.what(), "credentials function"));
}

BOOST_AUTO_TEST_CASE(failure_of_the_function_is_what_the_connect_throws)
{
    auto options = by_tcp();
    options.credentials = []() -> answer { throw std::runtime_error("the store is sealed"); };
    run([&]() -> asio::awaitable<void> {
        auto failed = co_await failure_of<std::runtime_error>(connection::connect(options));
        BOOST_TEST(failed.what() == "the store is sealed");
    });
    options.credentials = []() -> answer { co_return pgcoro::credentials{.password = std::string("marker\0", 7)}; };
    auto refused = connect_failure(options);
    BOOST_TEST(refused.why() == pgcoro::connection_failure::options);
    BOOST_TEST(!contains(refused.what(), "marker"));
}

// As a secret that Kubernetes mounts: the file is replaced by another.
BOOST_AUTO_TEST_CASE(secret_in_a_file_is_read_by_each_connect)
{
    std::string path = "/tmp/pgcoro_secret_" + std::to_string(::getpid());
    auto write = [&](const std::string& secret) {
        std::ofstream(path + ".new") << secret << '\n';
        std::rename((path + ".new").c_str(), path.c_str());
        set_password("of_file", secret);
    };
    auto options = by_tcp();
    options.credentials = [&]() -> answer {
        std::string password;
        std::getline(std::ifstream(path), password);
        co_return pgcoro::credentials{.user = "of_file", .password = password};
    };
    write("one");
    with_connection(options, [](connection& c) { return check_usable(c); });
    write("two");
    with_connection(options, [](connection& c) { return check_usable(c); });
    std::remove(path.c_str());
}

// As RDS IAM: a token is looked at during the login only, and sessions outlive it.
BOOST_AUTO_TEST_CASE(token_that_only_logs_in_does_not_end_sessions)
{
    pgcoro::pool_options o;
    o.connection = by_tcp();
    set_password("by_token", "token_1");
    int calls = 0;
    o.connection.credentials = [&]() -> answer {
        co_return pgcoro::credentials{.user = "by_token",
                                      .password = "token_" + std::to_string(++calls),
                                      .valid_for = 300ms,
                                      .ends_sessions = false};
    };
    o.size = 1;
    run([&]() -> asio::awaitable<void> {
        pgcoro::pool p(co_await asio::this_coro::executor, o);
        auto pid = co_await p.query_value<int>("select pg_backend_pid()");
        co_await pause(600ms); // longer than the token is valid
        auto same = co_await p.query_value<int>("select pg_backend_pid()");
        BOOST_TEST(same == pid);
        BOOST_TEST(calls == 1);
        set_password("by_token", "token_2");
        p.evict();
        auto other = co_await p.query_value<int>("select pg_backend_pid()");
        BOOST_TEST(other != pid);
        BOOST_TEST(calls == 2);
        co_await p.close();
    });
}

BOOST_AUTO_TEST_CASE(oauth_token_needs_a_libpq_that_can_send_it)
{
#ifndef LIBPQ_HAS_PROMPT_OAUTH_DEVICE
    auto options = by_tcp();
    options.credentials = []() -> answer { co_return pgcoro::credentials{.oauth_token = "marker"}; };
    auto failed = connect_failure(options);
    BOOST_TEST(failed.why() == pgcoro::connection_failure::options);
    BOOST_TEST(contains(failed.what(), "libpq 18"));
    BOOST_TEST(!contains(failed.what(), "marker"));
#endif
}

BOOST_AUTO_TEST_SUITE_END()
