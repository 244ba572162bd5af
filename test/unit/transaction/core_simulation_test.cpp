// The transaction core against model servers: random conversations that are cut at every message, and servers that
// crash, fail over, wait for a standby, stand behind a pooler, have somebody else's prepared transaction, or are
// replaced by another database cluster. PGCORO_SIMULATION_STEPS and PGCORO_SIMULATION_SEED set how long, and which.
#include "from_environment.hpp"
#include "transaction/core.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

using pgcoro::sqlstate;
using pgcoro::detail::outcome_answer;
using pgcoro::detail::server_identity;
using pgcoro::detail::transaction_cause;
using core = pgcoro::detail::transaction_core;
using decision = core::decision;
using closing = core::closing;

namespace
{

constexpr int ours = 1; // the effect that is counted; 0 is that of other transactions

struct transaction
{
    enum class status { in_progress, committed, aborted, prepared };
    std::uint64_t id = 0;
    status now = status::in_progress;
    int effect = 0;
    int notifies = 0;
    std::uint64_t marker = 0;
    bool blocks = false; // it is an asker's, which put the marker there to keep another one from committing
    int gid = 0;
    bool waits = false; // in COMMIT, for a standby: committed, and seen as in progress
    bool replicated = false;
};

struct server
{
    server_identity identity;
    std::uint64_t next = 0; // id
    bool standby = false; // the address leads to one for a while
    std::vector<transaction> log;

    transaction* find(std::uint64_t id)
    {
        for (auto it = log.rbegin(); it != log.rend(); ++it)
            if (it->id == id) return &*it;
        return nullptr;
    }
    const transaction* marked_by(std::uint64_t key) const
    {
        auto it = std::find_if(log.begin(), log.end(), [&](auto& t) {
            return t.marker == key && key != 0 && t.now == transaction::status::committed;
        });
        return it == log.end() ? nullptr : &*it;
    }
    int effects() const
    {
        return static_cast<int>(std::count_if(log.begin(), log.end(), [](auto& t) {
            return t.effect == ours &&
                   (t.now == transaction::status::committed || t.now == transaction::status::prepared);
        }));
    }
};

// How one attempt ended.
enum class ending { success, unknown, error, again };

struct simulation
{
    std::mt19937_64 random;
    std::uint64_t steps = 0;

    // The world of one piece of work.
    server now;
    std::optional<server> left_behind; // by a failover, and still there
    std::int64_t lives = 0;
    bool synchronous = false; // commits wait for a standby
    bool stalled = false;     // which does not answer at present
    bool pooler = false;      // the session outlives its server
    int upheavals = 0;        // crashes, failovers, other clusters
    bool other_cluster = false;
    bool lost_by_failover = false; // what was committed went with an asynchronous standby
    int notified = 0;
    int notifications_lost = 0;
    std::uint64_t next_marker = 0;

    // The attempt under way.
    std::uint64_t open = 0; // its id on the server; 0: none
    bool session = false;   // the server has its transaction
    std::int64_t session_life = 0;
    transaction pending; // before it has an id
    bool late_commit = false; // COMMIT is still on its way to the server, though the client has given up
    core::rules rules;
    bool may_ask_id = true;
    bool knows_system = true;
    bool knows_timeline = true;
    bool may_ask_status = true;
    std::string why;        // the outcome is unknown
    bool exhausted = false; // no server answered as often as it was asked
    bool stale = false;     // the server was taken for what it was before
    bool marked = false;    // the last attempt had a marker

    bool chance(double p) { return std::bernoulli_distribution(p)(random); }
    std::uint64_t pick(std::uint64_t n) { return random() % n; }

    std::int64_t life() const { return now.identity.statistics[0]; }

    void new_life()
    {
        ++lives;
        now.identity.statistics = {lives, lives};
    }

    void start_world()
    {
        now = {};
        left_behind.reset();
        lives = 0;
        now.identity = {1 + pick(3), 1 + static_cast<std::uint32_t>(pick(3)), 1, {}};
        new_life();
        now.next = 100 + pick(50);
        synchronous = chance(0.4);
        stalled = false;
        pooler = chance(0.3);
        upheavals = 0;
        other_cluster = lost_by_failover = false;
        notified = notifications_lost = 0;
        rules = {};
        rules.by_id = chance(0.9);
        rules.by_marker = rules.by_id && chance(0.3);
        may_ask_id = chance(0.97);
        knows_system = chance(0.97);
        knows_timeline = chance(0.95);
        may_ask_status = chance(0.97);
        session = late_commit = exhausted = stale = marked = false;
    }

