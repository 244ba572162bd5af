#include "unit/resilience/simulated_time.hpp"

#include <pgcoro/observer/observer.hpp>
#include <pgcoro/resilience/circuit_breaker.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace pgcoro;

namespace
{

server_error server_says(const char* code, const char* severity = "ERROR")
{
    return {{.severity = severity, .sqlstate = pgcoro::sqlstate(code), .message = "no"}, "select 1"};
}

connection_error lost() { return {connection_failure::lost, "server closed the connection"}; }

struct listener : observer
{
    void on_breaker(const breaker_event& e) noexcept override
    {
        changes.push_back(std::string(e.name) + ": " + std::string(e.from) + " > " + std::string(e.to));
        if (breaker) seen = breaker->status().state; // would never come back if the lock were held
    }
    std::vector<std::string> changes;
    circuit_breaker* breaker = nullptr;
    std::optional<breaker_state> seen;
};

struct fixture
{
    test::simulated_time time;
    listener eyes;
    int calls = 0;

    circuit_breaker_options options()
    {
        auto o = circuit_breaker_options::consecutive(3, 60s);
        o.name = "primary";
        o.time = &time;
        o.observer = &eyes;
        return o;
    }

    template <class E>
    auto failing(E e)
    {
        return [this, e]() -> asio::awaitable<int> {
            ++calls;
            throw e;
            co_return 0;
        };
    }

    auto working()
    {
        return [this]() -> asio::awaitable<int> {
            ++calls;
            co_return 42;
        };
    }

    void trip(circuit_breaker& b)
    {
        for (int i = 0; i < 3; ++i) BOOST_CHECK_THROW(test::run(b.run(failing(lost()))), connection_error);
        BOOST_TEST((b.status().state == breaker_state::open));
        calls = 0;
    }
};

template <class E>
bool counts_as_failure(E e)
{
    return is_breaker_failure(std::make_exception_ptr(e));
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(a_circuit_breaker, fixture)

BOOST_AUTO_TEST_CASE(passes_results_and_exceptions_through_while_closed)
{
    circuit_breaker b(options());
    BOOST_TEST(test::run(b.run(working())) == 42);
    BOOST_CHECK_THROW(test::run(b.run(failing(std::out_of_range("mine")))), std::out_of_range);
    auto nothing = [this]() -> asio::awaitable<void> {
        ++calls;
        co_return;
    };
    test::run(b.run(nothing));
    BOOST_TEST(calls == 3);
    BOOST_TEST(eyes.changes.empty());
}

BOOST_AUTO_TEST_CASE(fails_callers_at_once_while_open_and_says_when_and_why)
{
    circuit_breaker b(options());
    trip(b);
    time.advance(18s);
    try {
        test::run(b.run(working()));
        BOOST_ERROR("the call went through");
    } catch (const circuit_open& e) {
        BOOST_TEST((e.retry_at() == time.now() + 42s));
        BOOST_TEST(e.is_transient());
        BOOST_TEST(
            std::string(e.what()) ==
            "primary: the call was not made, the circuit is open; next trial in 42 s; of 3 calls 3 failed "
            "and 0 were slow; last failure: server closed the connection");
    }
    BOOST_TEST(calls == 0);
    BOOST_TEST(b.status().rejected == 1u);
    BOOST_TEST((b.status().retry_at == time.now() + 42s));
}

BOOST_AUTO_TEST_CASE(tries_once_when_its_time_is_over_and_closes_on_success)
{
    circuit_breaker b(options());
    trip(b);
    time.advance(60s);
    BOOST_TEST(test::run(b.run(working())) == 42);
    BOOST_TEST((b.status().state == breaker_state::closed));
    BOOST_TEST(
        (eyes.changes == std::vector<std::string>{"primary: closed > open", "primary: open > half_open",
                                                  "primary: half_open > closed"}));
}

BOOST_AUTO_TEST_CASE(opens_again_for_as_long_when_the_trial_fails)
{
    circuit_breaker b(options());
    trip(b);
    time.advance(60s);
    BOOST_CHECK_THROW(test::run(b.run(failing(lost()))), connection_error);
    time.advance(59s);
    BOOST_CHECK_THROW(test::run(b.run(working())), circuit_open);
    time.advance(1s);
    BOOST_TEST(test::run(b.run(working())) == 42);
}

BOOST_AUTO_TEST_CASE(a_permit_may_outlive_its_breaker)
{
    std::optional<circuit_breaker::permit> dropped, told;
    {
        circuit_breaker breaker;
        dropped.emplace(breaker.acquire());
        told.emplace(breaker.acquire());
    }
    told->failed(std::make_exception_ptr(lost()));
    dropped.reset();
}

BOOST_AUTO_TEST_CASE(refuses_others_while_the_trial_is_under_way)
{
    circuit_breaker b(options());
    trip(b);
    time.advance(60s);
    auto trial = b.acquire();
    BOOST_CHECK_EXCEPTION(b.acquire(), circuit_open, [&](const circuit_open& e) {
        return e.retry_at() == time.now() &&
               std::string(e.what()) ==
                   "primary: the call was not made, the circuit is half-open and its trial "
                   "calls are under way";
    });
    trial.succeeded();
    BOOST_CHECK_NO_THROW(b.acquire());
}

BOOST_AUTO_TEST_CASE(gives_the_trial_to_another_when_it_is_cancelled)
{
    circuit_breaker b(options());
    trip(b);
    time.advance(60s);
    asio::io_context context;
    asio::cancellation_signal signal;
    std::exception_ptr ended;
    bool started = false;
    auto hanging = [&]() -> asio::awaitable<int> {
        const auto executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
        started = true;
        co_await timer.async_wait(asio::use_awaitable);
        co_return 0;
    };
    asio::co_spawn(
        context, b.run(hanging),
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e, int) { ended = e; }));
    while (!started) BOOST_TEST_REQUIRE(context.run_one() == 1u);
    BOOST_CHECK_THROW(b.acquire(), circuit_open);
    asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
    context.run();
    BOOST_TEST(is_cancellation(ended));
    BOOST_TEST((b.status().state == breaker_state::half_open));
    BOOST_TEST(test::run(b.run(working())) == 42);
    BOOST_TEST((b.status().state == breaker_state::closed));
}

