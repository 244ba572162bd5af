#include "unit/resilience/simulated_time.hpp"

#include <pgcoro/observer/observer.hpp>
#include <pgcoro/resilience/retry.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace pgcoro;
using duration = std::chrono::nanoseconds;

namespace
{

server_error deadlock(const std::string& message = "deadlock detected")
{
    return {{.severity = "ERROR", .sqlstate = sqlstates::deadlock_detected, .message = message}, "update t"};
}

server_error syntax_error()
{
    return {{.severity = "ERROR", .sqlstate = pgcoro::sqlstate("42601"), .message = "syntax error"}, "selec"};
}

retry_policy policy(int attempts, duration step = 100ms)
{
    return {.name = "test", .max_attempts = attempts, .backoff = backoff::linear(step, 1h, jitter::none)};
}

struct listener : observer
{
    struct told
    {
        std::string name, sqlstate, why;
        int attempt;
        duration delay;
    };
    void on_retry(const retry_event& e) noexcept override
    {
        retries.push_back(
            {std::string(e.name), std::string(e.sqlstate), std::string(e.why), e.attempt, duration(e.delay)});
    }
    std::vector<told> retries;
};

struct fixture
{
    test::simulated_time time;
    retry_statistics statistics;
    listener eyes;
    int calls = 0;

    retry_options options()
    {
        return {.operation = "transfer", .statistics = &statistics, .observer = &eyes, .time = &time};
    }

    // Fails so often with a deadlock, then answers 42.
    auto failing(int times)
    {
        return [this, times]() -> asio::awaitable<int> {
            if (++calls <= times) throw deadlock("deadlock " + std::to_string(calls));
            co_return 42;
        };
    }

