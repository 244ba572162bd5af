// The pool's mind: which connection goes to whom, when to open, check and close. No I/O, no lock, no clock:
// events come in with the time they happened at, actions go out.
#pragma once

#include <pgcoro/observer/observer.hpp>
#include <pgcoro/pool/options.hpp>

#include <boost/container/small_vector.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

namespace pgcoro::detail
{

class pool_core
{
public:
    using time_point = std::chrono::steady_clock::time_point;
    using duration = std::chrono::steady_clock::duration;
    using slot_id = std::uint32_t;

    // A check or a login that has been silent for this long no longer counts as a connection on its way: the
    // pool tries the next connection for the waiting caller, while the silent one may still succeed.
    static constexpr std::chrono::milliseconds silent_check_after{250};
    static constexpr std::chrono::milliseconds silent_login_after{1'000};

    // What a caller must do before it uses a connection.
    enum class check : std::uint8_t {
        none,
        peek, // look at its socket
    };

    struct grant
    {
        slot_id slot = 0;
        check need = check::none;
    };

    enum class refusal : std::uint8_t { timeout, closed, connect_failed };

    // A caller that waits. Owned by the caller; must not go away while queued() is true.
    class waiter : public boost::intrusive::list_base_hook<>, public boost::intrusive::set_base_hook<>
    {
    public:
        explicit waiter(time_point until) noexcept
            : deadline(until)
        {}
        bool queued() const noexcept { return list_base_hook<>::is_linked(); }

        time_point deadline;
        friend bool operator<(const waiter& a, const waiter& b) noexcept { return a.deadline < b.deadline; }
    };

    // What is to be done now, outside.
    struct actions
    {
        template <class T>
        using list = boost::container::small_vector<T, 2>;

        list<std::pair<waiter*, grant>> granted;
        list<std::pair<waiter*, refusal>> refused;
        list<slot_id> connect;
        list<slot_id> clean; // bring back to a usable state, then report cleaned()
        list<slot_id> check; // ask the server for an answer, then report checked()
        list<std::pair<slot_id, close_reason>> close;
    };

    struct counts
    {
        std::size_t idle = 0;
        std::size_t in_use = 0;
        std::size_t connecting = 0;
        std::size_t cleaning = 0; // being checked included
        std::size_t waiting = 0;
        std::size_t open() const noexcept { return idle + in_use + cleaning; }
        std::size_t taken() const noexcept { return open() + connecting; }
    };

    pool_core(const pool_options& options, std::uint64_t seed);

    // An idle connection at once. Nobody overtakes a waiting caller.
    std::optional<grant> try_acquire(time_point now);
    // Puts a caller in the queue; `first` if it had its turn and got a dead connection. Returns false when
    // too many wait. A caller whose deadline has passed is refused at once, unless it is served at once.
    bool enqueue(waiter& w, bool first, time_point now, actions& out);
    // It no longer wants one. False when it is not queued: it was granted a connection, or refused.
    bool cancel(waiter& w);

    // A connection comes back. What it was left as:
    enum class returned : std::uint8_t { clean, dirty, broken };
    void release(slot_id slot, returned as, time_point now, actions& out);
    // The same for a clean one when nobody waits, without actions; false when there is more to do.
    bool park(slot_id slot, time_point now);

    // Of one in use, by whoever has it, at any time, beside all else: it was used just now and is in order.
    void used(slot_id slot, time_point now) noexcept { slots_[slot].used = slots_[slot].proved = now; }
    // May it be used again without a check, and without asking?
    bool as_good_as_new(slot_id slot, time_point now) const noexcept;
    // May connections in use go from one caller to the next without coming back here?
    bool at_ease() const noexcept
    {
        return queue_.empty() && !closed_ && !suspended_ &&
               (options_.overflow_linger.count() > 0 || counts_.taken() <= options_.size);
    }
    // Such a one comes back after all, as it was left.
    void take_in(slot_id slot, time_point now, actions& out);

    // What `clean` asked for is done.
    void cleaned(slot_id slot, bool usable, time_point now, actions& out);
    // What `check` asked for is done. One that is not alive is closed, and all older ones are suspect.
    void checked(slot_id slot, bool alive, time_point now, actions& out);
    // A caller looked at the socket of the connection it was granted, and it is in order.
    void proved(slot_id slot, time_point now) noexcept;

    // It is replaced at a time between the last two at the latest; see recycle_after.
    void connected(slot_id slot, time_point now, actions& out, time_point retired_first = time_point::max(),
                   time_point retired_last = time_point::max());
    // `permanent`: trying again will not help (a wrong password). All waiting callers are refused then, if no
    // connection is open that they could wait for.
    void connect_failed(slot_id slot, bool permanent, time_point now, actions& out);

    // Time has passed: callers whose deadline has come, connections too old or idle for too long, checks and
    // logins that are silent.
    void tick(time_point now, actions& out);
    // When tick() should be called next at the latest.
    time_point next_tick() const;

    // Keep at least this many connections open; also against idle_timeout.
    void warm(std::size_t n, time_point now, actions& out);
    // Replaces what is there: closes the idle now, the leased when they come back, those that are being
    // opened when they arrive.
    void evict(time_point now, actions& out);
    // Hand out nothing until resume(): callers wait, and time out.
    void suspend() noexcept { suspended_ = true; }
    void resume(time_point now, actions& out);
    // Nobody gets a connection any more; what comes back is closed.
    void close(actions& out);

    bool closed() const noexcept { return closed_; }
    const counts& count() const noexcept { return counts_; }
    std::size_t capacity() const noexcept { return slots_.size(); }
    bool in_use(slot_id slot) const noexcept { return slots_[slot].state == state::in_use; }
    bool cleaning(slot_id slot) const noexcept { return slots_[slot].state == state::cleaning; }
    time_point opened_at(slot_id slot) const noexcept { return slots_[slot].opened; }

private:
    enum class state : std::uint8_t { empty, connecting, idle, in_use, cleaning };
    enum class need : std::uint8_t { none, peek, ping };

    struct alignas(64) entry // no line for two, which may be used by two threads
    {
        pool_core::state state = state::empty;
        std::uint32_t generation = 0;
        bool evicted = false;
        bool checking = false; // cleaning: the pool asks it for an answer
        bool awaited = false;  // connecting, checking: not silent yet, so it counts as on its way
        bool trusted = false;  // checking: not suspect when that began
        time_point opened;
        time_point expires;
        time_point used;   // by a caller
        time_point proved; // to be alive
        time_point begun;  // connecting, checking: since
    };

    void set_state(slot_id slot, state to) noexcept;
    bool expired(const entry& s, time_point now) const noexcept { return now >= s.expires || s.evicted; }
    close_reason why_expired(const entry& s) const noexcept
    {
        return s.evicted ? close_reason::evicted : close_reason::expired;
    }
    need needed_check(const entry& s, time_point now) const noexcept;
    bool surplus() const noexcept
    {
        return options_.overflow_linger.count() == 0 && counts_.open() > options_.size;
    }
    bool idle_for_too_long(const entry& s, time_point now) const noexcept;
    void await(entry& s, time_point now) noexcept;
    void await_no_longer(entry& s) noexcept;
    void begin_check(slot_id slot, time_point now, actions& out);
    void grant_to_first(slot_id slot, check what, actions& out);
    void offer(slot_id slot, bool proven, time_point now, actions& out);
    void serve(time_point now, actions& out);
    void discard(slot_id slot, close_reason why, actions& out);
    void found_dead(slot_id slot, time_point now, actions& out);
    void suspect_all() noexcept;
    bool wants_connection() const noexcept;
    void start_connects(time_point now, actions& out);
    void refuse(waiter& w, refusal why, actions& out);
    void unlink(waiter& w);

    pool_options options_;
    std::minstd_rand random_;
    std::vector<entry> slots_;
    std::vector<slot_id> empty_;
    std::vector<slot_id> idle_; // a stack: what was used last is used next, the rest may age
    boost::intrusive::list<waiter> queue_;
    boost::intrusive::multiset<waiter> deadlines_;
    counts counts_;
    std::size_t awaited_logins_ = 0;
    std::size_t awaited_checks_ = 0;
    std::size_t trusted_checks_ = 0;           // of those
    std::atomic<std::uint32_t> generation_{0}; // read without the lock, too
    std::size_t warm_ = 0;
    unsigned failures_ = 0; // connects in a row
    time_point connect_after_{};
    bool suspended_ = false;
    bool closed_ = false;
};

} // namespace pgcoro::detail