BOOST_AUTO_TEST_CASE(gives_the_trial_to_another_when_its_coroutine_is_destroyed)
{
    circuit_breaker b(options());
    trip(b);
    time.advance(60s);
    {
        asio::io_context context;
        bool started = false;
        auto hanging = [&]() -> asio::awaitable<void> {
            const auto executor = co_await asio::this_coro::executor;
            asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
            started = true;
            co_await timer.async_wait(asio::use_awaitable);
        };
        asio::co_spawn(context, b.run(hanging), asio::detached);
        while (!started) BOOST_TEST_REQUIRE(context.run_one() == 1u);
        BOOST_CHECK_THROW(b.acquire(), circuit_open);
    }
    BOOST_TEST(test::run(b.run(working())) == 42);
}

BOOST_AUTO_TEST_CASE(moves_a_permit_without_giving_it_back_twice)
{
    auto o = options();
    o.half_open_calls = 2;
    circuit_breaker b(o);
    trip(b);
    time.advance(60s);
    auto one = b.acquire();
    auto two = b.acquire();
    BOOST_CHECK_THROW(b.acquire(), circuit_open);
    auto moved = std::move(one);
    BOOST_CHECK_THROW(b.acquire(), circuit_open);
    two = std::move(moved); // the second is given back, the first goes on
    auto three = b.acquire();
    BOOST_CHECK_THROW(b.acquire(), circuit_open);
    two.succeeded();
    two.succeeded(); // said already
    BOOST_TEST((b.status().state == breaker_state::half_open));
    three.succeeded();
    BOOST_TEST((b.status().state == breaker_state::closed));
}

BOOST_AUTO_TEST_CASE(takes_a_servers_answer_that_is_no_failure_for_a_success)
{
    circuit_breaker b(options());
    trip(b);
    time.advance(60s);
    BOOST_CHECK_THROW(test::run(b.run(failing(server_says("23505")))), server_error);
    BOOST_TEST((b.status().state == breaker_state::closed));
}