    retry_counts counts() const { return statistics.of("test").total; }
};

template <class E>
E caught(auto run)
{
    try {
        run();
    } catch (const E& e) {
        return e;
    }
    throw std::logic_error("nothing was thrown");
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

} // namespace

BOOST_FIXTURE_TEST_SUITE(a_retry, fixture)

BOOST_AUTO_TEST_CASE(calls_once_and_does_not_wait_when_all_is_well)
{
    BOOST_TEST(test::run(retry(policy(3), failing(0), options())) == 42);
    BOOST_TEST(calls == 1);
    BOOST_TEST(time.sleeps.empty());
    BOOST_TEST(eyes.retries.empty());
    BOOST_TEST(counts().successes == 1u);
    BOOST_TEST(counts().attempts == 1u);
}

BOOST_AUTO_TEST_CASE(calls_again_after_the_policys_delays_until_it_succeeds)
{
    BOOST_TEST(test::run(retry(policy(5), failing(3), options())) == 42);
    BOOST_TEST(calls == 4);
    BOOST_TEST((time.sleeps == std::vector<duration>{100ms, 200ms, 300ms}));
    BOOST_TEST(counts().successes == 1u);
    BOOST_TEST(counts().attempts == 4u);
    BOOST_TEST((counts().average_delay() == 200ms));
    BOOST_TEST(statistics.of("test").operations.at("transfer").retries() == 3u);
}

BOOST_AUTO_TEST_CASE(returns_what_is_not_copyable_nor_default_constructible_and_nothing_at_all)
{
    struct result
    {
        explicit result(int n)
            : value(std::make_unique<int>(n))
        {}
        std::unique_ptr<int> value;
    };
    auto op = []() -> asio::awaitable<result> { co_return result(7); };
    BOOST_TEST(*test::run(retry(policy(3), op, options())).value == 7);
    auto nothing = [this]() -> asio::awaitable<void> {
        if (++calls < 3) throw deadlock();
        co_return;
    };
    test::run(retry(policy(3), nothing, options()));
    BOOST_TEST(calls == 3);
}

BOOST_AUTO_TEST_CASE(keeps_its_operation_alive_while_it_runs)
{
    auto work = [&] {
        auto owned = std::make_unique<int>(5);
        return retry(
            policy(3),
            [this, owned = std::move(owned)]() -> asio::awaitable<int> {
                if (++calls < 3) throw deadlock();
                co_return *owned;
            },
            options());
    }();
    BOOST_TEST(test::run(std::move(work)) == 5);
}

BOOST_AUTO_TEST_CASE(throws_the_last_attempts_own_error_with_a_note_of_all_attempts)
{
    const auto e = caught<server_error>([&] { test::run(retry(policy(3), failing(9), options())); });
    BOOST_TEST(calls == 3);
    BOOST_TEST(e.message() == "deadlock 3");
    BOOST_TEST((e.sqlstate() == sqlstates::deadlock_detected));
    const std::string what = e.what();
    BOOST_TEST(what.starts_with("ERROR 40P01 (deadlock_detected): deadlock 3\n"));
    BOOST_TEST(contains(what,
                        "\n  after 3 attempts in 300 ms (test, transfer): all attempts are made"
                        "\n    attempt 1: ERROR 40P01 (deadlock_detected): deadlock 1; then waited 100 ms"
                        "\n    attempt 2: ERROR 40P01 (deadlock_detected): deadlock 2; then waited 200 ms"),
               what);
    BOOST_TEST(counts().failures == 1u);
    BOOST_TEST(counts().attempts == 3u);
}

BOOST_AUTO_TEST_CASE(keeps_the_note_short_after_very_many_attempts)
{
    const auto e =
        caught<server_error>([&] { test::run(retry(policy(5000, 1ns), failing(9999), options())); });
    BOOST_TEST(calls == 5000);
    const std::string what = e.what();
    BOOST_TEST(contains(what, "after 5000 attempts"));
    BOOST_TEST(contains(what, "attempt 10: "));
    BOOST_TEST(contains(what, "and so on"));
    BOOST_TEST(what.size() < 2000u);
}

BOOST_AUTO_TEST_CASE(does_not_repeat_what_is_not_transient_and_leaves_that_error_as_it_was)
{
    auto op = [this]() -> asio::awaitable<void> {
        ++calls;
        throw syntax_error();
        co_return;
    };
    const auto e = caught<server_error>([&] { test::run(retry(policy(3), op, options())); });
    BOOST_TEST(calls == 1);
    BOOST_TEST(std::string(e.what()) == std::string(syntax_error().what()));
    BOOST_TEST(counts().failures == 1u);
    BOOST_TEST(time.sleeps.empty());
}

BOOST_AUTO_TEST_CASE(tells_of_earlier_attempts_when_a_later_one_fails_for_good)
{
    auto op = [this]() -> asio::awaitable<void> {
        if (++calls == 1) throw deadlock();
        throw syntax_error();
        co_return;
    };
    const auto e = caught<server_error>([&] { test::run(retry(policy(3), op, options())); });
    BOOST_TEST(calls == 2);
    BOOST_TEST(contains(e.what(), "after 2 attempts"));
    BOOST_TEST(contains(e.what(), "such an error is not retried"));
}

BOOST_AUTO_TEST_CASE(passes_an_exception_of_the_operations_own_on_unchanged)
{
    struct own : std::runtime_error
    {
        using std::runtime_error::runtime_error;
    };
    auto op = [this]() -> asio::awaitable<int> {
        ++calls;
        throw own("mine");
        co_return 0;
    };
    BOOST_TEST(caught<own>([&] { test::run(retry(policy(3), op, options())); }).what() ==
               std::string("mine"));
    BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(asks_a_predicate_of_the_callers_in_any_of_its_three_forms)
{
    auto op = [this]() -> asio::awaitable<int> {
        ++calls;
        throw std::out_of_range("later");
        co_return 0;
    };
    auto of_std = [](const std::exception& e) { return std::string(e.what()) == "later"; };
    BOOST_CHECK_THROW(test::run(retry(policy(3), op, of_std, options())), std::out_of_range);
    BOOST_TEST(calls == 3);

    calls = 0;
    auto of_pointer = [](const std::exception_ptr& e) { return e != nullptr; };
    BOOST_CHECK_THROW(test::run(retry(policy(3), op, of_pointer, options())), std::out_of_range);
    BOOST_TEST(calls == 3);

    calls = 0;
    auto of_error = [](const error&) { return true; };
    BOOST_CHECK_THROW(test::run(retry(policy(3), op, of_error, options())), std::out_of_range);
    BOOST_TEST(calls == 1); // it is none of pgcoro's errors

    calls = 0;
    auto unique = [](const error& e) { return e.is_constraint(); };
    BOOST_CHECK_THROW(test::run(retry(policy(3), failing(9), unique, options())), server_error);
    BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(with_one_attempt_leaves_the_error_without_a_note)
{
    const auto e = caught<server_error>([&] { test::run(retry(policy(1), failing(9), options())); });
    BOOST_TEST(!contains(e.what(), "attempt"));
}

BOOST_AUTO_TEST_CASE(tells_the_observer_of_each_retry_before_it_waits)
{
    test::run(retry(policy(3), failing(2), options()));
    BOOST_TEST_REQUIRE(eyes.retries.size() == 2u);
    BOOST_TEST(eyes.retries[0].name == "transfer");
    BOOST_TEST(eyes.retries[0].attempt == 1);
    BOOST_TEST(eyes.retries[0].sqlstate == "40P01");
    BOOST_TEST(eyes.retries[0].why == "ERROR 40P01 (deadlock_detected): deadlock 1");
    BOOST_TEST((eyes.retries[0].delay == 100ms));
    BOOST_TEST(eyes.retries[1].attempt == 2);
    BOOST_TEST((eyes.retries[1].delay == 200ms));
}

BOOST_AUTO_TEST_CASE(names_the_policy_to_the_observer_when_the_operation_has_no_name)
{
    auto o = options();
    o.operation.clear();
    test::run(retry(policy(3), failing(1), o));
    BOOST_TEST(eyes.retries.at(0).name == "test");
}

BOOST_AUTO_TEST_CASE(never_waits_until_or_beyond_the_deadline)
{
    auto o = options();
    o.deadline = deadline::after(300ms, time.now());
    const auto e = caught<server_error>([&] { test::run(retry(policy(9), failing(9), o)); });
    // 100 ms, and 200 ms would end at the deadline itself.
    BOOST_TEST((time.sleeps == std::vector<duration>{100ms}));
    BOOST_TEST(calls == 2);
    BOOST_TEST(contains(e.what(), "the next attempt would come after the deadline"));

    calls = 0;
    time.sleeps.clear();
    o.deadline = deadline::after(300ms + 1ns, time.now());
    BOOST_CHECK_THROW(test::run(retry(policy(9), failing(9), o)), server_error);
    BOOST_TEST((time.sleeps == std::vector<duration>{100ms, 200ms}));
}

BOOST_AUTO_TEST_CASE(says_so_when_the_deadline_forbids_even_the_first_retry)
{
    auto o = options();
    o.deadline = deadline::after(1ms, time.now());
    const auto e = caught<server_error>([&] { test::run(retry(policy(9), failing(9), o)); });
    BOOST_TEST(
        contains(e.what(), "after 1 attempt in 0 ns (test, transfer): the next attempt would come after"));
}

BOOST_AUTO_TEST_CASE(starts_no_attempt_after_the_policys_time)
{
    auto p = policy(9);
    p.max_elapsed = 310ms;
    auto slow = [this]() -> asio::awaitable<int> {
        ++calls;
        time.advance(5ms);
        throw deadlock();
        co_return 0;
    };
    // 5 + 100 + 5 + 200 = 310, and then no more.
    const auto e = caught<server_error>([&] { test::run(retry(p, slow, options())); });
    BOOST_TEST(calls == 3);
    BOOST_TEST(contains(e.what(), "the policy's time is used up"));

    calls = 0;
    p.max_elapsed = 309ms;
    BOOST_CHECK_THROW(test::run(retry(p, slow, options())), server_error);
    BOOST_TEST(calls == 2);
}

BOOST_AUTO_TEST_CASE(takes_a_token_of_the_budget_for_each_retry_and_stops_when_it_is_empty)
{
    retry_budget budget({.ratio = 0.5, .min_per_second = 0, .capacity = 2}, time.now());
    auto o = options();
    o.budget = &budget;
    const auto e = caught<server_error>([&] { test::run(retry(policy(9), failing(9), o)); });
    BOOST_TEST(calls == 3);
    BOOST_TEST(contains(e.what(), "the retry budget is used up"));
    BOOST_TEST(budget.available(time.now()) == 0);

    calls = 9;
    test::run(retry(policy(9), failing(9), o));
    BOOST_TEST(budget.available(time.now()) == 0.5);
}

BOOST_AUTO_TEST_CASE(takes_no_token_for_a_retry_that_something_else_forbids)
{
    retry_budget budget({.ratio = 0, .min_per_second = 0, .capacity = 5}, time.now());
    auto o = options();
    o.budget = &budget;
    BOOST_CHECK_THROW(test::run(retry(policy(1), failing(9), o)), server_error);
    o.deadline = deadline::at(time.now());
    BOOST_CHECK_THROW(test::run(retry(policy(9), failing(9), o)), server_error);
    BOOST_TEST(budget.available(time.now()) == 5);
}

BOOST_AUTO_TEST_CASE(never_repeats_a_cancelled_attempt_whatever_the_predicate_says)
{
    auto op = [this]() -> asio::awaitable<int> {
        ++calls;
        throw boost::system::system_error(asio::error::operation_aborted);
        co_return 0;
    };
    auto always = [](const std::exception_ptr&) { return true; };
    const auto e =
        caught<boost::system::system_error>([&] { test::run(retry(policy(9), op, always, options())); });
    BOOST_TEST(e.code() == asio::error::operation_aborted);
    BOOST_TEST(calls == 1);
    BOOST_TEST(counts().cancelled == 1u);
    BOOST_TEST(counts().failures == 0u);
}

BOOST_AUTO_TEST_CASE(ends_its_delay_when_cancelled)
{
    time.sleeps_for_ever = true;
    asio::io_context context;
    asio::cancellation_signal signal;
    std::exception_ptr ended;
    asio::co_spawn(
        context, retry(policy(9), failing(9), options()),
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e, int) { ended = e; }));
    while (time.sleeps.empty()) BOOST_TEST_REQUIRE(context.run_one() == 1u);
    asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
    context.run();
    BOOST_TEST(is_cancellation(ended));
    BOOST_TEST(calls == 1);
    BOOST_TEST(counts().cancelled == 1u);
    BOOST_TEST(counts().attempts == 1u); // the second never started
}

BOOST_AUTO_TEST_CASE(does_not_repeat_when_cancelled_even_if_the_attempt_made_another_error_of_it)
{
    asio::io_context context;
    asio::cancellation_signal signal;
    std::exception_ptr ended;
    auto op = [&]() -> asio::awaitable<int> {
        ++calls;
        co_await asio::post(context, asio::use_awaitable);
        signal.emit(asio::cancellation_type::terminal);
        throw deadlock();
        co_return 0;
    };
    asio::co_spawn(
        context, retry(policy(9), op, options()),
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e, int) { ended = e; }));
    context.run();
    BOOST_CHECK_THROW(std::rethrow_exception(ended), server_error);
    BOOST_TEST(calls == 1);
    BOOST_TEST(counts().cancelled == 1u);
}

