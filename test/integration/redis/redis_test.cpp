// The second level by itself, against real servers.
#include "integration/redis/redis_process.hpp"

#include "integration/connection/support.hpp"
#include "integration/resolver.hpp"

#include <boost/asio/steady_timer.hpp>

using namespace pgcoro;
using namespace std::chrono_literals;

namespace
{

redis_options only(redis_instance there)
{
    redis_options o;
    o.instances = {std::move(there)};
    o.timeout = 2s; // a busy machine is not what is tested
    return o;
}

} // namespace

BOOST_AUTO_TEST_SUITE(redis_level)

BOOST_AUTO_TEST_CASE(a_value_is_kept_by_socket_and_port_with_password_and_database)
{
    redis_process server("secret");
    for (auto there : {server.by_socket(), server.by_port()}) {
        there.database = 3;
        run([&]() -> asio::awaitable<void> {
            redis_second_level level(co_await asio::this_coro::executor, only(there));
            std::string key = there.place();
            auto before = co_await level.get(key);
            BOOST_TEST(!before);
            for (auto size : {0, 10, 500'000}) {
                std::string value(static_cast<std::size_t>(size), 'v');
                co_await level.set(key, value, 1min);
                auto got = co_await level.get(key);
                BOOST_TEST((got == value));
            }
            auto s = level.stats().front();
            BOOST_TEST(s.hits == 3u);
            BOOST_TEST(s.misses == 1u);
            BOOST_TEST(s.sets == 3u);
            BOOST_TEST(s.errors == 0u);
            BOOST_TEST(s.bytes_written < 10'000u); // compressed
        });
    }
    BOOST_TEST(server.cli({"-n", "3", "dbsize"}) == "2\n");
    BOOST_TEST(server.cli({"dbsize"}) == "0\n");
}

BOOST_AUTO_TEST_CASE(a_wrong_password_and_an_error_of_redis_are_misses_that_say_why)
{
    redis_process server("secret");
    run([&]() -> asio::awaitable<void> {
        auto there = server.by_socket();
        there.password = "wrong";
        redis_second_level shut_out(co_await asio::this_coro::executor, only(there));
        auto got = co_await shut_out.get("k");
        BOOST_TEST(!got);
        BOOST_TEST(shut_out.stats().front().last_failure.find("AUTH: WRONGPASS") != std::string::npos);

        redis_second_level full(co_await asio::this_coro::executor, only(server.by_socket()));
        server.cli({"config", "set", "maxmemory", "1"});
        co_await full.set("k", "v", 1min);
        BOOST_TEST(full.stats().front().last_failure.starts_with("OOM"));
        BOOST_TEST((full.stats().front().state == breaker_state::closed)); // it answers
    });
}

BOOST_AUTO_TEST_CASE(what_somebody_else_put_there_is_a_miss)
{
    redis_process server;
    run([&]() -> asio::awaitable<void> {
        redis_second_level level(co_await asio::this_coro::executor, only(server.by_socket()));
        co_await level.set("k", "v", 1min);
        auto name = server.cli({"keys", "*"});
        name.pop_back();
        for (auto* foreign : {"", "x", "zzz", "p\xff\xfe"}) {
            server.cli({"set", name, foreign});
            auto got = co_await level.get("k");
            BOOST_TEST((!got || *got == std::string(foreign).substr(1)));
        }
        server.cli({"del", name});
        server.cli({"lpush", name, "v"});
        auto got = co_await level.get("k"); // WRONGTYPE
        BOOST_TEST(!got);
    });
}

BOOST_AUTO_TEST_CASE(a_redis_that_hangs_is_left_alone_and_one_that_is_back_is_used_again)
{
    redis_process server;
    run([&]() -> asio::awaitable<void> {
        auto options = only(server.by_socket());
        options.timeout = 100ms;
        options.open_for = 50ms;
        redis_second_level level(co_await asio::this_coro::executor, options);
        co_await level.set("k", "v", 1min);
        server.pause();
        for (int i = 0; i < 3; ++i) {
            auto got = co_await level.get("k");
            BOOST_TEST(!got);
        }
        auto s = level.stats().front();
        BOOST_TEST(s.timeouts == 3u);
        BOOST_TEST((s.state == breaker_state::open));
        auto skipped = co_await level.get("k");
        BOOST_TEST(!skipped);
        BOOST_TEST(level.stats().front().skipped == 1u);
        server.resume();
        asio::steady_timer pause(co_await asio::this_coro::executor);
        std::optional<std::string> got;
        while (!got) {
            pause.expires_after(20ms);
            co_await pause.async_wait(asio::deferred);
            got = co_await level.get("k");
        }
        BOOST_TEST((level.stats().front().state == breaker_state::closed));
    });
}

BOOST_AUTO_TEST_CASE(a_host_name_is_looked_up_and_one_without_address_is_a_miss)
{
    redis_process server;
    named_address known("redis.example");
    named_address unknown("nowhere.example", std::string(300, 'x')); // longer than a name can be
    run([&]() -> asio::awaitable<void> {
        auto there = server.by_port();
        there.host = "redis.example";
        redis_second_level level(co_await asio::this_coro::executor, only(there));
        co_await level.set("k", "v", 1min);
        auto got = co_await level.get("k");
        BOOST_TEST((got == "v"));

        there.host = "nowhere.example";
        redis_second_level lost(co_await asio::this_coro::executor, only(there));
        auto missed = co_await lost.get("k");
        BOOST_TEST(!missed);
        auto why = lost.stats().front().last_failure;
        BOOST_TEST(contains(why, "nowhere.example: the host name has no address"), why);
    });
}

BOOST_AUTO_TEST_CASE(a_name_that_hangs_blocks_no_other_name_and_not_the_contexts_end)
{
    redis_process server;
    named_address hangs("hanging-redis.example", "127.0.0.1", 60s);
    named_address quick("quick-redis.example");
    auto begun = std::chrono::steady_clock::now();
    run([&]() -> asio::awaitable<void> {
        auto there = server.by_port();
        there.host = "hanging-redis.example";
        auto impatient = only(there);
        impatient.timeout = 50ms;
        redis_second_level mute(co_await asio::this_coro::executor, impatient);
        auto missed = co_await mute.get("k");
        BOOST_TEST(!missed);

        there.host = "quick-redis.example";
        redis_second_level level(co_await asio::this_coro::executor, only(there));
        co_await level.set("k", "v", 1min);
        auto got = co_await level.get("k");
        BOOST_TEST((got == "v"));
        while (mute.stats().front().timeouts == 0) co_await yield(); // the call may have returned before its work ended
    });
    BOOST_TEST((std::chrono::steady_clock::now() - begun < 50s)); // before the name is answered
}

BOOST_AUTO_TEST_CASE(connections_that_were_lost_while_idle_cost_no_miss)
{
    redis_process server;
    run([&]() -> asio::awaitable<void> {
        redis_second_level level(co_await asio::this_coro::executor, only(server.by_socket()));
        co_await level.set("k", "v", 1min);
        server.kill();
        auto gone = co_await level.get("k");
        BOOST_TEST(!gone);
        server.start();
        co_await level.set("k", "v", 1min);
        auto errors = level.stats().front().errors;
        server.cli({"client", "kill", "type", "normal"});
        auto got = co_await level.get("k");
        BOOST_TEST((got == "v"));
        BOOST_TEST(level.stats().front().errors == errors);
    });
}

BOOST_AUTO_TEST_CASE(more_callers_than_connections_take_turns_and_one_that_gives_up_leaves_no_trace)
{
    redis_process server;
    asio::io_context io;
    auto options = only(server.by_socket());
    options.max_connections = 2;
    redis_second_level level(io.get_executor(), options);
    run_on(io, [&] { return level.set("k", "v", 1min); });
    server.pause();
    beside impatient(io.get_executor(), [&]() -> asio::awaitable<void> { co_await level.get("k"); });
    impatient.begin(io);
    run_on(io, [&] { return impatient.end(); });
    BOOST_TEST(impatient.threw<boost::system::system_error>());
    server.resume();
    int answered = 0;
    for (int i = 0; i < 50; ++i)
        asio::co_spawn(io, level.get("k"),
                       [&](std::exception_ptr, std::optional<std::string> got) { answered += got == "v"; });
    run_on(io, [&]() -> asio::awaitable<void> {
        while (answered < 50) co_await yield();
    });
    BOOST_TEST(level.stats().front().errors == 0u);
}

BOOST_AUTO_TEST_CASE(of_several_instances_one_that_is_gone_costs_its_own_keys_only)
{
    redis_process first;
    redis_process second;
    run([&]() -> asio::awaitable<void> {
        redis_options options;
        options.instances = {first.by_socket(), second.by_socket()};
        options.instances[0].name = "first";
        options.instances[1].name = "second";
        options.timeout = 2s;
        redis_second_level level(co_await asio::this_coro::executor, options);
        for (int i = 0; i < 100; ++i) co_await level.set(std::to_string(i), "v", 1min);
        auto at_first = std::stoi(first.cli({"dbsize"}));
        BOOST_TEST(at_first > 20);
        BOOST_TEST(at_first + std::stoi(second.cli({"dbsize"})) == 100);
        second.kill();
        int found = 0;
        for (int i = 0; i < 100; ++i) {
            auto got = co_await level.get(std::to_string(i));
            found += got.has_value();
        }
        BOOST_TEST(found == at_first);
        BOOST_TEST(level.stats()[0].hits == static_cast<unsigned>(at_first));
        BOOST_TEST(level.stats()[1].hits == 0u);
    });
}

BOOST_AUTO_TEST_SUITE_END()
