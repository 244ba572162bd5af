#include "resilience/breaker_core.hpp"

#include <boost/test/unit_test.hpp>

#include <deque>
#include <random>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace pgcoro;
using namespace pgcoro::detail;
using duration = breaker_core::duration;
using time_point = breaker_core::time_point;

namespace
{

constexpr time_point start(1h);

// A letter an event, as the table below has them.
struct player
{
    explicit player(const circuit_breaker_options& o)
        : options(o)
        , core(options)
    {}

    circuit_breaker_options options;
    breaker_core core;
    time_point now = start;
    std::deque<std::uint64_t> under_way;

    // a: ask for a call   s, f, n: the oldest call ends in success, failure, nothing   S, F: the same, but
    // slow t: a second passes   T: the open time passes The answer to each event: + let through, - refused, .
    // nothing changed, or the state that was entered: C, O, H (for an admission that changes the state, + is
    // left out).
    char play(char event)
    {
        std::optional<state_change> change;
        char answer = '.';
        switch (event) {
        case 'a': {
            const auto admission = core.admit(now);
            if (admission.allowed) under_way.push_back(admission.period);
            answer = admission.allowed ? '+' : '-';
            change = admission.change;
            break;
        }
        case 't':
            now += 1s;
            break;
        case 'T':
            now += options.open_for;
            break;
        default: {
            const auto period = under_way.front();
            under_way.pop_front();
            const bool slow = event == 'S' || event == 'F';
            const auto outcome = event == 's' || event == 'S'   ? call_outcome::success
                                 : event == 'f' || event == 'F' ? call_outcome::failure
                                                                : call_outcome::none;
            change = core.ended(period, outcome, slow ? options.slow_call : 0ns, now);
        }
        }
        if (!change) return answer;
        BOOST_TEST((change->to == core.status(now).state));
        return change->to == breaker_state::closed ? 'C' : change->to == breaker_state::open ? 'O' : 'H';
    }

    std::string play(const std::string& events)
    {
        std::string answers;
        for (char event : events) answers += play(event);
        return answers;
    }
};

circuit_breaker_options three() { return circuit_breaker_options::consecutive(3, 60s); }

circuit_breaker_options half_of_four()
{
    return {.window = count_window{4}, .min_calls = 4, .failure_rate = 0.5, .open_for = 60s};
}

circuit_breaker_options slow_ones()
{
    auto o = half_of_four();
    o.failure_rate = 1;
    o.slow_call = 2s;
    o.slow_call_rate = 0.5;
    return o;
}

circuit_breaker_options three_trials()
{
    auto o = three();
    o.failure_rate = 0.6;
    o.half_open_calls = 3;
    return o;
}

circuit_breaker_options ten_seconds()
{
    return {.window = time_window{10s}, .min_calls = 2, .failure_rate = 1, .open_for = 60s};
}

struct story
{
    const char* behaviour;
    circuit_breaker_options options;
    std::string events;
    std::string answers;
};

const std::vector<story> stories{
    {"stays closed while calls succeed", three(), "asasasasas", "+.+.+.+.+."},
    {"opens at the third failure in a row", three(), "afafafa", "+.+.+O-"},
    {"does not open when a success comes between", three(), "afafasafafaf", "+.+.+.+.+.+O"},
    {"does not count a call that says nothing", three(), "afafananaf", "+.+.+.+.+O"},
    {"stays open until its time is over", three(), "afafaftaTa", "+.+.+O.-.H"},
    {"lets one trial through, and closes when it succeeds", three(), "afafafTaasa", "+.+.+O.H-C+"},
    {"opens again when the trial fails", three(), "afafafTafaTas", "+.+.+O.HO-.HC"},
    {"begins a new count when it closes", three(), "afafafTasafafaf", "+.+.+O.HC+.+.+O"},
    {"gives a cancelled trial to another", three(), "afafafTaanas", "+.+.+O.H-.+C"},
    {"does not count what began before it opened", three(), "aaaaafffffa", "+++++..O..-"},
    {"does not take a late success for a trial's", three(), "aaaafffTasas", "++++..O.H.-C"},
    {"does not take a late failure for a trial's", three(), "aaaafffTafs", "++++..O.H.C"},
    {"does not give a trial back for a late cancellation", three(), "aaaafffTana", "++++..O.H.-"},
    {"opens at the rate, but not below the least number of calls", half_of_four(), "afafaf", "+.+.+."},
    {"opens when a success makes the number of calls enough", half_of_four(), "afafasas", "+.+.+.+O"},
    {"does not open below the rate", half_of_four(), "afasasasasas", "+.+.+.+.+.+."},
    {"forgets the oldest call", half_of_four(), "afasasasafasaf", "+.+.+.+.+.+.+O"},
    {"opens for slow calls that succeed", slow_ones(), "asaSasaSa", "+.+.+.+O-"},
    {"opens for slow calls that fail", slow_ones(), "aFasaFas", "+.+.+.+O"},
    {"opens again when the trial is slow", slow_ones(), "aSaSasasTaS", "+.+.+.+O.HO"},
    {"waits for all trials before it closes", three_trials(), "afafafTaaaasss", "+.+.+O.H++-..C"},
    {"opens as soon as the trials' verdict is certain", three_trials(), "afafafTaaaff", "+.+.+O.H++.O"},
    {"closes when fewer trials fail than the rate", three_trials(), "afafafTaaafss", "+.+.+O.H++..C"},
    {"does not wait for a trial that outlived the verdict", three_trials(), "afafafTaaafffTas",
     "+.+.+O.H++.O..H."},
    {"opens for failures within the time", ten_seconds(), "afttttttttaf", "+.........+O"},
    {"forgets failures after the time", ten_seconds(), "afttttttttttaf", "+...........+."},
};

// The same rules by the most simple-minded means: every call of the period is kept and counted anew.
struct model
{
    explicit model(const circuit_breaker_options& o)
        : options(o)
    {}

