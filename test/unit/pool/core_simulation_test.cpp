// The pool's mind against a model: random schedules of everything that can happen to it, and after each step
// the promises it makes. PGCORO_SIMULATION_STEPS and PGCORO_SIMULATION_SEED set how long, and which.
#include "from_environment.hpp"
#include "pool/core.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <set>

using namespace std::chrono_literals;
using pgcoro::pool_options;
using core = pgcoro::detail::pool_core;
using slot_id = core::slot_id;
using time_point = core::time_point;

namespace
{

struct simulation
{
    struct connection
    {
        time_point opened;
        bool suspect = false; // another one was found dead since it was last proved
        bool evicted = false;
        time_point used{};
    };
    struct work // a connect or a check
    {
        time_point begun;
        bool outdated = false; // a connect: evict() was called since
    };

    pool_options options;
    std::mt19937_64 random;
    core pool;
    time_point now{1h};

    std::deque<core::waiter*> queue; // as it must be served
    std::map<core::waiter*, std::unique_ptr<core::waiter>> callers;
    std::map<slot_id, work> connecting;
    std::map<slot_id, work> checking;
    std::set<slot_id> in_use;
    std::set<slot_id> cleaning;
    std::set<slot_id> idle;
    std::map<slot_id, connection> open;
    std::optional<slot_id> answered; // the connection that the server has answered on in this very event
    std::size_t warm = 0;
    bool closed = false;
    bool suspended = false;
    std::uint64_t granted = 0;
    std::uint64_t failures_in_a_row = 0;

    simulation(pool_options o, std::uint64_t seed)
        : options(std::move(o))
        , random(seed)
        , pool(options, seed)
    {}

    bool chance(double p) { return std::bernoulli_distribution(p)(random); }
    template <class Set>
    auto any(const Set& s)
    {
        auto it = s.begin();
        std::advance(it, std::uniform_int_distribution<std::size_t>(0, s.size() - 1)(random));
        return *it;
    }
    // How many of them have not been silent for that long.
    std::size_t young(const std::map<slot_id, work>& some, std::chrono::milliseconds limit) const
    {
        return static_cast<std::size_t>(
            std::ranges::count_if(some, [&](auto& w) { return now - w.second.begun < limit; }));
    }
    std::size_t trusted_checks() const
    {
        return static_cast<std::size_t>(std::ranges::count_if(checking, [&](auto& w) {
            return now - w.second.begun < core::silent_check_after && !open.at(w.first).suspect;
        }));
    }

    void hand_over(slot_id slot, core::check need)
    {
        auto& c = open.at(slot);
        BOOST_REQUIRE_MESSAGE(!in_use.contains(slot), "a connection belongs to one caller at a time");
        BOOST_REQUIRE_MESSAGE(options.recycle_after.count() == 0 || now < c.opened + options.recycle_after,
                              "an expired connection is never handed out");
        BOOST_REQUIRE_MESSAGE(!c.evicted, "an evicted connection is never handed out");
        BOOST_REQUIRE_MESSAGE(!suspended, "a suspended pool hands nothing out");
        BOOST_REQUIRE_MESSAGE(!c.suspect, "a suspect connection is asked before it is used");
        if (options.pre_ping == pgcoro::pre_ping::always)
            BOOST_REQUIRE_MESSAGE(answered == slot, "each connection is asked before it is used");
        if (answered == slot) BOOST_REQUIRE(need == core::check::none);
        idle.erase(slot);
        cleaning.erase(slot);
        in_use.insert(slot);
        ++granted;
    }

    void found_dead()
    {
        for (auto& [slot, c] : open) c.suspect = true;
    }
    std::size_t taken() const { return open.size() + connecting.size(); }

