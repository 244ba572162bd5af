// The pool's rules, one example each. That they hold together is the simulation's part.
#include "pool/core.hpp"

#include <boost/test/unit_test.hpp>

#include <vector>

using namespace std::chrono_literals;
using pgcoro::close_reason;
using pgcoro::pool_options;
using core = pgcoro::detail::pool_core;
using slot_id = core::slot_id;

namespace
{

pool_options options_of(std::size_t size, std::size_t overflow = 0)
{
    pool_options o;
    o.size = size;
    o.max_overflow = overflow;
    return o;
}

// A core with a clock that stands still until a test moves it.
struct example
{
    explicit example(pool_options o)
        : pool(o, 1)
    {}

    core pool;
    core::time_point now{1h};

    core::waiter caller(std::chrono::milliseconds patience = 1h) const { return core::waiter(now + patience); }
    core::actions enqueue(core::waiter& w)
    {
        core::actions todo;
        BOOST_TEST(pool.enqueue(w, false, now, todo));
        return todo;
    }
    core::actions tick(std::chrono::milliseconds later)
    {
        now += later;
        core::actions todo;
        pool.tick(now, todo);
        return todo;
    }
    core::actions connected(slot_id slot)
    {
        core::actions todo;
        pool.connected(slot, now, todo);
        return todo;
    }
    core::actions connect_failed(slot_id slot, bool permanent)
    {
        core::actions todo;
        pool.connect_failed(slot, permanent, now, todo);
        return todo;
    }
    core::actions checked(slot_id slot, bool alive)
    {
        core::actions todo;
        pool.checked(slot, alive, now, todo);
        return todo;
    }
    core::actions release(slot_id slot, core::returned as = core::returned::clean)
    {
        core::actions todo;
        pool.release(slot, as, now, todo);
        return todo;
    }
    core::actions evict()
    {
        core::actions todo;
        pool.evict(now, todo);
        return todo;
    }
    core::actions warm(std::size_t n)
    {
        core::actions todo;
        pool.warm(n, now, todo);
        return todo;
    }
    // Connections that are all idle.
    std::vector<slot_id> fill(std::size_t n)
    {
        std::vector<slot_id> opened;
        while (opened.size() < n) {
            auto w = caller();
            auto todo = enqueue(w);
            BOOST_TEST_REQUIRE(todo.connect.size() == 1u);
            opened.push_back(todo.connect[0]);
            BOOST_TEST_REQUIRE(connected(opened.back()).granted.size() == 1u);
        }
        for (auto slot : opened) release(slot);
        return opened;
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(pool_core_rules)

BOOST_AUTO_TEST_CASE(returned_connection_goes_to_longest_waiter)
{
    example e(options_of(1));
    auto slot = e.fill(1)[0];
    e.pool.try_acquire(e.now);
    auto first = e.caller();
    auto second = e.caller();
    e.enqueue(first);
    e.enqueue(second);
    auto todo = e.release(slot);
    BOOST_TEST_REQUIRE(todo.granted.size() == 1u);
    BOOST_TEST(todo.granted[0].first == &first);
    BOOST_TEST(e.pool.cancel(second));
}

BOOST_AUTO_TEST_CASE(long_idle_connection_is_checked_while_caller_waits)
{
    example e(options_of(1, 1));
    auto slot = e.fill(1)[0];
    e.now += 1min;
    BOOST_TEST(!e.pool.try_acquire(e.now).has_value());
    auto w = e.caller();
    auto todo = e.enqueue(w);
    BOOST_TEST_REQUIRE(todo.check.size() == 1u);
    BOOST_TEST(todo.check[0] == slot);
    BOOST_TEST(todo.connect.empty()); // the caller relies on the check
    todo = e.checked(slot, true);
    BOOST_TEST_REQUIRE(todo.granted.size() == 1u);
    BOOST_TEST((todo.granted[0].second.need == core::check::none));
}

BOOST_AUTO_TEST_CASE(silent_check_no_longer_holds_up_a_connect)
{
    example e(options_of(1, 1));
    e.fill(1);
    e.now += 1min;
    auto w = e.caller();
    e.enqueue(w);
    BOOST_TEST((e.pool.next_tick() <= e.now + core::silent_check_after));
    auto todo = e.tick(core::silent_check_after);
    BOOST_TEST(todo.connect.size() == 1u);
    BOOST_TEST(e.pool.cancel(w));
}

BOOST_AUTO_TEST_CASE(after_one_dead_others_are_checked_beside_a_connect)
{
    example e(options_of(3, 3));
    e.fill(3);
    e.now += 1min;
    auto w = e.caller();
    auto first = e.enqueue(w).check[0];
    auto todo = e.checked(first, false);
    BOOST_TEST_REQUIRE(todo.close.size() == 1u);
    BOOST_TEST((todo.close[0].second == close_reason::broken));
    BOOST_TEST(todo.check.size() == 1u);
    BOOST_TEST(todo.connect.size() == 1u);
    BOOST_TEST(e.pool.cancel(w));
}

BOOST_AUTO_TEST_CASE(zero_limit_is_refused_at_once_unless_one_is_idle)
{
    example e(options_of(1));
    auto w = e.caller(0ms);
    auto todo = e.enqueue(w);
    BOOST_TEST_REQUIRE(todo.refused.size() == 1u);
    BOOST_TEST((todo.refused[0].second == core::refusal::timeout));
    BOOST_TEST_REQUIRE(todo.connect.size() == 1u); // for the next caller
    e.connected(todo.connect[0]);
    auto second = e.caller(-1h);
    BOOST_TEST(e.enqueue(second).granted.size() == 1u);
}

BOOST_AUTO_TEST_CASE(unlimited_wait_needs_no_timer)
{
    auto o = options_of(1);
    o.recycle_after = 0ms;
    example e(o);
    e.fill(1);
    e.pool.try_acquire(e.now);
    core::waiter w(core::time_point::max());
    e.enqueue(w);
    BOOST_TEST((e.pool.next_tick() == core::time_point::max()));
    BOOST_TEST(e.tick(24h * 365).refused.empty());
    BOOST_TEST(e.pool.cancel(w));
}

BOOST_AUTO_TEST_CASE(permanent_failure_refuses_all_when_none_is_open)
{
    example e(options_of(4));
    auto first = e.caller();
    auto second = e.caller();
    auto slot = e.enqueue(first).connect[0];
    e.enqueue(second); // another connect is under way
    auto todo = e.connect_failed(slot, true);
    BOOST_TEST_REQUIRE(todo.refused.size() == 2u);
    BOOST_TEST((todo.refused[0].second == core::refusal::connect_failed));
}

BOOST_AUTO_TEST_CASE(permanent_failure_lets_wait_for_an_open_connection)
{
    example e(options_of(2));
    e.fill(1);
    e.pool.try_acquire(e.now);
    auto w = e.caller();
    auto slot = e.enqueue(w).connect[0];
    BOOST_TEST(e.connect_failed(slot, true).refused.empty());
    BOOST_TEST(e.pool.cancel(w));
}

BOOST_AUTO_TEST_CASE(hung_logins_do_not_block_other_connects)
{
    auto o = options_of(4);
    o.max_connecting = 1;
    example e(o);
    auto first = e.caller();
    auto second = e.caller();
    BOOST_TEST(e.enqueue(first).connect.size() == 1u);
    BOOST_TEST(e.enqueue(second).connect.empty());
    BOOST_TEST(e.tick(core::silent_login_after - 1ms).connect.empty());
    auto todo = e.tick(1ms);
    BOOST_TEST_REQUIRE(todo.connect.size() == 1u);
    BOOST_TEST(e.connected(todo.connect[0]).granted.size() == 1u);
    BOOST_TEST(e.pool.cancel(second));
}

BOOST_AUTO_TEST_CASE(idle_timeout_leaves_the_warm_base_open)
{
    auto o = options_of(3);
    o.idle_timeout = 1s;
    o.recycle_after = 0ms;
    example e(o);
    for (auto slot : e.warm(2).connect) e.connected(slot);
    auto first = e.pool.try_acquire(e.now);
    auto second = e.pool.try_acquire(e.now);
    auto w = e.caller();
    auto third = e.enqueue(w).connect[0];
    e.connected(third);
    for (auto slot : {first->slot, second->slot, third}) e.release(slot);
    auto todo = e.tick(2s);
    BOOST_TEST_REQUIRE(todo.close.size() == 1u);
    BOOST_TEST((todo.close[0].second == close_reason::idle));
    BOOST_TEST(todo.connect.empty());
    BOOST_TEST(e.tick(1h).close.empty());
}

BOOST_AUTO_TEST_CASE(overflow_lingers_before_it_is_closed)
{
    example e(options_of(1, 1));
    e.fill(2);
    BOOST_TEST(e.pool.count().idle == 2u);
    BOOST_TEST(e.tick(4s).close.empty());
    auto todo = e.tick(1s);
    BOOST_TEST_REQUIRE(todo.close.size() == 1u);
    BOOST_TEST((todo.close[0].second == close_reason::overflow));
}

BOOST_AUTO_TEST_CASE(overflow_without_linger_is_closed_on_return)
{
    auto o = options_of(1, 1);
    o.overflow_linger = 0ms;
    example e(o);
    e.fill(2);
    BOOST_TEST(e.pool.count().idle == 1u);
}

BOOST_AUTO_TEST_CASE(connect_begun_before_evict_is_replaced_on_arrival)
{
    example e(options_of(1));
    auto w = e.caller();
    auto old = e.enqueue(w).connect[0];
    e.evict();
    auto todo = e.connected(old);
    BOOST_TEST(todo.granted.empty());
    BOOST_TEST_REQUIRE(todo.close.size() == 1u);
    BOOST_TEST((todo.close[0].second == close_reason::evicted));
    BOOST_TEST_REQUIRE(todo.connect.size() == 1u);
    BOOST_TEST(e.connected(todo.connect[0]).granted.size() == 1u);
}

BOOST_AUTO_TEST_CASE(wrong_password_from_before_evict_refuses_nobody)
{
    example e(options_of(1));
    auto w = e.caller();
    auto old = e.enqueue(w).connect[0];
    e.evict();
    auto todo = e.connect_failed(old, true);
    BOOST_TEST(todo.refused.empty());
    BOOST_TEST(todo.connect.size() == 1u); // at once, with what is valid now
    BOOST_TEST(e.pool.cancel(w));
}

BOOST_AUTO_TEST_SUITE_END()