    struct call
    {
        time_point at;
        bool failed, slow;
    };

    const circuit_breaker_options& options;
    breaker_state state = breaker_state::closed;
    int period = 0;
    std::vector<call> calls; // that ended in this period and count
    int given = 0, given_back = 0;
    time_point opened_at{};

    bool admit(time_point now)
    {
        if (state == breaker_state::open && now - opened_at >= options.open_for)
            enter(breaker_state::half_open, now);
        if (state == breaker_state::open) return false;
        if (state == breaker_state::half_open && given - given_back >= options.half_open_calls) return false;
        ++given;
        return true;
    }

    void ended(int of_period, call_outcome outcome, duration took, time_point now)
    {
        if (of_period != period) return;
        if (outcome == call_outcome::none) {
            ++given_back;
            return;
        }
        calls.push_back({now, outcome == call_outcome::failure, took >= options.slow_call});
        const auto [all, failed, slow] = counted(now);
        auto too_many = [&](int whole) {
            return (failed > 0 && failed >= options.failure_rate * whole) ||
                   (slow > 0 && slow >= options.slow_call_rate * whole);
        };
        if (state == breaker_state::closed && all >= options.min_calls && too_many(all))
            enter(breaker_state::open, now);
        else if (state == breaker_state::half_open && too_many(options.half_open_calls))
            enter(breaker_state::open, now);
        else if (state == breaker_state::half_open && all == options.half_open_calls)
            enter(breaker_state::closed, now);
    }

    call_counts counted(time_point now) const
    {
        call_counts sum;
        for (std::size_t i = 0; i < calls.size(); ++i)
            if (state == breaker_state::half_open || in_window(i, now))
                sum.add(calls[i].failed, calls[i].slow);
        return sum;
    }

    bool in_window(std::size_t i, time_point now) const
    {
        if (auto* last = std::get_if<count_window>(&options.window))
            return i + static_cast<std::size_t>(last->calls) >= calls.size();
        const auto width = std::get<time_window>(options.window).length / 10;
        return now.time_since_epoch() / width - calls[i].at.time_since_epoch() / width < 10;
    }

    void enter(breaker_state to, time_point now)
    {
        state = to;
        ++period;
        calls.clear();
        given = given_back = 0;
        if (to == breaker_state::open) opened_at = now;
    }
};

circuit_breaker_options random_options(std::mt19937& rng)
{
    auto any = [&](int least, int most) { return std::uniform_int_distribution<int>(least, most)(rng); };
    circuit_breaker_options o;
    if (any(0, 1))
        o.window = count_window{any(1, 20)};
    else
        o.window = time_window{std::chrono::milliseconds(any(10, 20000))};
    auto* last = std::get_if<count_window>(&o.window);
    o.min_calls = any(1, last ? last->calls : 10);
    o.failure_rate = any(1, 10) / 10.0;
    o.slow_call = 1s;
    o.slow_call_rate = any(1, 10) / 10.0;
    o.open_for = std::chrono::milliseconds(any(1, 5000));
    o.half_open_calls = any(1, 5);
    o.validate();
    return o;
}

} // namespace