    server_identity visible() const { return visible(now.identity); }
    server_identity visible(server_identity seen) const
    {
        if (!knows_system) seen.system = 0;
        if (!knows_timeline) seen.timeline = 0;
        return seen;
    }

    // ---- the server's side

    std::uint64_t give_id(transaction t)
    {
        t.id = now.next++;
        now.log.push_back(t);
        return t.id;
    }

    void others_work()
    {
        transaction t;
        t.now = chance(0.5) ? transaction::status::committed : transaction::status::aborted;
        t.replicated = !stalled;
        give_id(t);
    }

    void roll_back_open()
    {
        if (auto* t = open ? now.find(open) : nullptr; t && session && t->now == transaction::status::in_progress &&
                                                       !t->waits)
            t->now = transaction::status::aborted;
        session = false;
    }

    void committed(transaction& t)
    {
        t.now = transaction::status::committed;
        notified += t.notifies;
    }

    void release_waiting(bool replicated)
    {
        for (auto& t : now.log) {
            if (t.waits) committed(t);
            t.waits = false;
            if (replicated) t.replicated = true;
        }
    }

    // Ids whose commits were not flushed are given again.
    void forget_unflushed_ids()
    {
        std::uint64_t highest = 99;
        for (auto& t : now.log)
            if (t.now == transaction::status::committed || t.now == transaction::status::prepared || chance(0.5))
                highest = std::max(highest, t.id);
        std::erase_if(now.log, [&](auto& t) { return t.id > highest; });
        now.next = highest + 1;
    }

    void crash()
    {
        ++upheavals;
        for (auto& t : now.log) {
            if (t.waits) committed(t); // recovery finds its commit record
            t.waits = false;
            if (t.now == transaction::status::in_progress) t.now = transaction::status::aborted;
        }
        session = late_commit = false;
        new_life();
        forget_unflushed_ids();
    }

    void fail_over()
    {
        ++upheavals;
        left_behind = now;
        std::vector<transaction> kept;
        for (auto& t : now.log) {
            bool there = synchronous ? t.replicated : t.replicated || chance(0.5);
            if (t.waits && there) committed(t);
            t.waits = false;
            if (t.now == transaction::status::in_progress) continue; // not known there
            if (there)
                kept.push_back(t);
            else if (t.effect == ours && t.now == transaction::status::committed)
                lost_by_failover = true;
        }
        now.log = std::move(kept);
        now.identity.timeline += 1;
        new_life();
        session = late_commit = false;
        forget_unflushed_ids();
        if (!synchronous) stalled = false;
    }

    // Blue and green: the rows were replicated, and the ids were not.
    void switch_clusters()
    {
        ++upheavals;
        other_cluster = true;
        server green;
        green.identity = {now.identity.system + 10, 1, 1, {}};
        green.next = 100 + pick(60);
        std::swap(green.log, now.log);
        std::vector<transaction> rows;
        for (auto& t : green.log)
            if (t.waits || t.now == transaction::status::committed || t.now == transaction::status::prepared) {
                if (t.waits) committed(t);
                t.waits = false;
                t.id = 0;
                t.gid = 0;
                t.now = transaction::status::committed;
                rows.push_back(t);
            }
        green.log.clear();
        now.identity = green.identity;
        now.next = green.next;
        new_life();
        for (auto& t : rows) {
            t.id = now.next++;
            now.log.push_back(t);
        }
        session = late_commit = false;
        for (int i = static_cast<int>(pick(4)); i > 0; --i) others_work();
    }

    bool server_commits(bool with_marker)
    {
        auto* t = open ? now.find(open) : nullptr;
        session = false;
        if (with_marker) {
            if (now.marked_by(pending.marker)) { // blocked meanwhile
                if (t) t->now = transaction::status::aborted;
                return false;
            }
            if (!t) {
                open = give_id(pending);
                t = now.find(open);
            }
            t->marker = pending.marker;
        }
        if (!t) {
            notified += pending.notifies; // without an id nothing waits
            return true;
        }
        if (synchronous && stalled)
            t->waits = true;
        else
            committed(*t), t->replicated = !stalled;
        return true;
    }

