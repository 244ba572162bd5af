// The multiplexer's core against a model of callers, connections and a server: random schedules of everything
// that can happen, and the promises to callers after each step. PGCORO_SIMULATION_STEPS and
// PGCORO_SIMULATION_SEED set how long, and which.
#include "from_environment.hpp"
#include "multiplexer/core.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using namespace pgcoro::detail;
using core = multiplexer_core;

namespace
{

struct text
{
    std::shared_ptr<known_statement> known;
    std::string tag;
    bool reads_only;
    int version = 0;             // raised when a table it uses is changed
    std::uint64_t forgotten = 0; // the step in which its batching became unknown again
};

enum class outcome { none, answer, error, stale, lost, unknown, closed, no_connection, overdue, cancelled };

struct caller final : core::statement
{
    caller(int number, text& of, bool read, core::time_point until)
        : statement(of.known, read, until)
        , id(number)
        , sql(of)
        , may_be_repeated(read && of.reads_only)
    {}

    const int id;
    text& sql;
    const bool may_be_repeated;
    int stale_on = -1; // the connection that has forgotten it
    outcome told = outcome::none;
    int answer = 0;              // the id of the statement that the answer belongs to
    int committed = 0;           // how often the server executed it with success
    bool reached_server = false; // since it was last known not to have been executed
    bool left_before_sent = false;
};

struct connection_state
{
    std::map<text*, int> prepared; // and which version
};

// A statement on its way, and what the server says of it.
struct sent_statement
{
    caller* what;
    bool own_sync;
    std::optional<int> prepared_version; // nothing: it is prepared with this batch
};
struct reply
{
    enum { answered, failed, stale, synced } what;
    std::size_t i;
    int id = 0;
};

struct sim_worker final : core::worker
{
    enum { looking, acquiring, at_work, gone } state = looking;
    bool again = true;
    int connection = 0;
    std::vector<sent_statement> sent;
    std::deque<reply> replies;
    std::size_t served = 0; // how many the server has executed, or skipped
    bool all_sent = false;
    std::uint64_t batch_begun = 0; // in this step
    bool same_again = false;
    bool unsynced = false;
    bool group_failed = false;
    std::optional<std::uint64_t> stop; // requested for this batch
};

struct simulation
{
    static constexpr int connections = 5;

    core::limits limits;
    std::mt19937_64 random;
    core mux;
    core::time_point now{1h};
    std::list<text> texts;
    std::vector<std::shared_ptr<caller>> callers;
    std::vector<caller*> waiting;
    std::list<sim_worker> workers;
    connection_state pool[connections];
    bool faults = true;
    std::uint64_t steps = 1;
    std::map<outcome, int> outcomes;

    simulation(core::limits l, std::uint64_t seed)
        : limits(l)
        , random(seed)
        , mux(l)
    {
        for (auto* name : {"r1", "r2", "r3"}) add_text(name, true, "SELECT 1");
        for (auto* name : {"w1", "w2"}) add_text(name, false, "INSERT 0 1");
        add_text("writes by SELECT", false, "SELECT 1");
        add_text("other", false, "SET");
    }

    void add_text(std::string name, bool reads_only, std::string tag)
    {
        texts.push_back({std::make_shared<known_statement>(std::move(name), reads_only), std::move(tag),
                         reads_only, 0, 0});
    }

