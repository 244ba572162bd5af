#include "pool/observer_gate.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <thread>
#include <vector>

using pgcoro::detail::observer_gate;

namespace
{

struct counting : pgcoro::observer
{
    std::atomic<bool> over{false};
    std::atomic<int> calls{0};
    std::atomic<int> late{0};
    observer_gate* to_close = nullptr;

    void on_query(const pgcoro::query_event&) noexcept override
    {
        ++calls;
        if (over) ++late;
        if (to_close) to_close->close();
    }
    bool wants_spans() const noexcept override { return true; }
};

} // namespace

BOOST_AUTO_TEST_SUITE(pool_observer_gate)

BOOST_AUTO_TEST_CASE(closed_gate_passes_nothing)
{
    counting seen;
    observer_gate gate(&seen);
    gate.on_query({});
    BOOST_TEST(gate.wants_spans());
    gate.close();
    gate.on_query({});
    BOOST_TEST(seen.calls == 1);
    BOOST_TEST(!gate.wants_spans());
}

BOOST_AUTO_TEST_CASE(gate_without_an_observer_does_nothing)
{
    observer_gate gate(nullptr);
    gate.on_query({});
    BOOST_TEST(!gate.wants_spans());
    gate.close();
}

BOOST_AUTO_TEST_CASE(observer_may_close_the_gate_that_calls_it)
{
    counting seen;
    observer_gate gate(&seen);
    seen.to_close = &gate;
    gate.on_query({});
    BOOST_TEST(gate.is_closed());
}

BOOST_AUTO_TEST_CASE(close_waits_for_calls_on_other_threads)
{
    for (int round = 0; round < 200; ++round) {
        counting seen;
        observer_gate gate(&seen);
        std::atomic<bool> stop{false};
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i)
            threads.emplace_back([&] {
                while (!stop) gate.on_query({});
            });
        while (seen.calls < 10) std::this_thread::yield();
        gate.close();
        seen.over = true;
        std::this_thread::yield();
        stop = true;
        for (auto& t : threads) t.join();
        BOOST_TEST_REQUIRE(seen.late == 0);
    }
}

BOOST_AUTO_TEST_SUITE_END()