    void event()
    {
        ++steps;
        if (chance(0.1)) others_work();
        if (chance(0.02)) {
            stalled = !stalled;
            if (!stalled) release_waiting(true);
        }
        if (late_commit && chance(0.4)) {
            late_commit = false;
            if (session) server_commits(pending.marker != 0);
        }
        if (now.standby) now.standby = chance(0.5);
        if (chance(0.01)) crash();
        if (chance(0.006)) fail_over();
        if (chance(0.003)) switch_clusters();
        if (chance(0.002)) now.standby = true;
    }

    // ---- the client's side

    enum class trip { answered, lost_before, lost_after };

    // Cut before the server has read the message, behind its work, or not at all.
    trip message()
    {
        event();
        bool gone = !session && open; // the server lost the session: crash or failover
        if (chance(0.03) || gone) return trip::lost_before;
        return chance(0.03) ? trip::lost_after : trip::answered;
    }

    void connection_breaks()
    {
        if (chance(0.7)) roll_back_open(); // else the server has not noticed yet
    }

    void tell_id(core& c)
    {
        auto by = now.identity;
        stale = pooler && life() > 1 && !left_behind && chance(0.5); // a session that outlived a crash
        if (stale) by.statistics = {life() - 1, life() - 1};
        if (open)
            c.id_answered(std::to_string(open), visible(by));
        else
            c.id_answered("", {});
    }

    bool alive() const { return session && session_life == life(); }

    ending fail(core& c, bool is_ours, transaction_cause of)
    {
        auto next = c.failed(is_ours, of);
        roll_back_open();
        if (next == decision::run_again) return ending::again;
        return next == decision::report_unknown ? ending::unknown : ending::error;
    }

    void answer_status(const core& c, outcome_answer& a)
    {
        if (may_ask_status && !c.id().empty()) {
            auto id = std::stoull(c.id());
            auto* t = now.find(id);
            if (id >= now.next)
                a.id = outcome_answer::status::not_assigned;
            else if (!t)
                a.id = outcome_answer::status::aborted;
            else if (t->now == transaction::status::committed)
                a.id = outcome_answer::status::committed;
            else if (t->now == transaction::status::aborted)
                a.id = outcome_answer::status::aborted;
            else
                a.id = outcome_answer::status::in_progress;
            a.prepared = t && t->now == transaction::status::prepared && t->gid == 1;
        }
    }

    // Asks whoever answers, some times.
    decision ask(core& c)
    {
        auto next = decision::ask_outcome;
        for (int asked = 0; asked < 12 && next == decision::ask_outcome; ++asked) {
            event();
            if (chance(0.3)) roll_back_open(); // the server notices that its client is gone
            if (chance(0.1)) continue;         // nobody answers
            outcome_answer a;
            if (left_behind && chance(0.3)) { // an old address leads to it
                std::swap(now, *left_behind);
                answer_status(c, a);
                a.server = visible();
                std::swap(now, *left_behind);
                bool there = a.id == outcome_answer::status::committed || a.prepared;
                if (there && synchronous) continue; // it waits for a standby for ever
                a.durable = true;
                next = c.outcome(a);
                continue;
            }
            a.server = visible();
            a.standby = now.standby;
            a.durable = true;
            if (a.standby) {
                next = c.outcome(a);
                continue;
            }
            answer_status(c, a);
            if (c.marked()) {
                auto* found = now.marked_by(pending.marker);
                a.row = !found          ? outcome_answer::marker::absent
                        : found->blocks ? outcome_answer::marker::blocked
                                        : outcome_answer::marker::found;
                auto* holder = std::find_if(now.log.begin(), now.log.end(), [&](auto& t) {
                    return t.marker == pending.marker && t.now == transaction::status::in_progress;
                }) == now.log.end()
                                   ? nullptr
                                   : &now.log.front();
                if (!found && holder) continue; // waits for it
                if (!found && c.may_block(a.server)) {
                    if (synchronous && stalled) continue;
                    transaction mine;
                    mine.marker = pending.marker;
                    mine.now = transaction::status::committed;
                    mine.replicated = true;
                    mine.blocks = true;
                    give_id(mine);
                    if (chance(0.2)) continue; // its answer is lost
                    a.row = outcome_answer::marker::blocked;
                }
            }
            bool there = a.id == outcome_answer::status::committed || a.prepared ||
                         a.row == outcome_answer::marker::found;
            if (there && synchronous) {
                if (stalled) continue; // its own commit waits as well
                release_waiting(true);
            }
            next = c.outcome(a);
        }
        if (next == decision::ask_outcome) {
            exhausted = true;
            c.give_up("nobody answered");
            next = decision::report_unknown;
        }
        return next;
    }