    bool chance(double p) { return std::bernoulli_distribution(p)(random); }
    static std::chrono::milliseconds milliseconds(std::size_t n) { return std::chrono::milliseconds(n); }
    std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); }
    text& any_text()
    {
        auto it = texts.begin();
        std::advance(it, below(texts.size()));
        return *it;
    }

    // --- Callers are notified ---

    void tell(core::statement& s, outcome what)
    {
        auto& c = static_cast<caller&>(s);
        BOOST_REQUIRE_MESSAGE(c.told == outcome::none, "a caller is told once");
        BOOST_REQUIRE_MESSAGE(c.settled(), "a caller is told by whoever settled its statement");
        c.told = what;
        ++outcomes[what];
        std::erase(waiting, &c);
        switch (what) {
        case outcome::answer:
            BOOST_REQUIRE_MESSAGE(c.answer == c.id, "an answer is the caller's own");
            if (!c.may_be_repeated) BOOST_REQUIRE_MESSAGE(c.committed == 1, "an answered write is committed");
            break;
        case outcome::stale:
            BOOST_FAIL("no caller is told of an outdated prepared statement");
            break;
        case outcome::error:
        case outcome::closed:
        case outcome::lost:
        case outcome::no_connection:
            if (!c.may_be_repeated)
                BOOST_REQUIRE_MESSAGE(c.committed == 0, "a write that failed is not committed");
            break;
        case outcome::unknown:
            BOOST_REQUIRE_MESSAGE(!c.may_be_repeated, "the outcome of a read does not matter");
            BOOST_REQUIRE_MESSAGE(c.reached_server, "the outcome is known of what was not sent");
            break;
        case outcome::overdue:
            BOOST_REQUIRE_MESSAGE(c.deadline <= now, "no caller is given up before its deadline");
            break;
        default:
            break;
        }
    }
    void tell(core::statement* s, outcome what)
    {
        if (s) tell(*s, what);
    }
    void tell(const core::verdicts& all)
    {
        for (auto& [s, what] : all)
            tell(*s, what == core::verdict::unknown  ? outcome::unknown
                     : what == core::verdict::closed ? outcome::closed
                                                     : outcome::lost);
    }

    // --- Callers ---

    void ask()
    {
        auto until = chance(0.1) ? now + milliseconds(below(500)) : core::time_point::max();
        auto made =
            std::make_shared<caller>(static_cast<int>(callers.size()) + 1, any_text(), chance(0.7), until);
        auto before = mux.waiting();
        switch (mux.ask(made)) {
        case core::admission::full:
            BOOST_REQUIRE_MESSAGE(before >= limits.max_waiting, "refused only beyond max_waiting");
            return;
        case core::admission::closed:
            BOOST_REQUIRE(mux.closed());
            return;
        case core::admission::exclusive:
            callers.push_back(made);
            waiting.push_back(made.get());
            start_exclusive(made);
            return;
        case core::admission::queued:
            break;
        }
        BOOST_REQUIRE(mux.waiting() <= limits.max_waiting + limits.connections * limits.max_batch);
        callers.push_back(made);
        waiting.push_back(made.get());
        start_workers();
    }

    void cancel()
    {
        if (waiting.empty()) return;
        auto& c = *waiting[below(waiting.size())];
        if (!c.settle()) return;
        c.left_before_sent = !c.sent();
        tell(c, outcome::cancelled);
        request_stop(mux.leave(c));
    }

    void expire()
    {
        core::time_point next;
        for (auto& [s, stop] : mux.expire(now, next)) {
            static_cast<caller&>(*s).left_before_sent = !s->sent();
            tell(*s, outcome::overdue);
            request_stop(stop);
        }
        BOOST_REQUIRE_MESSAGE(next > now, "no deadline is missed");
    }

    void request_stop(core::worker* w)
    {
        if (w) static_cast<sim_worker*>(w)->stop = w->batches();
    }

    // --- Workers ---

    void start_workers()
    {
        for (auto n = mux.workers_to_start(); n > 0; --n) mux.start(workers.emplace_back());
        auto shared = std::count_if(workers.begin(), workers.end(), [](auto& w) { return !w.exclusive(); });
        BOOST_REQUIRE_MESSAGE(static_cast<std::size_t>(shared) <= limits.connections,
                              "no more workers than connections");
    }

    void start_exclusive(core::statement_ptr s)
    {
        auto& w = workers.emplace_back();
        mux.start_exclusive(w, std::move(s));
    }

    void step(sim_worker& w)
    {
        if (w.stop && w.running()) {
            bool same = *w.stop == w.batches();
            w.stop.reset();
            if (same) return lose(w);
        }
        switch (w.state) {
        case sim_worker::looking:
            return look(w);
        case sim_worker::acquiring:
            return acquire(w);
        case sim_worker::at_work:
            return run(w);
        case sim_worker::gone:
            return;
        }
    }

    void look(sim_worker& w)
    {
        if (w.exclusive()) {
            if (start_batch(w))
                w.state = sim_worker::acquiring;
            else
                mux.end_exclusive(w), w.state = sim_worker::gone;
            return;
        }
        switch (mux.next_step(w, w.again)) {
        case core::step::work:
            w.state = sim_worker::acquiring;
            break;
        case core::step::look_again:
            w.again = false;
            break;
        case core::step::end:
            w.state = sim_worker::gone;
            break;
        }
    }

    void acquire(sim_worker& w)
    {
        if (faults && chance(0.05)) {
            for (auto& s : mux.no_connection(w)) tell(*s, outcome::no_connection);
            w.state = sim_worker::gone;
            return;
        }
        std::vector<int> idle;
        for (int c = 0; c < connections; ++c)
            if (std::none_of(workers.begin(), workers.end(), [&](auto& other) {
                    return other.state == sim_worker::at_work && other.connection == c;
                }))
                idle.push_back(c);
        if (idle.empty()) return;
        w.same_again = false;
        w.connection = idle[below(idle.size())];
        if (w.exclusive())
            w.restart_clock(now);
        else if (!start_batch(w))
            return begin_to_look(w);
        w.state = sim_worker::at_work;
    }

    void begin_to_look(sim_worker& w)
    {
        w.again = true;
        w.state = sim_worker::looking;
    }

    bool start_batch(sim_worker& w)
    {
        auto result = mux.start_batch(w, now);
        w.sent.clear();
        w.replies.clear();
        w.served = 0;
        w.batch_begun = steps;
        w.all_sent = w.unsynced = w.group_failed = false;
        start_workers();
        for (auto& s : result.exclusive) start_exclusive(std::move(s));
        return result.any;
    }

    void run(sim_worker& w)
    {
        if (faults && chance(0.01)) return lose(w);
        switch (below(3)) {
        case 0:
            return send(w);
        case 1:
            return serve(w);
        default:
            return receive(w);
        }
    }

    void send(sim_worker& w)
    {
        if (w.all_sent) return;
        auto made = w.next();
        if (!made.what) {
            w.all_sent = true;
            BOOST_REQUIRE_MESSAGE(w.sent.size() <= limits.max_batch, "a batch is no larger than max_batch");
            return;
        }
        auto& c = static_cast<caller&>(*made.what);
        BOOST_REQUIRE_MESSAGE(!c.left_before_sent, "what nobody waits for is not sent");
        // Those of an outdated batch stay together.
        bool known_when_begun =
            w.same_again || c.known->batching != batching::unknown || c.sql.forgotten >= w.batch_begun;
        if (!w.sent.empty()) BOOST_REQUIRE_MESSAGE(known_when_begun, "what is not known yet travels alone");
        if (!made.own_sync) BOOST_REQUIRE_MESSAGE(c.may_be_repeated, "only reads share a transaction");
        auto& prepared = pool[w.connection].prepared;
        auto known = prepared.find(&c.sql);
        std::optional<int> version;
        // A session runs a single statement again by itself.
        if (known != prepared.end() && !w.exclusive()) version = known->second;
        c.reached_server = true;
        BOOST_REQUIRE_MESSAGE(c.stale_on < 0 || c.stale_on == w.connection,
                              "an outdated statement is run again where it was forgotten");
        c.stale_on = -1;
        w.sent.push_back({&c, made.own_sync, version});
    }

    // The server takes the next statement, as soon as it has been sent; or the end of the batch.
    void serve(sim_worker& w)
    {
        auto sync = [&](std::size_t n) {
            if (w.unsynced) w.replies.push_back({reply::synced, n});
            w.unsynced = w.group_failed = false;
        };
        if (w.served == w.sent.size()) {
            if (w.all_sent) sync(w.served);
            return;
        }
        auto i = w.served++;
        auto& s = w.sent[i];
        if (s.own_sync) sync(i);
        w.unsynced = true;
        if (!w.group_failed) execute(w, s, i);
        if (s.own_sync) sync(i + 1);
    }

    void execute(sim_worker& w, const sent_statement& s, std::size_t i)
    {
        auto& c = *s.what;
        if (s.prepared_version && *s.prepared_version != c.sql.version) {
            w.replies.push_back({reply::stale, i});
            w.group_failed = true;
            return;
        }
        pool[w.connection].prepared[&c.sql] = c.sql.version;
        if (chance(0.05)) {
            w.replies.push_back({reply::failed, i});
            w.group_failed = true;
            return;
        }
        w.replies.push_back({reply::answered, i, c.id});
        if (s.own_sync && chance(0.02)) { // a deferred constraint
            w.replies.push_back({reply::failed, i});
            return;
        }
        ++c.committed;
        if (!c.may_be_repeated) BOOST_REQUIRE_MESSAGE(c.committed == 1, "a write is executed once");
    }

    void receive(sim_worker& w)
    {
        if (w.replies.empty()) {
            bool over = w.all_sent && w.served == w.sent.size() && !w.unsynced;
            if (over) complete(w);
            return;
        }
        auto r = w.replies.front();
        w.replies.pop_front();
        switch (r.what) {
        case reply::answered:
            static_cast<caller&>(w.sent_as(r.i)).answer = r.id;
            return tell(w.answered(r.i, w.sent[r.i].what->sql.tag, now), outcome::answer);
        case reply::failed:
            return tell(w.failed(r.i, false), outcome::error);
        case reply::stale:
            pool[w.connection].prepared.erase(&w.sent[r.i].what->sql);
            w.sent[r.i].what->reached_server = false;
            w.sent[r.i].what->stale_on = w.connection;
            return tell(w.failed(r.i, true), outcome::stale);
        case reply::synced:
            while (auto* told = w.committed(r.i)) tell(*told, outcome::answer);
        }
    }

    void complete(sim_worker& w)
    {
        for (auto& s : w.sent)
            if (s.what->told == outcome::none) s.what->reached_server = false;
        auto result = mux.end_batch(w, core::ending::complete, now);
        for (auto& t : texts)
            if (t.known->batching == batching::unknown) t.forgotten = steps;
        tell(result.settled);
        w.same_again = result.same_again;
        if (result.same_again && start_batch(w)) {
            w.state = sim_worker::at_work;
            BOOST_REQUIRE(!w.exclusive());
            return;
        }
        begin_to_look(w);
    }

    // The server may or may not execute the rest of what was sent. Its replies are lost.
    void lose(sim_worker& w)
    {
        if (w.state == sim_worker::at_work) {
            while (w.served < w.sent.size() && chance(0.5)) serve(w);
            pool[w.connection].prepared.clear();
        }
        if (w.exclusive() && w.state == sim_worker::acquiring) {
            for (auto& s : mux.no_connection(w)) tell(*s, outcome::no_connection);
            w.state = sim_worker::gone;
            return;
        }
        auto result = mux.end_batch(w, core::ending::lost, now);
        tell(result.settled);
        for (auto* c : waiting)
            if (c->stale_on == w.connection) c->stale_on = -1;
        BOOST_REQUIRE(!result.same_again);
        begin_to_look(w);
    }

    // Its coroutine is destroyed with its I/O context.
    void destroy(sim_worker& w)
    {
        if (w.state == sim_worker::gone) return;
        tell(mux.destroyed(w, now));
        w.state = sim_worker::gone;
    }

    void close()
    {
        auto result = mux.close();
        for (auto& s : result.settled) tell(*s, outcome::closed);
        for (auto* w : result.stop) request_stop(w);
    }

    // --- Everything ---

    void one_step()
    {
        BOOST_REQUIRE_MESSAGE(mux.waiting() == 0 || !mux.at_rest(), "somebody works for those who wait");
        ++steps;
        std::erase_if(workers, [](auto& w) { return w.state == sim_worker::gone; });
        if (!workers.empty() && chance(0.9)) {
            auto it = workers.begin();
            std::advance(it, below(workers.size()));
            return step(*it);
        }
        if (!faults) return;
        now += milliseconds(below(3));
        auto what = below(100);
        if (what < 70)
            ask();
        else if (what < 80)
            cancel();
        else if (what < 90)
            expire();
        else if (what < 93)
            ++any_text().version;
        else if (what < 95)
            now += limits.slow_after;
        else if (texts.size() < 20)
            add_text("new " + std::to_string(texts.size()), chance(0.5), "SELECT 1");
    }

    // Without more faults and callers: every caller is notified, and every worker ends.
    void drain()
    {
        faults = false;
        for (auto last = steps + 1'000'000; !workers.empty() || !waiting.empty();) {
            BOOST_REQUIRE_MESSAGE(!workers.empty(), "somebody works for those who wait");
            BOOST_REQUIRE_MESSAGE(steps < last, "nobody waits for ever");
            one_step();
        }
        BOOST_REQUIRE(mux.at_rest());
        BOOST_REQUIRE(mux.waiting() == 0);
        BOOST_REQUIRE(mux.connections() == 0);
    }
};