BOOST_AUTO_TEST_CASE(counts_as_cancelled_when_its_coroutine_is_destroyed)
{
    time.sleeps_for_ever = true;
    {
        asio::io_context context;
        asio::co_spawn(context, retry(policy(9), failing(9), options()), asio::detached);
        while (time.sleeps.empty()) BOOST_TEST_REQUIRE(context.run_one() == 1u);
    }
    BOOST_TEST(counts().cancelled == 1u);
}

BOOST_AUTO_TEST_CASE(waits_for_an_open_circuits_next_trial_when_that_is_near)
{
    auto op = [this]() -> asio::awaitable<int> {
        if (++calls == 1) throw circuit_open("open", time.now() + 700ms);
        co_return 1;
    };
    retry_policy p = policy(3);
    p.backoff = backoff::linear(100ms, 1s, jitter::none);
    test::run(retry(p, op, options()));
    BOOST_TEST((time.sleeps == std::vector<duration>{700ms}));
}

BOOST_AUTO_TEST_CASE(gives_up_at_once_when_a_circuit_stays_open_for_longer_than_any_delay)
{
    auto op = [this]() -> asio::awaitable<int> {
        ++calls;
        throw circuit_open("open", time.now() + 60s);
        co_return 1;
    };
    const auto e = caught<circuit_open>([&] { test::run(retry(database_retry(), op, options())); });
    BOOST_TEST(calls == 1);
    BOOST_TEST(time.sleeps.empty());
    BOOST_TEST(contains(e.what(), "the circuit breaker stays open for too long to wait"));
}

BOOST_AUTO_TEST_CASE(refuses_a_policy_out_of_range_before_it_calls)
{
    BOOST_CHECK_THROW(test::run(retry(policy(0), failing(0), options())), std::invalid_argument);
    BOOST_TEST(calls == 0);
}

BOOST_AUTO_TEST_CASE(runs_on_the_real_clock_when_given_none)
{
    retry_policy p{.name = "real", .max_attempts = 3, .backoff = backoff::fixed(1ns)};
    BOOST_TEST(test::run(retry(p, failing(2))) == 42);
    BOOST_TEST(calls == 3);
}

BOOST_AUTO_TEST_CASE(leaves_copies_of_an_error_without_its_note)
{
    std::optional<server_error> copy;
    auto op = [&]() -> asio::awaitable<int> {
        server_error e = deadlock();
        copy = e;
        throw e;
        co_return 0;
    };
    const auto e = caught<server_error>([&] { test::run(retry(policy(2), op, options())); });
    BOOST_TEST(contains(e.what(), "after 2 attempts"));
    BOOST_TEST(!contains(copy->what(), "after 2 attempts"));
}

BOOST_AUTO_TEST_SUITE_END()