    ending finish(core& c, decision next)
    {
        if (next == decision::ask_outcome) next = ask(c);
        why = c.reason();
        if (next == decision::report_success) return ending::success;
        if (next == decision::run_again) return ending::again;
        return next == decision::report_unknown ? ending::unknown : ending::error;
    }

    // The last statement, and COMMIT with it.
    ending ride(core& c, bool writes)
    {
        marked = c.wants_marker(true);
        if (marked) {
            pending.marker = ++next_marker;
            c.marker_sent();
        }
        c.end_sent(closing::commit, true);
        auto told = message();
        if (told == trip::lost_before || !session) {
            connection_breaks();
            return finish(c, c.end_lost({}));
        }
        if (chance(0.02)) {
            roll_back_open();
            c.end_refused();
            return fail(c, true, transaction_cause::deadlock);
        }
        if (writes && !open) open = give_id(pending);
        server_commits(marked);
        auto* t = open ? now.find(open) : nullptr;
        if ((t && t->waits) || told == trip::lost_after) return finish(c, c.end_lost({}));
        return finish(c, c.end_answered("COMMIT", true));
    }

    // One attempt at a piece of work that writes, notifies, or reads.
    ending attempt(bool writes, bool notifies, bool prepares)
    {
        core c(rules);
        open = 0;
        session = true;
        session_life = life();
        late_commit = false;
        pending = {};
        pending.effect = writes ? ours : 0;
        if (!may_ask_id) c.id_is_denied();
        if (!pooler && chance(0.5)) c.server_known(visible());

        const int statements = 1 + static_cast<int>(pick(3));
        const auto writer = static_cast<int>(pick(static_cast<std::uint64_t>(statements)));
        for (int i = 0; i < statements; ++i) {
            bool last = i == statements - 1;
            if (last && !prepares && c.may_ride() && !(notifies && writer == i) && chance(0.5))
                return ride(c, writes && i == writer);
            c.statement_sent();
            auto how = message();
            if (how == trip::lost_before && !alive()) session = false;
            if (chance(0.01)) { // the server ended the session while it was idle
                roll_back_open();
                c.connection_lost(sqlstate("25P03"));
                return fail(c, true, c.lost_by());
            }
            if (how == trip::lost_before) {
                connection_breaks();
                c.connection_lost({});
                return fail(c, true, c.lost_by());
            }
            if (i == writer && writes && !open) {
                if (session) open = give_id(pending);
            }
            if (i == writer && notifies) {
                pending.notifies = 1;
                if (open) now.find(open)->notifies = 1;
                c.acts_elsewhere();
            }
            if (how == trip::lost_after) {
                connection_breaks();
                c.connection_lost({});
                return fail(c, true, c.lost_by());
            }
            if (chance(0.02)) {
                c.statement_refused(true);
                return fail(c, chance(0.7), transaction_cause::deadlock);
            }
            bool asked = c.wants_id() && chance(0.7); // else streamed, or abandoned by the body
            if (asked) tell_id(c);
        }
        if (chance(0.02)) return fail(c, false, transaction_cause::serialization); // the body throws

        // The end.
        const auto how = prepares ? closing::prepare : closing::commit;
        for (;;) {
            auto next = c.end(how);
            if (next == decision::send) break;
            BOOST_REQUIRE(next == decision::ask_for_id || next == decision::force_id);
            c.statement_sent();
            auto told = message();
            if (told != trip::answered || !session) {
                connection_breaks();
                c.connection_lost({});
                return fail(c, true, c.lost_by());
            }
            if (next == decision::force_id && !open) {
                open = give_id(pending);
            }
            tell_id(c);
        }
        marked = !prepares && c.wants_marker(false);
        if (marked) pending.marker = ++next_marker;
        c.end_sent(how);
        if (marked) c.marker_sent();
        auto told = message();
        if (told == trip::lost_before || !session) {
            // The message may still be on its way.
            if (session && !prepares && chance(0.5))
                late_commit = true;
            else
                connection_breaks();
            return finish(c, c.end_lost({}));
        }
        if (chance(0.02)) {
            roll_back_open();
            c.end_refused();
            return fail(c, true, transaction_cause::serialization);
        }
        if (prepares) {
            auto* t = now.find(open);
            bool taken = std::any_of(now.log.begin(), now.log.end(), [](auto& other) {
                return other.now == transaction::status::prepared && other.gid == 1;
            });
            session = false;
            if (taken || !t) {
                if (t) t->now = transaction::status::aborted;
                if (told == trip::lost_after) return finish(c, c.end_lost({}));
                c.end_refused();
                return fail(c, true, transaction_cause::none);
            }
            t->now = transaction::status::prepared;
            t->gid = 1;
            t->replicated = !stalled || !synchronous;
            if (told == trip::lost_after) return finish(c, c.end_lost({}));
            return finish(c, c.end_answered("PREPARE TRANSACTION", t->replicated));
        }
        bool done = server_commits(marked);
        if (!done) {
            c.end_refused();
            return fail(c, true, transaction_cause::none);
        }
        auto* t = open ? now.find(open) : nullptr;
        bool waits = t && t->waits;
        if (waits && chance(0.3)) { // an administrator cancels the wait
            t->waits = false;
            committed(*t);
            return finish(c, c.end_answered("COMMIT", false));
        }
        if (waits || told == trip::lost_after) return finish(c, c.end_lost({}));
        return finish(c, c.end_answered("COMMIT", true));
    }