BOOST_AUTO_TEST_CASE(takes_the_callers_own_exception_for_no_call)
{
    circuit_breaker b(options());
    trip(b);
    time.advance(60s);
    BOOST_CHECK_THROW(test::run(b.run(failing(std::invalid_argument("mine")))), std::invalid_argument);
    BOOST_TEST((b.status().state == breaker_state::half_open));
    BOOST_TEST(b.status().calls == 0);
    BOOST_TEST(test::run(b.run(working())) == 42);
}

BOOST_AUTO_TEST_CASE(does_not_open_for_constraint_violations_deadlocks_or_cancellations_however_many)
{
    circuit_breaker b(options());
    for (int i = 0; i < 50; ++i) {
        BOOST_CHECK_THROW(test::run(b.run(failing(server_says("23505")))), server_error);
        BOOST_CHECK_THROW(test::run(b.run(failing(server_says("40P01")))), server_error);
        BOOST_CHECK_THROW(
            test::run(b.run(failing(boost::system::system_error(asio::error::operation_aborted)))),
            boost::system::system_error);
    }
    BOOST_TEST((b.status().state == breaker_state::closed));
    BOOST_TEST(b.status().failures == 0);
}

BOOST_AUTO_TEST_CASE(opens_for_what_the_caller_calls_a_failure)
{
    auto o = options();
    o.is_failure = [](const std::exception_ptr& e) {
        try {
            std::rethrow_exception(e);
        } catch (const std::out_of_range&) {
            return true;
        } catch (...) {
            return false;
        }
    };
    circuit_breaker b(o);
    for (int i = 0; i < 5; ++i) BOOST_CHECK_THROW(test::run(b.run(failing(lost()))), connection_error);
    BOOST_TEST((b.status().state == breaker_state::closed));
    for (int i = 0; i < 3; ++i)
        BOOST_CHECK_THROW(test::run(b.run(failing(std::out_of_range("x")))), std::out_of_range);
    BOOST_TEST((b.status().state == breaker_state::open));
}

BOOST_AUTO_TEST_CASE(gives_the_permit_back_when_the_callers_judgement_throws)
{
    auto o = options();
    o.is_failure = [this](const std::exception_ptr&) -> bool {
        if (calls > 3) throw std::logic_error("judge");
        return true;
    };
    circuit_breaker b(o);
    for (int i = 0; i < 3; ++i) BOOST_CHECK_THROW(test::run(b.run(failing(lost()))), connection_error);
    time.advance(60s);
    BOOST_CHECK_THROW(test::run(b.run(failing(lost()))), std::logic_error);
    BOOST_TEST(test::run(b.run(working())) == 42);
}

BOOST_AUTO_TEST_CASE(opens_for_calls_that_are_slow_and_says_so)
{
    auto o = options();
    o.slow_call = 2s;
    circuit_breaker b(o);
    auto slow = [this]() -> asio::awaitable<void> {
        time.advance(2s);
        co_return;
    };
    for (int i = 0; i < 3; ++i) test::run(b.run(slow));
    BOOST_CHECK_EXCEPTION(b.acquire(), circuit_open, [](const circuit_open& e) {
        return std::string(e.what()).ends_with("of 3 calls 0 failed and 3 were slow");
    });
}

BOOST_AUTO_TEST_CASE(tells_the_observer_without_holding_its_lock)
{
    circuit_breaker b(options());
    eyes.breaker = &b;
    for (int i = 0; i < 3; ++i) BOOST_CHECK_THROW(test::run(b.run(failing(lost()))), connection_error);
    BOOST_TEST((eyes.seen == breaker_state::open));
}