    void perform(const core::actions& todo)
    {
        for (auto [slot, why] : todo.close) {
            BOOST_REQUIRE_MESSAGE(open.erase(slot) == 1, "only what is open is closed");
            in_use.erase(slot), idle.erase(slot), cleaning.erase(slot);
            if (why == pgcoro::close_reason::idle)
                BOOST_REQUIRE_MESSAGE(taken() >= warm, "idle_timeout leaves the warm base open");
            if (why == pgcoro::close_reason::overflow)
                BOOST_REQUIRE_MESSAGE(open.size() >= options.size, "only what is beyond size is overflow");
        }
        for (auto& [w, grant] : todo.granted) {
            BOOST_REQUIRE_MESSAGE(!queue.empty() && queue.front() == w, "first come, first served");
            queue.pop_front();
            callers.erase(w);
            hand_over(grant.slot, grant.need);
        }
        for (auto& [w, why] : todo.refused) {
            if (why == core::refusal::timeout)
                BOOST_REQUIRE_MESSAGE(w->deadline <= now, "nobody is refused before the time is over");
            if (why == core::refusal::closed) BOOST_REQUIRE(closed);
            std::erase(queue, w);
            callers.erase(w);
        }
        for (auto slot : todo.connect) {
            BOOST_REQUIRE_MESSAGE(!open.contains(slot) && connecting.insert({slot, {now}}).second,
                                  "a connect goes to a free slot");
            BOOST_REQUIRE_MESSAGE(!closed, "a closed pool opens nothing");
        }
        for (auto slot : todo.clean) {
            BOOST_REQUIRE(in_use.erase(slot) == 1);
            cleaning.insert(slot);
        }
        for (auto slot : todo.check) {
            idle.erase(slot);
            BOOST_REQUIRE_MESSAGE(open.contains(slot) && checking.insert({slot, {now}}).second,
                                  "what is checked is open, and checked once");
        }
        // Whatever of the open ones is nowhere else by now was parked.
        for (auto& [slot, c] : open)
            if (!in_use.contains(slot) && !cleaning.contains(slot) && !checking.contains(slot))
                idle.insert(slot);
        answered.reset();
    }

    void acquire()
    {
        if (auto got = pool.try_acquire(now)) {
            BOOST_REQUIRE_MESSAGE(queue.empty(), "newcomers do not overtake");
            return hand_over(got->slot, got->need);
        }
        if (closed) return;
        auto deadline = now + std::chrono::milliseconds(random() % 5000);
        if (chance(0.1)) deadline = chance(0.5) ? time_point::max() : now - 1h;
        auto owned = std::make_unique<core::waiter>(deadline);
        auto* w = owned.get();
        core::actions todo;
        if (!pool.enqueue(*w, false, now, todo)) {
            BOOST_REQUIRE_MESSAGE(queue.size() >= options.max_waiters && options.max_waiters,
                                  "refused at once only beyond max_waiters");
            return;
        }
        queue.push_back(w);
        callers.emplace(w, std::move(owned));
        perform(todo);
    }

    void cancel()
    {
        if (queue.empty()) return;
        auto it = queue.begin();
        std::advance(it, random() % queue.size());
        auto* w = *it;
        BOOST_REQUIRE(pool.cancel(*w));
        BOOST_REQUIRE_MESSAGE(!pool.cancel(*w), "cancelled is not queued");
        queue.erase(it);
        callers.erase(w);
    }

    void release(core::returned as)
    {
        if (in_use.empty()) return;
        auto slot = any(in_use);
        if (as == core::returned::clean && pool.park(slot, now)) {
            BOOST_REQUIRE_MESSAGE(queue.empty(), "a released connection goes to who waits");
            in_use.erase(slot);
            idle.insert(slot);
            open.at(slot).used = now;
            return;
        }
        core::actions todo;
        if (as == core::returned::broken && !closed) found_dead();
        pool.release(slot, as, now, todo);
        if (as == core::returned::clean) {
            in_use.erase(slot); // perform() finds out where it went
            open.at(slot).used = now;
        }
        perform(todo);
    }

    void finish_connect(bool ok)
    {
        if (connecting.empty()) return;
        auto [slot, login] = any(connecting);
        connecting.erase(slot);
        core::actions todo;
        if (ok) {
            failures_in_a_row = 0;
            open[slot] = {now, false, login.outdated, now};
            answered = slot;
            pool.connected(slot, now, todo);
        } else {
            if (!login.outdated) ++failures_in_a_row;
            bool permanent = chance(0.1);
            pool.connect_failed(slot, permanent, now, todo);
            if (permanent && !login.outdated && open.empty() && !closed)
                BOOST_REQUIRE_MESSAGE(todo.refused.size() == queue.size(),
                                      "what waiting cannot mend ends the wait of all");
        }
        perform(todo);
    }