enum class end { drained, closed, context_destroyed };

std::map<outcome, int> simulate(end how)
{
    std::map<outcome, int> all;
    auto seed = test::from_environment("PGCORO_SIMULATION_SEED", 1);
    auto steps = test::from_environment("PGCORO_SIMULATION_STEPS", test::repeated(400'000));
    for (std::uint64_t done = 0; done < steps; ++seed) {
        core::limits l{1 + seed % 4, 1 + seed % 7, 20, 50ms};
        simulation s(l, seed);
        BOOST_TEST_CONTEXT("PGCORO_SIMULATION_SEED=" << seed)
        {
            for (int i = 0; i < 4'000; ++i, ++done) s.one_step();
            if (how == end::closed) s.close();
            if (how == end::context_destroyed) {
                for (auto& w : s.workers) s.destroy(w);
                BOOST_REQUIRE_MESSAGE(s.waiting.empty(), "nobody waits for a context that has ended");
            }
            s.drain();
        }
        for (auto& [what, n] : s.outcomes) all[what] += n;
    }
    return all;
}

} // namespace

BOOST_AUTO_TEST_SUITE(multiplexer_core_simulation)

BOOST_AUTO_TEST_CASE(promises_hold_in_random_schedules)
{
    auto seen = simulate(end::drained);
    for (auto what : {outcome::answer, outcome::error, outcome::lost, outcome::unknown,
                      outcome::no_connection, outcome::overdue, outcome::cancelled})
        BOOST_TEST(seen[what] > 0, "outcome " << static_cast<int>(what) << " was met");
}

BOOST_AUTO_TEST_CASE(promises_hold_when_it_is_closed)
{
    auto seen = simulate(end::closed);
    BOOST_TEST(seen[outcome::closed] > 0);
}

BOOST_AUTO_TEST_CASE(promises_hold_when_its_context_is_destroyed)
{
    auto seen = simulate(end::context_destroyed);
    BOOST_TEST(seen[outcome::closed] > 0);
    BOOST_TEST(seen[outcome::unknown] > 0);
}

BOOST_AUTO_TEST_SUITE_END()