    void work()
    {
        start_world();
        const bool prepares = chance(0.1);
        const bool writes = prepares || chance(0.8);
        const bool notifies = !prepares && chance(0.15);
        if (prepares && chance(0.3)) { // somebody else has the name
            transaction t;
            t.now = transaction::status::prepared;
            t.gid = 1;
            t.replicated = true;
            give_id(t);
        }
        auto end = ending::again;
        int attempts = 0;
        for (; end == ending::again && attempts < 6; ++attempts) end = attempt(writes, notifies, prepares);
        // Whatever is still on its way arrives.
        if (late_commit && session) server_commits(pending.marker != 0);
        late_commit = false;
        roll_back_open();
        if (!synchronous) release_waiting(false);

        BOOST_REQUIRE_MESSAGE(now.effects() <= 1, "the work took effect twice");
        // A notification leaves nothing behind that a server could be asked about after its crash.
        if (rules.by_id && may_ask_id && upheavals == 0) BOOST_REQUIRE_MESSAGE(notified <= 1, "it notified twice");
        if (end == ending::success && writes) {
            if (synchronous) {
                // The standby takes over at this moment: what was reported must be there.
                if (!other_cluster) fail_over();
                BOOST_REQUIRE_MESSAGE(now.effects() == 1 || other_cluster, "lost after success");
            } else {
                BOOST_REQUIRE_MESSAGE(now.effects() == 1 || lost_by_failover, "success without an effect");
            }
        }
        if (end == ending::error || end == ending::again) {
            release_waiting(false);
            BOOST_REQUIRE_MESSAGE(now.effects() == 0, "an effect after an error");
        }
        if (end == ending::unknown) {
            bool all_rights = may_ask_id && knows_system && knows_timeline && may_ask_status;
            bool nobody_can_know = !rules.by_id || !all_rights || exhausted || other_cluster ||
                                   ((upheavals > 0 || stale) && !marked);
            BOOST_REQUIRE_MESSAGE(nobody_can_know, "unknown, though it could be found out: " << why);
            ++unknown;
        }
        ++ended;
    }

    std::uint64_t ended = 0;
    std::uint64_t unknown = 0;
};

} // namespace

BOOST_AUTO_TEST_SUITE(transaction_core_simulation)

BOOST_AUTO_TEST_CASE(random_cuts_never_double_lose_or_hide_a_transaction)
{
    simulation s;
    auto seed = test::from_environment("PGCORO_SIMULATION_SEED", std::random_device{}());
    auto steps = test::from_environment("PGCORO_SIMULATION_STEPS", test::repeated(2'000'000));
    s.random.seed(seed);
    BOOST_TEST_MESSAGE("seed " << seed);
    BOOST_TEST_CONTEXT("PGCORO_SIMULATION_SEED=" << seed)
    {
        while (s.steps < steps) s.work();
        BOOST_TEST(s.ended > 0u);
        BOOST_TEST_MESSAGE(s.ended << " pieces of work, " << s.unknown << " of unknown outcome");
    }
}

BOOST_AUTO_TEST_SUITE_END()