    void finish_cleaning(bool ok)
    {
        if (cleaning.empty()) return;
        auto slot = any(cleaning);
        core::actions todo;
        cleaning.erase(slot);
        if (ok) open.at(slot).used = now;
        pool.cleaned(slot, ok, now, todo);
        perform(todo);
    }

    void finish_check(bool ok)
    {
        if (checking.empty()) return;
        auto [slot, check] = any(checking);
        checking.erase(slot);
        core::actions todo;
        if (ok) {
            open[slot].suspect = false;
            answered = slot;
        } else if (!closed) {
            found_dead();
        }
        pool.checked(slot, ok, now, todo);
        perform(todo);
    }

    void tick()
    {
        core::actions todo;
        pool.tick(now, todo);
        perform(todo);
        for (auto* w : queue) BOOST_REQUIRE_MESSAGE(w->deadline > now, "nobody waits beyond the deadline");
        if (open.size() > options.size)
            for (auto slot : idle)
                BOOST_REQUIRE_MESSAGE(now - open.at(slot).used < options.overflow_linger,
                                      "overflow that nobody uses is closed");
        // The core knows now which checks and logins are silent: none of them holds up a caller.
        if (queue.empty() || closed || suspended || failures_in_a_row > 0) return;
        auto logins = young(connecting, core::silent_login_after);
        bool bounded = taken() == options.size + options.max_overflow || logins >= options.max_connecting;
        BOOST_REQUIRE_MESSAGE(bounded || queue.size() <= logins + trusted_checks(),
                              "nobody relies on what is silent or suspect");
    }

    void step()
    {
        switch (random() % 17) {
        case 0:
        case 1:
        case 2:
        case 3:
            acquire();
            break;
        case 4:
        case 5:
        case 6:
            release(core::returned::clean);
            break;
        case 7:
            release(chance(0.3) ? core::returned::broken : core::returned::dirty);
            break;
        case 8:
            cancel();
            break;
        case 9:
        case 10:
            finish_connect(chance(0.8));
            break;
        case 11:
            finish_cleaning(chance(0.7));
            break;
        case 16:
            finish_check(chance(0.7));
            break;
        case 12:
            now += std::chrono::milliseconds(random() % 200);
            break;
        case 13:
            tick();
            break;
        case 14:
            now = std::max(now, std::min(pool.next_tick(), now + 10s));
            tick();
            break;
        case 15:
            if (!in_use.empty() && chance(0.5)) {
                auto slot = any(in_use);
                pool.proved(slot, now);
                open[slot].suspect = false;
            } else if (chance(0.03)) {
                core::actions todo;
                for (auto& [slot, c] : open) c.evicted = c.suspect = true;
                for (auto& [slot, login] : connecting) login.outdated = true;
                pool.evict(now, todo);
                perform(todo);
            } else if (chance(0.1)) {
                core::actions todo;
                suspended = !suspended;
                if (suspended)
                    pool.suspend();
                else
                    pool.resume(now, todo);
                perform(todo);
            } else if (chance(0.02) && !closed) {
                core::actions todo;
                warm = random() % (options.size + 1);
                pool.warm(warm, now, todo);
                perform(todo);
            }
            break;
        }
        check();
    }

