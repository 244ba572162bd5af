#include "pool/core.hpp"

#include <pgcoro/detail/time.hpp>

#include <algorithm>
#include <utility>

namespace pgcoro::detail
{

namespace
{

// Between failed connects: a sick server is not stormed, and a recovered one soon found.
constexpr std::chrono::milliseconds first_backoff{25};
constexpr std::chrono::milliseconds longest_backoff{1'000};

} // namespace

pool_core::pool_core(const pool_options& options, std::uint64_t seed)
    : options_(options)
    , random_(static_cast<std::minstd_rand::result_type>(seed))
    , slots_(options.size + options.max_overflow)
{
    for (auto id = static_cast<slot_id>(slots_.size()); id-- > 0;) empty_.push_back(id);
    idle_.reserve(slots_.size());
}

void pool_core::set_state(slot_id id, state to) noexcept
{
    auto counter = [&](state s) -> std::size_t* {
        switch (s) {
        case state::connecting:
            return &counts_.connecting;
        case state::idle:
            return &counts_.idle;
        case state::in_use:
            return &counts_.in_use;
        case state::cleaning:
            return &counts_.cleaning;
        case state::empty:
            break;
        }
        return nullptr;
    };
    auto& s = slots_[id].state;
    if (auto* n = counter(s)) --*n;
    if (auto* n = counter(to)) ++*n;
    s = to;
}

pool_core::need pool_core::needed_check(const entry& s, time_point now) const noexcept
{
    if (s.generation != generation_) return need::ping; // another one, no older than this, was found dead
    switch (options_.pre_ping) {
    case pre_ping::never:
        return need::none;
    case pre_ping::always:
        return need::ping;
    case pre_ping::when_idle:
        break;
    }
    auto idle = now - s.proved;
    return idle < options_.alive_bypass ? need::none : idle < options_.ping_after ? need::peek : need::ping;
}

std::optional<pool_core::grant> pool_core::try_acquire(time_point now)
{
    if (idle_.empty() || !queue_.empty() || closed_ || suspended_) return std::nullopt;
    auto id = idle_.back();
    auto& s = slots_[id];
    if (expired(s, now)) return std::nullopt; // enqueue() throws it out
    auto what = needed_check(s, now);
    if (what == need::ping) return std::nullopt; // enqueue() begins the check
    idle_.pop_back();
    set_state(id, state::in_use);
    return grant{id, what == need::none ? check::none : check::peek};
}

bool pool_core::enqueue(waiter& w, bool first, time_point now, actions& out)
{
    if (!first && options_.max_waiters && queue_.size() >= options_.max_waiters) return false;
    if (first)
        queue_.push_front(w);
    else
        queue_.push_back(w);
    deadlines_.insert(deadlines_.end(), w); // most are the latest so far, and need no search
    counts_.waiting = queue_.size();
    serve(now, out);
    // What serve() began for it goes on, and is there for the next caller.
    if (w.queued() && w.deadline <= now) refuse(w, refusal::timeout, out);
    return true;
}

// Does for the waiting callers what can be done: hands out idle connections, begins checks and connects.
void pool_core::serve(time_point now, actions& out)
{
    while (!suspended_ && !idle_.empty() && !queue_.empty()) {
        auto id = idle_.back();
        auto& s = slots_[id];
        if (expired(s, now)) {
            idle_.pop_back();
            discard(id, why_expired(s), out);
            continue;
        }
        auto what = needed_check(s, now);
        if (what == need::ping && awaited_checks_ >= queue_.size()) break;
        idle_.pop_back();
        if (what == need::ping)
            begin_check(id, now, out);
        else
            grant_to_first(id, what == need::none ? check::none : check::peek, out);
    }
    start_connects(now, out);
}

void pool_core::grant_to_first(slot_id id, check what, actions& out)
{
    auto& w = queue_.front();
    unlink(w);
    set_state(id, state::in_use);
    out.granted.emplace_back(&w, grant{id, what});
}

void pool_core::unlink(waiter& w)
{
    queue_.erase(queue_.iterator_to(w));
    deadlines_.erase(deadlines_.iterator_to(w));
    counts_.waiting = queue_.size();
}

bool pool_core::cancel(waiter& w)
{
    if (!w.queued()) return false;
    unlink(w);
    return true;
}

void pool_core::refuse(waiter& w, refusal why, actions& out)
{
    unlink(w);
    out.refused.emplace_back(&w, why);
}

void pool_core::discard(slot_id id, close_reason why, actions& out)
{
    set_state(id, state::empty);
    empty_.push_back(id);
    out.close.emplace_back(id, why);
}

// In the states connecting and checking.
void pool_core::await(entry& s, time_point now) noexcept
{
    s.awaited = true;
    s.begun = now;
    if (!s.checking) {
        ++awaited_logins_;
        return;
    }
    ++awaited_checks_;
    s.trusted = s.generation == generation_;
    if (s.trusted) ++trusted_checks_;
}

void pool_core::await_no_longer(entry& s) noexcept
{
    if (!std::exchange(s.awaited, false)) return;
    if (!s.checking) {
        --awaited_logins_;
        return;
    }
    --awaited_checks_;
    if (std::exchange(s.trusted, false)) --trusted_checks_;
}

// The slot is in no list.
void pool_core::begin_check(slot_id id, time_point now, actions& out)
{
    auto& s = slots_[id];
    set_state(id, state::cleaning);
    s.checking = true;
    await(s, now);
    out.check.push_back(id);
}

// The slot is in no list; it goes to the caller that waits longest, or among the idle. `proven`: it needs no
// check, whatever the options say, because it has answered just now.
void pool_core::offer(slot_id id, bool proven, time_point now, actions& out)
{
    if (proven && !queue_.empty() && !suspended_) {
        grant_to_first(id, check::none, out);
    } else if (surplus() && (queue_.empty() || suspended_)) {
        return discard(id, close_reason::overflow, out);
    } else {
        set_state(id, state::idle);
        idle_.push_back(id);
    }
    serve(now, out);
}

bool pool_core::park(slot_id id, time_point now)
{
    auto& s = slots_[id];
    if (!queue_.empty() || closed_ || surplus() || expired(s, now)) return false;
    used(id, now);
    set_state(id, state::idle);
    idle_.push_back(id);
    return true;
}

void pool_core::release(slot_id id, returned as, time_point now, actions& out)
{
    if (closed_) {
        discard(id, as == returned::broken ? close_reason::broken : close_reason::pool_closed, out);
        return;
    }
    switch (as) {
    case returned::dirty:
        set_state(id, state::cleaning);
        out.clean.push_back(id);
        return;
    case returned::broken:
        found_dead(id, now, out);
        return;
    case returned::clean:
        break;
    }
    used(id, now);
    take_in(id, now, out);
}

void pool_core::take_in(slot_id id, time_point now, actions& out)
{
    auto& s = slots_[id];
    if (expired(s, now)) {
        discard(id, why_expired(s), out);
        serve(now, out);
        return;
    }
    offer(id, false, now, out);
}

bool pool_core::as_good_as_new(slot_id id, time_point now) const noexcept
{
    auto& s = slots_[id];
    return now < s.expires && needed_check(s, now) == need::none;
}

void pool_core::proved(slot_id id, time_point now) noexcept
{
    slots_[id].generation = generation_;
    slots_[id].proved = now;
}

void pool_core::cleaned(slot_id id, bool usable, time_point now, actions& out)
{
    if (usable) return release(id, returned::clean, now, out);
    discard(id, closed_ ? close_reason::pool_closed : close_reason::not_cleaned, out);
    serve(now, out);
}

void pool_core::checked(slot_id id, bool alive, time_point now, actions& out)
{
    auto& s = slots_[id];
    await_no_longer(s);
    s.checking = false;
    if (closed_) return discard(id, alive ? close_reason::pool_closed : close_reason::broken, out);
    if (!alive) return found_dead(id, now, out);
    proved(id, now);
    if (!expired(s, now)) return offer(id, true, now, out);
    discard(id, why_expired(s), out);
    serve(now, out);
}

void pool_core::found_dead(slot_id id, time_point now, actions& out)
{
    suspect_all();
    discard(id, close_reason::broken, out);
    serve(now, out);
}

// All that are open must be checked before reuse. Callers do not rely on the checks under way alone, either.
void pool_core::suspect_all() noexcept
{
    ++generation_;
    if (std::exchange(trusted_checks_, 0) > 0)
        for (auto& s : slots_) s.trusted = false;
}

void pool_core::connected(slot_id id, time_point now, actions& out, time_point retired_first,
                          time_point retired_last)
{
    failures_ = 0;
    connect_after_ = {};
    auto& s = slots_[id];
    await_no_longer(s);
    s.generation = generation_;
    s.opened = s.used = s.proved = now;
    s.expires = time_point::max();
    if (options_.recycle_after.count() > 0) {
        auto share = std::uniform_real_distribution<double>(0, options_.recycle_jitter)(random_);
        s.expires = time_after(now, options_.recycle_after - options_.recycle_after * share);
    }
    if (retired_first != time_point::max()) {
        auto share = std::uniform_real_distribution<double>(0, 1)(random_);
        s.expires = std::min(s.expires, time_after(retired_first, (retired_last - retired_first) * share));
    }
    if (closed_) return discard(id, close_reason::pool_closed, out);
    set_state(id, state::cleaning); // it is open, and nobody has it yet
    if (!s.evicted) return offer(id, true, now, out);
    discard(id, close_reason::evicted, out);
    serve(now, out);
}

void pool_core::connect_failed(slot_id id, bool permanent, time_point now, actions& out)
{
    auto& s = slots_[id];
    await_no_longer(s);
    set_state(id, state::empty);
    empty_.push_back(id);
    if (closed_) return;
    // Begun before evict(), it says nothing of what a connect does now.
    if (!s.evicted) {
        auto ceiling = std::min<duration>(first_backoff * (1 << std::min(failures_, 10u)), longest_backoff);
        ++failures_;
        // Between half of it and all: pools on many machines do not come back in step.
        std::uniform_int_distribution<duration::rep> some(ceiling.count() / 2, ceiling.count());
        connect_after_ = time_after(now, duration(some(random_)));
        if (permanent && counts_.open() == 0)
            while (!queue_.empty()) refuse(queue_.front(), refusal::connect_failed, out);
    }
    serve(now, out);
}

// Is one to be opened, for a caller or to keep the base warm, and may it? A caller relies on a login, or on
// the check of a connection that is not suspect, until that has been silent for a while.
bool pool_core::wants_connection() const noexcept
{
    if (closed_ || empty_.empty() || awaited_logins_ >= options_.max_connecting) return false;
    return (counts_.waiting > awaited_logins_ + trusted_checks_ && !suspended_) || counts_.taken() < warm_;
}

void pool_core::start_connects(time_point now, actions& out)
{
    while (wants_connection() && now >= connect_after_) {
        auto id = empty_.back();
        empty_.pop_back();
        set_state(id, state::connecting);
        auto& s = slots_[id];
        s.evicted = s.checking = false;
        await(s, now);
        out.connect.push_back(id);
    }
}

// Beyond what warm() asked for.
bool pool_core::idle_for_too_long(const entry& s, time_point now) const noexcept
{
    return options_.idle_timeout.count() > 0 && counts_.taken() > warm_ &&
           now >= time_after(s.used, options_.idle_timeout);
}

void pool_core::tick(time_point now, actions& out)
{
    while (!deadlines_.empty() && deadlines_.begin()->deadline <= now)
        refuse(*deadlines_.begin(), refusal::timeout, out);
    if (awaited_logins_ + awaited_checks_ > 0)
        for (auto& s : slots_) {
            auto limit = s.checking ? silent_check_after : silent_login_after;
            if (s.awaited && now >= time_after(s.begun, limit)) await_no_longer(s);
        }
    // From the one that was idle for longest on, so that those used last stay.
    std::erase_if(idle_, [&](slot_id id) {
        auto& s = slots_[id];
        if (expired(s, now)) {
            discard(id, why_expired(s), out);
        } else if (idle_for_too_long(s, now)) {
            discard(id, close_reason::idle, out);
        } else if (counts_.open() > options_.size && now >= time_after(s.used, options_.overflow_linger)) {
            discard(id, close_reason::overflow, out);
        } else if (options_.keepalive.count() > 0 && now >= time_after(s.proved, options_.keepalive)) {
            begin_check(id, now, out);
        } else {
            return false;
        }
        return true;
    });
    serve(now, out);
}

pool_core::time_point pool_core::next_tick() const
{
    auto next = time_point::max();
    auto at = [&](time_point t) { next = std::min(next, t); };
    if (!deadlines_.empty()) at(deadlines_.begin()->deadline);
    if (wants_connection()) at(connect_after_);
    if (awaited_logins_ + awaited_checks_ > 0)
        for (auto& s : slots_)
            if (s.awaited) at(time_after(s.begun, s.checking ? silent_check_after : silent_login_after));
    bool shrinks = options_.idle_timeout.count() > 0 && counts_.taken() > warm_;
    bool overflows = counts_.open() > options_.size;
    for (auto id : idle_) {
        auto& s = slots_[id];
        at(s.expires);
        if (shrinks) at(time_after(s.used, options_.idle_timeout));
        if (overflows) at(time_after(s.used, options_.overflow_linger));
        if (options_.keepalive.count() > 0) at(time_after(s.proved, options_.keepalive));
    }
    return next;
}

void pool_core::warm(std::size_t n, time_point now, actions& out)
{
    warm_ = std::min(n, options_.size);
    start_connects(now, out);
}

void pool_core::evict(time_point now, actions& out)
{
    for (auto id : idle_) discard(id, close_reason::evicted, out);
    idle_.clear();
    for (auto& s : slots_) s.evicted = s.state != state::empty;
    suspect_all(); // so that a leased one does not go from caller to caller without coming back
    serve(now, out);
}

void pool_core::resume(time_point now, actions& out)
{
    suspended_ = false;
    serve(now, out);
}

void pool_core::close(actions& out)
{
    closed_ = true;
    while (!queue_.empty()) refuse(queue_.front(), refusal::closed, out);
    for (auto id : idle_) discard(id, close_reason::pool_closed, out);
    idle_.clear();
}

} // namespace pgcoro::detail
