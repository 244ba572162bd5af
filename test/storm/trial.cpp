#include "storm/trial.hpp"

#include "storm/reference.hpp"
#include "storm/subject.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

using namespace std::chrono_literals;

namespace storm
{

namespace
{

using steady = std::chrono::steady_clock;

struct mismatch
{
    std::string what;
};

const char* name_of(PGTransactionStatusType s)
{
    switch (s) {
    case PQTRANS_IDLE:
        return "idle";
    case PQTRANS_ACTIVE:
        return "active";
    case PQTRANS_INTRANS:
        return "in a transaction";
    case PQTRANS_INERROR:
        return "in a failed transaction";
    case PQTRANS_UNKNOWN:
        break;
    }
    return "unknown";
}

std::mutex tally_mutex;
std::map<std::string, std::size_t> endings;

void count(const std::string& ending)
{
    std::lock_guard lock(tally_mutex);
    ++endings[ending];
}

// The server's log says which statements failed. Those that close the library's own prepared statements must
// not; the others are the programs'.
class log_watch
{
public:
    explicit log_watch(const databases& on)
        : file_(on.server().folder() / "log")
        , marker_("@" + on.library() + " STATEMENT:  deallocate pgcoro_")
    {
        file_.seekg(0, std::ios::end);
    }

    std::string complaint()
    {
        file_.clear();
        std::string line;
        while (std::getline(file_, line))
            if (line.find(marker_) != line.npos) return line;
        return {};
    }

private:
    std::ifstream file_;
    std::string marker_;
};

class comparison
{
public:
    comparison(const databases& on, const pgcoro::connection_options& connection)
        : effects_(connection.pooler != pgcoro::pooler_mode::transaction)
        , admin_(on.server().uri(on.library()))
        , reference_(on.server().uri(on.reference()))
    {
        admin_.must(fresh_tables);
        reference_.must(fresh_tables);
        log_.emplace(on);
        subject_.emplace(connection, effects_);
    }

    // Throws mismatch.
    void step(const op& o)
    {
        switch (o.what) {
        case kind::release:
            release();
            return;
        case kind::close_stream:
            close_stream(o);
            return;
        case kind::transactional:
        case kind::multiplexed:
            release(); // the locks of the lease would block it
            compare(o);
            return;
        default:
            on_lease(o);
        }
    }

    void end()
    {
        release();
        subject_->acquire();
        same("at the end", subject_->digest(), digest());
        if (effects_) {
            auto prepared = std::stoul(
                subject_->value("select count(*)::text from pg_prepared_statements where not from_sql"));
            if (prepared > subject::statement_cache_size)
                throw mismatch{"the session has " + std::to_string(prepared) + " prepared statements"};
        }
        subject_->release();
        subject_->settle();
        let_sessions_end();
        auto locks = admin_.value("select coalesce(string_agg(concat_ws(' ', l.pid, locktype, mode, "
                                  "relation::regclass), '; '), '') from pg_locks "
                                  "l join pg_stat_activity a using (pid) where a.datname = "
                                  "current_database() and a.pid <> pg_backend_pid() and "
                                  "a.backend_type = 'client backend'");
        if (!locks.empty()) throw mismatch{"an idle connection holds locks: " + locks};
        if (auto line = log_->complaint(); !line.empty()) throw mismatch{"a statement failed: " + line};
    }

private:
    std::string digest() { return reference_.value(effects_ ? digest_query : tables_query); }

    static void same(const std::string& when, const std::string& library, const std::string& reference)
    {
        if (library != reference)
            throw mismatch{when + "\n      library:   " + library + "\n      reference: " + reference};
    }

    void same_status(const std::string& when)
    {
        if (!subject_->is_held()) same(when, name_of(subject_->status()), name_of(reference_.status()));
    }

    void release()
    {
        subject_->release();
        reference_.release();
    }

    // The next lease sees nothing of the one before.
    void acquire()
    {
        subject_->acquire();
        same("what a new lease sees", subject_->digest(), digest());
    }