    void check()
    {
        auto& n = pool.count();
        BOOST_REQUIRE_EQUAL(n.connecting, connecting.size());
        BOOST_REQUIRE_EQUAL(n.in_use, in_use.size());
        BOOST_REQUIRE_EQUAL(n.cleaning, cleaning.size() + checking.size());
        BOOST_REQUIRE_EQUAL(n.idle, idle.size());
        BOOST_REQUIRE_EQUAL(n.waiting, queue.size());
        BOOST_REQUIRE_MESSAGE(n.taken() <= options.size + options.max_overflow,
                              "never more than size + max_overflow");
        BOOST_REQUIRE_MESSAGE(young(connecting, core::silent_login_after) <= options.max_connecting,
                              "never more than max_connecting, but for those that are silent");
        if (n.idle > 0 && n.open() > options.size)
            BOOST_REQUIRE_MESSAGE(pool.next_tick() <= now + options.overflow_linger,
                                  "overflow that nobody uses is closed in time");
        if (options.keepalive.count() > 0 && !idle.empty())
            BOOST_REQUIRE_MESSAGE(pool.next_tick() <= now + options.keepalive,
                                  "what is idle is kept alive in time");
        if (queue.empty() || closed || suspended) return;
        BOOST_REQUIRE_MESSAGE(idle.empty() || checking.size() >= queue.size(),
                              "nobody waits while a connection is idle, but for the checks under way");
        bool full = n.taken() == options.size + options.max_overflow;
        bool enough = n.connecting >= options.max_connecting ||
                      n.connecting + checking.size() >= queue.size();
        if (full || enough) return;
        BOOST_REQUIRE_MESSAGE(failures_in_a_row > 0, "nobody waits while a slot is free");
        BOOST_REQUIRE_MESSAGE(pool.next_tick() <= now + 1s,
                              "a failed connect is tried again within a second");
    }

    // All that is out comes back: then nobody waits, nothing is lost.
    void settle()
    {
        core::actions todo;
        suspended = false;
        pool.resume(now, todo);
        perform(todo);
        for (int i = 0; i < 100'000 && !(queue.empty() && in_use.empty() && connecting.empty()); ++i) {
            release(core::returned::clean);
            finish_connect(true);
            finish_cleaning(true);
            finish_check(true);
            now += 10ms;
            tick();
            check();
        }
        BOOST_REQUIRE_MESSAGE(queue.empty(), "in the end everybody was served, or told why not");
        while (!cleaning.empty() || !connecting.empty() || !checking.empty()) {
            finish_cleaning(true); // without time passing none is kept alive
            finish_check(true);
            finish_connect(true);
        }
        BOOST_REQUIRE(in_use.empty() && connecting.empty() && cleaning.empty());
    }

    void close()
    {
        closed = true;
        core::actions todo;
        pool.close(todo);
        perform(todo);
        BOOST_REQUIRE_MESSAGE(queue.empty() && idle.empty(),
                              "a closed pool has nobody waiting and nothing idle");
    }
};

pool_options random_options(std::mt19937_64& random)
{
    pool_options o;
    o.size = 1 + random() % 6;
    o.max_overflow = random() % 6;
    o.max_connecting = 1 + random() % 4;
    o.max_waiters = random() % 3 ? 0 : 1 + random() % 10;
    o.recycle_after = std::chrono::milliseconds(random() % 3 ? 0 : 500 + random() % 5000);
    o.recycle_jitter = 0.5;
    o.idle_timeout = std::chrono::milliseconds(random() % 3 ? 0 : 100 + random() % 2000);
    o.keepalive = std::chrono::milliseconds(random() % 3 ? 0 : 50 + random() % 2000);
    o.pre_ping = static_cast<pgcoro::pre_ping>(random() % 3);
    o.overflow_linger = std::chrono::milliseconds(random() % 3 ? random() % 1000 : 0);
    return o;
}

} // namespace

BOOST_AUTO_TEST_SUITE(pool_core_simulation)

BOOST_AUTO_TEST_CASE(keeps_its_promises_through_random_schedules)
{
    auto steps = test::from_environment("PGCORO_SIMULATION_STEPS", test::repeated(5'000'000));
    auto seed = test::from_environment("PGCORO_SIMULATION_SEED", std::random_device{}());
    BOOST_TEST_MESSAGE("seed " << seed << ", " << steps << " steps");
    std::mt19937_64 random(seed);
    std::uint64_t granted = 0;
    for (std::uint64_t done = 0; done < steps;) {
        auto run = random();
        BOOST_TEST_CONTEXT("PGCORO_SIMULATION_SEED=" << seed << ", run " << run << " after " << done
                                                     << " steps")
        {
            simulation s(random_options(random), run);
            auto length = 200 + random() % 5000;
            for (std::uint64_t i = 0; i < length; ++i) s.step();
            s.settle();
            s.close();
            done += length;
            granted += s.granted;
        }
    }
    BOOST_TEST(granted > steps / 20); // it did get somewhere
}

BOOST_AUTO_TEST_SUITE_END()