BOOST_AUTO_TEST_CASE(is_waited_out_by_a_retry_around_it)
{
    auto o = options();
    o.open_for = 1s;
    circuit_breaker b(o);
    trip(b);
    const retry_policy p{.name = "x", .max_attempts = 2, .backoff = backoff::fixed(2s)};
    auto call = [&]() -> asio::awaitable<int> { return b.run(working()); };
    BOOST_TEST(test::run(retry(p, call, retry_options{.time = &time})) == 42);
    BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(never_lets_more_trials_through_than_it_has_from_many_threads)
{
    auto o = circuit_breaker_options::consecutive(3, 1ns);
    o.half_open_calls = 2;
    circuit_breaker b(o);
    std::atomic<int> let_through = 0;
    std::atomic<int> refused = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 3000; ++i) {
                try {
                    auto permit = b.acquire();
                    ++let_through;
                    if ((i + t) % 3 == 0) continue; // given back
                    if ((i / 100) % 2)
                        permit.failed(std::make_exception_ptr(lost()));
                    else
                        permit.succeeded();
                } catch (const circuit_open&) {
                    ++refused;
                }
            }
        });
    for (auto& t : threads) t.join();
    BOOST_TEST(let_through + refused == 12000);
    BOOST_TEST(b.status().rejected == static_cast<unsigned>(refused));
    BOOST_TEST(b.status().opened > 0u);

    // No permit was lost on the way: bring it to open, and when its time is over there are two trials again.
    // One call at a time, because a trial of half-open may be done already.
    auto now_open = [&] { return b.status().state == breaker_state::open; };
    for (int i = 0; i < 100 && !now_open(); ++i) b.acquire().failed(std::make_exception_ptr(lost()));
    BOOST_TEST_REQUIRE(now_open());
    auto one = b.acquire();
    auto two = b.acquire();
    BOOST_CHECK_THROW(b.acquire(), circuit_open);
}

BOOST_AUTO_TEST_CASE(is_named_in_the_refusal_of_options_out_of_range)
{
    auto says = [](std::string text) {
        return [=](const std::invalid_argument& e) {
            BOOST_TEST(e.what() == "circuit breaker circuit breaker: " + text);
            return true;
        };
    };
    using options = circuit_breaker_options;
    auto check = [&](options o, const char* text) {
        BOOST_CHECK_EXCEPTION(circuit_breaker{std::move(o)}, std::invalid_argument, says(text));
    };
    check({.min_calls = 0}, "min_calls must be 1 or more, not 0");
    check({.window = count_window{10}, .min_calls = 11},
          "count_window::calls must be at least min_calls, 11, not 10");
    check({.window = time_window{0s}}, "time_window::length must be above 0, not 0 ns");
    check({.failure_rate = 0}, "failure_rate must be above 0 and at most 1, not 0");
    check({.failure_rate = 1.5}, "failure_rate must be above 0 and at most 1, not 1.5");
    check({.slow_call = 0ns}, "slow_call must be above 0, not 0 ns");
    check({.slow_call_rate = -1}, "slow_call_rate must be above 0 and at most 1, not -1");
    check({.open_for = -1s}, "open_for must be above 0, not -1 s");
    check({.half_open_calls = 0}, "half_open_calls must be 1 or more, not 0");
    check({.is_failure = nullptr}, "is_failure must be a function, not empty");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(a_breakers_failure)

BOOST_AUTO_TEST_CASE(is_what_says_that_the_server_is_sick_or_away)
{
    BOOST_TEST(counts_as_failure(lost()));
    BOOST_TEST(counts_as_failure(connection_error(connection_failure::refused, "refused")));
    BOOST_TEST(counts_as_failure(server_says("57P03", "FATAL")));
    BOOST_TEST(counts_as_failure(server_says("57P01", "FATAL")));
    BOOST_TEST(counts_as_failure(server_says("53300", "FATAL")));
    BOOST_TEST(counts_as_failure(server_says("08006")));
    BOOST_TEST(counts_as_failure(pool_timeout("full")));
    BOOST_TEST(counts_as_failure(deadline_exceeded("late")));
    BOOST_TEST(counts_as_failure(boost::system::system_error(asio::error::connection_refused)));
}

BOOST_AUTO_TEST_CASE(is_not_what_a_healthy_server_answers_nor_what_the_caller_did)
{
    for (auto* code : {"23505", "23503", "40001", "40P01", "42601", "22003", "55P03", "57014", "25006"})
        BOOST_TEST(!counts_as_failure(server_says(code)), code);
    BOOST_TEST(!counts_as_failure(connection_error(connection_failure::options, "port 0")));
    BOOST_TEST(!counts_as_failure(circuit_open("inner", {})));
    BOOST_TEST(!counts_as_failure(mapping_error("null")));
    BOOST_TEST(!counts_as_failure(std::invalid_argument("x")));
    BOOST_TEST(!counts_as_failure(boost::system::system_error(asio::error::operation_aborted)));
    BOOST_TEST(!counts_as_failure(1));
    BOOST_TEST(!is_breaker_failure(nullptr));
}

BOOST_AUTO_TEST_SUITE_END()