    void on_lease(const op& o)
    {
        if (!subject_->has_lease() && o.how == harm::nothing) acquire();
        bool is_held = subject_->is_held();
        bool is_dead = o.what == kind::run_prepared && subject_->is_prepared_statement_dead(o.count);
        if ((!is_held || o.what == kind::reset) && !is_dead) return compare(o);
        auto undisturbed = o;
        undisturbed.how = harm::nothing;
        auto got = subject_->run(undisturbed);
        same("the outcome while a stream is open, or of a handle whose lease ended", got.ending,
             is_nothing(o) ? "ok" : "misuse");
        count("misuse");
    }

    // It sends nothing, so that it cannot disturb a stream that is open.
    bool is_nothing(const op& o) const
    {
        if (o.what == kind::run_prepared) return !subject_->has_prepared_statement(o.count);
        if (o.what == kind::pipeline) return o.statements.empty();
        if (o.what == kind::insert_many) return o.count == 0;
        if (o.what == kind::stream) return o.at == 0 && !o.statements.front().counts_only(); // that one is read to its end
        return o.what == kind::copy_out && o.at == 0;
    }

    void close_stream(const op& o)
    {
        if (!subject_->has_stream()) return;
        bool dead = subject_->stream_is_dead();
        auto got = subject_->close_stream(o.flag);
        if (dead) {
            reference_.close_stream(false);
            if (o.flag) same("the outcome of a stream whose lease ended", got.ending, "misuse");
            return;
        }
        auto wanted = reference_.close_stream(o.flag);
        if (!o.flag) return resolve(o);
        same("the rest of a stream", got.text(), wanted.text());
        same_status("the transaction's status behind a stream");
    }

    void compare(const op& o)
    {
        auto got = subject_->run(o);
        count(got.ending);
        bool touches_d =
            std::ranges::any_of(o.statements, [](auto& s) { return s.sql().starts_with("select *"); });
        bool cancelled = got.ending == "cancelled";
        // A cached plan that does not fit its table any more is an error in a transaction, once.
        bool in_transaction = o.what == kind::transactional || reference_.status() != PQTRANS_IDLE;
        bool stale = got.ending == "0A000" && touches_d && in_transaction;
        bool left = subject_->left();
        // A transactional body that leaves a stream has succeeded as a whole, or has failed as a whole.
        if (o.what == kind::transactional && left) left = !got.ok();
        if (cancelled || stale || left || subject_->stopped()) {
            last_ = got;
            return resolve(o);
        }
        auto wanted = reference_.perform(o);
        same("the outcome", got.text(), wanted.text());
        if (subject_->has_lease()) same_status("the transaction's status");
    }

    static bool is_several(const op& o)
    {
        return o.what == kind::multiplexed || (o.what == kind::pipeline && o.flag);
    }

    // Has the reference do what the library did.
    void redo(const op& o)
    {
        if (is_several(o))
            reference_.perform_inserts(o, subject_->inserted_by(o));
        else if (o.what == kind::close_stream)
            throw mismatch{"leaving a stream changed something"};
        else
            reference_.perform(o);
    }

    // The operation was disturbed, so that it may have taken effect, or not; a transaction may have failed.
    // Looks which it was: nothing between the two is allowed.
    void resolve(const op& o)
    {
        bool own_lease = o.what != kind::transactional && o.what != kind::multiplexed;
        if (!own_lease || o.release_then)
            resolve_released(o);
        else
            resolve_on_lease(o);
    }

    // A session whose connection was cut may still be executing, and commits after that.
    void let_sessions_end()
    {
        auto until = steady::now() + 60s;
        while (admin_.value("select count(*) from pg_stat_activity where datname = current_database() and "
                            "backend_type = 'client backend' and state <> 'idle' and pid <> pg_backend_pid()") != "0") {
            if (steady::now() > until) throw mismatch{"a session is busy without a caller"};
            std::this_thread::sleep_for(5ms);
        }
    }