BOOST_AUTO_TEST_SUITE(a_breakers_core)

BOOST_AUTO_TEST_CASE(goes_from_state_to_state_as_its_stories_tell)
{
    for (auto& s : stories) {
        player p(s.options);
        const auto answers = p.play(s.events);
        BOOST_TEST(answers == s.answers,
                   s.behaviour << ": " << s.events << " gave " << answers << ", not " << s.answers);
    }
}

BOOST_AUTO_TEST_CASE(does_as_a_simple_minded_model_does_over_any_random_history)
{
    std::mt19937 rng(2024);
    int changes = 0;
    for (int round = 0; round < 400; ++round) {
        const auto options = random_options(rng);
        breaker_core core(options);
        model expected(options);
        struct call
        {
            std::uint64_t period;
            int model_period;
        };
        std::vector<call> under_way;
        auto now = start;
        const unsigned sick = rng() % 100; // how likely calls fail in this round
        for (int step = 0; step < 1000; ++step) {
            now += std::chrono::milliseconds(rng() % 4 ? rng() % 50 : rng() % 2000);
            if (under_way.empty() || rng() % 2) {
                const auto before = core.status(now);
                const auto admission = core.admit(now);
                BOOST_REQUIRE_EQUAL(admission.allowed, expected.admit(now));
                if (admission.allowed) {
                    under_way.push_back({admission.period, expected.period});
                    BOOST_REQUIRE(before.state != breaker_state::open || now >= before.retry_at);
                }
                changes += admission.change.has_value();
            } else {
                const auto i = rng() % under_way.size();
                const auto outcome = rng() % 10 == 0      ? call_outcome::none
                                     : rng() % 100 < sick ? call_outcome::failure
                                                          : call_outcome::success;
                const duration took = rng() % 5 ? 1ms : 1s;
                changes += core.ended(under_way[i].period, outcome, took, now).has_value();
                expected.ended(under_way[i].model_period, outcome, took, now);
                under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(i));
            }
            const auto status = core.status(now);
            const auto counts = expected.counted(now);
            BOOST_REQUIRE(status.state == expected.state);
            BOOST_REQUIRE_EQUAL(status.calls, counts.calls);
            BOOST_REQUIRE_EQUAL(status.failures, counts.failures);
            BOOST_REQUIRE_EQUAL(status.slow, counts.slow);
            if (status.state == breaker_state::open)
                BOOST_REQUIRE(status.retry_at == expected.opened_at + options.open_for);
        }
    }
    BOOST_TEST(changes > 1000); // else the histories were too tame to show anything
}

BOOST_AUTO_TEST_CASE(says_what_calls_a_change_rests_on)
{
    const auto options = three();
    breaker_core core(options);
    std::optional<state_change> change;
    for (int i = 0; i < 3; ++i)
        change = core.ended(core.admit(start).period, call_outcome::failure, 0ns, start);
    BOOST_TEST_REQUIRE(change.has_value());
    BOOST_TEST(change->judged.calls == 3);
    BOOST_TEST(change->judged.failures == 3);
    BOOST_TEST(core.status(start).opened == 1u);
}

BOOST_AUTO_TEST_CASE(stays_open_for_ever_when_the_open_time_is_too_long_to_count)
{
    auto options = circuit_breaker_options::consecutive(1, duration::max());
    breaker_core core(options);
    core.ended(core.admit(start).period, call_outcome::failure, 0ns, start);
    BOOST_TEST(!core.admit(start + 24h * 365 * 100).allowed);
}

BOOST_AUTO_TEST_CASE(keeps_calls_of_a_time_window_that_end_in_disorder)
{
    const auto options = ten_seconds();
    breaker_core core(options);
    const auto period = core.admit(start).period;
    core.ended(period, call_outcome::success, 0ns, start + 30s);
    core.ended(period, call_outcome::failure, 0ns, start + 25s); // late, but within the window
    core.ended(period, call_outcome::failure, 0ns, start);       // from before all that is remembered
    BOOST_TEST(core.status(start + 30s).calls == 2);
}

BOOST_AUTO_TEST_SUITE_END()
