// A process forks with a pool: the child opens its own connections, and the parent keeps the others.
#include "integration/pool/support.hpp"

#include <boost/test/unit_test.hpp>

#include <sys/wait.h>
#include <unistd.h>

using pgcoro::lease;
using pgcoro::pool;

namespace
{

// Runs it in a forked child; returns its exit code, 99 for an exception. The child does not return.
template <class Body>
int in_a_child(asio::io_context& io, bool told_of_the_fork, Body body)
{
    if (told_of_the_fork) io.notify_fork(asio::execution_context::fork_prepare);
    auto child = ::fork();
    if (child == 0) {
        int code = 99;
        try {
            if (told_of_the_fork) io.notify_fork(asio::execution_context::fork_child);
            code = body();
        } catch (const std::exception& e) {
            std::fprintf(stderr, "in the forked child: %s\n", e.what());
        }
        ::_exit(code);
    }
    if (told_of_the_fork) io.notify_fork(asio::execution_context::fork_parent);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

// Has the server accept TLS, with a certificate made for the occasion. False where there is no openssl.
bool encrypt(pgcoro::testing::server& server)
{
    auto certificate = (server.folder() / "made.crt").string();
    auto key = (server.folder() / "made.key").string();
    auto make = "openssl req -new -x509 -days 2 -nodes -newkey rsa:2048 -subj /CN=localhost -out '" +
                certificate + "' -keyout '" + key + "' 2>/dev/null && chmod 644 '" + key + "'";
    if (std::system(make.c_str()) != 0) return false;
    // By the server, which must own its key.
    auto copy = [&](const std::string& from, const char* name) {
        server.psql("copy (select 1) to program 'umask 077; cat " + from + " > " +
                    (server.folder() / "data" / name).string() + "'");
    };
    copy(certificate, "server.crt");
    copy(key, "server.key");
    server.psql("alter system set ssl = on");
    server.restart();
    return true;
}

template <class T, class Body>
T on(asio::io_context& io, Body body)
{
    std::optional<T> got;
    std::exception_ptr failure;
    auto keep = [&]() -> asio::awaitable<void> {
        auto value = co_await body();
        got.emplace(std::move(value));
    };
    asio::co_spawn(io, keep(), [&](std::exception_ptr e) {
        failure = e;
        io.stop();
    });
    io.restart();
    io.run_for(20s);
    if (failure) std::rethrow_exception(failure);
    if (!got) throw std::runtime_error("did not end in time");
    return std::move(*got);
}

} // namespace

BOOST_AUTO_TEST_SUITE(pool_fork)

BOOST_AUTO_TEST_CASE(child_opens_connections_of_its_own)
{
    for (bool tls : {false, true}) {
        std::optional<pgcoro::testing::server> encrypted;
        asio::io_context io;
        auto o = options_of(2);
        if (tls) {
            encrypted.emplace();
            if (!encrypt(*encrypted)) continue; // no openssl here to make a certificate
            o.connection = pgcoro::connection_options::from_uri(encrypted->tcp_uri());
            o.connection.parameters["sslmode"] = "require";
        }
        std::optional<pool> p;
        p.emplace(io.get_executor(), o);
        auto pid_of = [&](lease& held) { return held->query_value<int>("select pg_backend_pid()"); };
        on<int>(io, [&]() -> asio::awaitable<int> {
            co_await p->warm_up();
            co_return 0;
        });
        auto held = on<lease>(io, [&] { return p->acquire(); });
        auto code = in_a_child(io, true, [&]() -> int {
            try {
                held->backend_pid();
                return 1; // the parent's connection
            } catch (const std::logic_error&) {
            }
            auto mine = on<lease>(io, [&] { return p->acquire(); });
            auto pid = on<int>(io, [&] { return pid_of(mine); });
            if (pid == 0) return 2;
            held.release();
            mine.release();
            p.reset();
            return 0;
        });
        BOOST_TEST(code == 0);
        auto before = p->stats();
        auto still = on<int>(io, [&] { return pid_of(held); });
        BOOST_TEST(still == held->backend_pid());
        auto other = on<lease>(io, [&] { return p->acquire(); });
        auto one = on<int>(io, [&] { return other->query_value<int>("select 1"); });
        BOOST_TEST(one == 1);
        BOOST_TEST(p->stats().connects == before.connects); // the idle ones are still there
        BOOST_TEST(p->stats().found_dead == 0u);
        other.release();
        held.release();
        p.reset();
    }
}

BOOST_AUTO_TEST_CASE(child_that_only_exits_leaves_the_parents_sessions_alone)
{
    asio::io_context io;
    std::optional<pool> p;
    p.emplace(io.get_executor(), options_of(2));
    on<int>(io, [&]() -> asio::awaitable<int> {
        co_await p->warm_up();
        co_return 0;
    });
    auto held = on<lease>(io, [&] { return p->acquire(); });
    bool answered = false; // while the child comes and goes a statement is under way
    asio::co_spawn(io, held->execute("select pg_sleep(0.5)"), [&](std::exception_ptr e, std::uint64_t) {
        BOOST_TEST(!e);
        answered = true;
    });
    io.restart();
    io.poll();
    // As exit() does with a pool that is a global object; the context was not told of the fork.
    auto code = in_a_child(io, false, [&]() -> int {
        held.release();
        p.reset();
        return 0;
    });
    BOOST_TEST(code == 0);
    on<int>(io, [&]() -> asio::awaitable<int> {
        co_await until([&] { return answered; });
        co_return 0;
    });
    auto one = on<int>(io, [&] { return held->query_value<int>("select 1"); });
    BOOST_TEST(one == 1);
    auto other = on<lease>(io, [&] { return p->acquire(); });
    auto two = on<int>(io, [&] { return other->query_value<int>("select 2"); });
    BOOST_TEST(two == 2);
    BOOST_TEST(p->stats().connects == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