    void resolve_released(const op& o)
    {
        subject_->release();
        subject_->acquire();
        let_sessions_end();
        bool was_commit = o.text == "commit" && reference_.status() == PQTRANS_INTRANS;
        if (was_commit) {
            auto tables = reference_.value(tables_query);
            if (subject_->value(tables_query) == tables) reference_.perform(o);
        }
        bool was_idle = reference_.status() == PQTRANS_IDLE;
        auto same_work = reference_.without_handle(o); // the handle goes with the lease
        reference_.release();
        auto library = subject_->digest();
        if (library == digest()) return;
        if (was_idle) {
            redo(same_work);
            reference_.release();
        }
        same("what a lease sees after " + last_.ending, library, digest());
    }

    void resolve_on_lease(const op& o)
    {
        auto probe = subject_->probe();
        if (!probe.ok() && probe.ending != "25P02")
            throw mismatch{"the statement after " + last_.ending + ": " + probe.ending};
        if (subject_->status() == PQTRANS_INERROR) {
            if (reference_.status() == PQTRANS_IDLE)
                throw mismatch{"a failed transaction where none was open"};
            reference_.fail_transaction();
            return;
        }
        auto library = subject_->digest();
        if (subject_->status() == reference_.status() && library == digest()) return;
        redo(o);
        same("the transaction's status after " + last_.ending, name_of(subject_->status()),
             name_of(reference_.status()));
        same("what the session sees after " + last_.ending, library, digest());
    }

    bool effects_;
    reference admin_;
    reference reference_;
    std::optional<log_watch> log_;
    std::optional<subject> subject_;
    outcome last_;
};

} // namespace

databases::databases(const pgcoro::testing::server& server, int number)
    : server_(server)
    , library_("storm_library_" + std::to_string(number))
    , reference_("storm_reference_" + std::to_string(number))
{
    for (auto* name : {&library_, &reference_}) {
        server.psql("create database " + *name);
        server.psql(std::string(schema) + "grant all on all tables in schema public to storm_user", *name);
    }
}

std::optional<difference> run(const program& p, const databases& on,
                              const pgcoro::connection_options& connection)
{
    std::size_t at = 0;
    try {
        comparison both(on, connection);
        for (; at < p.size(); ++at) both.step(p[at]);
        both.end();
        return std::nullopt;
    } catch (const mismatch& m) {
        return difference{at, m.what};
    } catch (const std::exception& e) {
        return difference{at, e.what()};
    }
}

// What stays the same while a program that shows it is shrunk.
static std::string kind_of(const difference& d)
{
    constexpr std::size_t enough = 16;
    return d.what.substr(0, std::min(d.what.find('\n'), enough));
}

program shrink(program p, const std::string& what, const databases& on,
               const pgcoro::connection_options& connection, int tries, std::chrono::seconds limit)
{
    auto until = steady::now() + limit;
    auto fails = [&](const program& q) {
        for (int i = 0; i < tries && steady::now() < until; ++i) {
            auto found = run(q, on, connection);
            if (found && kind_of(*found) == kind_of({0, what})) return true;
        }
        return false;
    };
    for (auto size = std::max<std::size_t>(p.size() / 2, 1);; size = std::max<std::size_t>(size / 2, 1)) {
        bool smaller = false;
        for (std::size_t at = 0; at < p.size() && steady::now() < until;) {
            auto without = p;
            auto first = without.begin() + static_cast<std::ptrdiff_t>(at);
            without.erase(first, first + static_cast<std::ptrdiff_t>(std::min(size, p.size() - at)));
            if (fails(without)) {
                p = std::move(without);
                smaller = true;
            } else {
                at += size;
            }
        }
        if ((size == 1 && !smaller) || steady::now() >= until) return p;
    }
}

std::string tally()
{
    std::lock_guard lock(tally_mutex);
    std::string text;
    for (auto& [ending, n] : endings)
        text += (text.empty() ? "" : ", ") + ending.substr(0, 40) + " " + std::to_string(n);
    return text;
}

} // namespace storm
