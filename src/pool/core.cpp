#include "pool/core.hpp"

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

pool_core::check pool_core::needed_check(const entry& s, time_point now) const noexcept
{
    if (s.generation != generation_) return check::ping; // another one, no older than this, was found dead
    switch (options_.pre_ping) {
    case pre_ping::never:
        return check::none;
    case pre_ping::always:
        return check::ping;
    case pre_ping::when_idle:
        break;
    }
    auto idle = now - s.proved;
    return idle < options_.alive_bypass ? check::none
           : idle < options_.ping_after ? check::peek
                                        : check::ping;
}

std::optional<pool_core::grant> pool_core::try_acquire(time_point now)
{
    if (idle_.empty() || closed_ || suspended_) return std::nullopt;
    auto id = idle_.back();
    auto& s = slots_[id];
    if (expired(s, now)) return std::nullopt; // enqueue() throws it out
    idle_.pop_back();
    set_state(id, state::in_use);
    return grant{id, needed_check(s, now)};
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
    serve_from_idle(now, out);
    start_connects(now, out);
    return true;
}

// Whoever waits, for as long as something is idle. Mostly nothing is, or too old, or it would have been
// handed out at once.
void pool_core::serve_from_idle(time_point now, actions& out)
{
    while (!suspended_ && !idle_.empty() && !queue_.empty()) {
        auto id = idle_.back();
        idle_.pop_back();
        auto& s = slots_[id];
        if (expired(s, now))
            discard(id, why_expired(s), out);
        else
            hand_out_or_park(id, now, out);
    }
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

// The slot is in no list; it goes to who waits longest, or among the idle.
void pool_core::hand_out_or_park(slot_id id, time_point now, actions& out)
{
    auto& s = slots_[id];
    if (!queue_.empty() && !suspended_) {
        auto& w = queue_.front();
        unlink(w);
        set_state(id, state::in_use);
        out.granted.emplace_back(&w, grant{id, needed_check(s, now)});
        return;
    }
    if (idle_.size() >= options_.size) return discard(id, close_reason::overflow, out);
    set_state(id, state::idle);
    idle_.push_back(id);
}

bool pool_core::park(slot_id id, time_point now)
{
    auto& s = slots_[id];
    if (!queue_.empty() || closed_ || idle_.size() >= options_.size || expired(s, now)) return false;
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
        start_connects(now, out);
        return;
    }
    hand_out_or_park(id, now, out);
}

bool pool_core::as_good_as_new(slot_id id, time_point now) const noexcept
{
    auto& s = slots_[id];
    return now < s.expires && needed_check(s, now) == check::none;
}

void pool_core::proved(slot_id id, time_point now) noexcept
{
    slots_[id].generation = generation_;
    slots_[id].proved = now;
}

void pool_core::cleaned(slot_id id, bool usable, time_point now, actions& out)
{
    auto& s = slots_[id];
    bool kept_alive = std::exchange(s.kept_alive, false);
    if (kept_alive && !usable) return found_dead(id, now, out);
    if (usable) {
        auto used = s.used;
        if (kept_alive) proved(id, now);
        release(id, returned::clean, now, out);
        if (kept_alive) s.used = used; // nobody used it, if it is still there
        return;
    }
    discard(id, close_reason::not_cleaned, out);
    start_connects(now, out);
}

void pool_core::found_dead(slot_id id, time_point now, actions& out)
{
    ++generation_;
    discard(id, close_reason::broken, out);
    start_connects(now, out);
}

void pool_core::connected(slot_id id, time_point now, actions& out)
{
    failures_ = 0;
    connect_after_ = {};
    auto& s = slots_[id];
    s.generation = generation_;
    s.opened = s.used = s.proved = now;
    s.evicted = s.kept_alive = false;
    s.expires = time_point::max();
    if (options_.recycle_after.count() > 0) {
        auto share = std::uniform_real_distribution<double>(0, options_.recycle_jitter)(random_);
        s.expires = now + options_.recycle_after -
                    std::chrono::duration_cast<duration>(options_.recycle_after * share);
    }
    if (closed_) return discard(id, close_reason::pool_closed, out);
    hand_out_or_park(id, now, out);
    start_connects(now, out);
}

void pool_core::connect_failed(slot_id id, bool permanent, time_point now, actions& out)
{
    set_state(id, state::empty);
    empty_.push_back(id);
    auto ceiling = std::min<duration>(first_backoff * (1 << std::min(failures_, 10u)), longest_backoff);
    ++failures_;
    // Between half of it and all: pools on many machines do not come back in step.
    connect_after_ = now + duration(std::uniform_int_distribution<duration::rep>(ceiling.count() / 2,
                                                                                 ceiling.count())(random_));
    if (permanent && counts_.taken() == 0)
        while (!queue_.empty()) refuse(queue_.front(), refusal::connect_failed, out);
}

// Is one to be opened, for a caller or to keep the base warm, and may it?
bool pool_core::wants_connection() const noexcept
{
    if (closed_ || empty_.empty() || counts_.connecting >= options_.max_connecting) return false;
    return (counts_.waiting > counts_.connecting && !suspended_) || counts_.taken() < warm_;
}

void pool_core::start_connects(time_point now, actions& out)
{
    while (wants_connection() && now >= connect_after_) {
        auto id = empty_.back();
        empty_.pop_back();
        set_state(id, state::connecting);
        out.connect.push_back(id);
    }
}

void pool_core::tick(time_point now, actions& out)
{
    while (!deadlines_.empty() && deadlines_.begin()->deadline <= now)
        refuse(*deadlines_.begin(), refusal::timeout, out);
    std::erase_if(idle_, [&](slot_id id) {
        auto& s = slots_[id];
        if (expired(s, now)) {
            discard(id, why_expired(s), out);
        } else if (options_.idle_timeout.count() > 0 && now - s.used >= options_.idle_timeout) {
            discard(id, close_reason::idle, out);
        } else if (options_.keepalive.count() > 0 && now - s.proved >= options_.keepalive) {
            s.kept_alive = true;
            set_state(id, state::cleaning);
            out.keepalive.push_back(id);
        } else {
            return false;
        }
        return true;
    });
    start_connects(now, out);
}

pool_core::time_point pool_core::next_tick() const
{
    auto next = time_point::max();
    if (!deadlines_.empty()) next = deadlines_.begin()->deadline;
    if (wants_connection()) next = std::min(next, connect_after_);
    for (auto id : idle_) {
        auto& s = slots_[id];
        next = std::min(next, s.expires);
        if (options_.idle_timeout.count() > 0)
            next = std::min<time_point>(next, s.used + options_.idle_timeout);
        if (options_.keepalive.count() > 0) next = std::min<time_point>(next, s.proved + options_.keepalive);
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
    for (auto& s : slots_) s.evicted = s.state == state::in_use || s.state == state::cleaning;
    ++generation_; // which they are not as good as new any more
    start_connects(now, out);
}

void pool_core::resume(time_point now, actions& out)
{
    suspended_ = false;
    serve_from_idle(now, out);
    start_connects(now, out);
}

void pool_core::close(actions& out)
{
    closed_ = true;
    while (!queue_.empty()) refuse(queue_.front(), refusal::closed, out);
    for (auto id : idle_) discard(id, close_reason::pool_closed, out);
    idle_.clear();
}

} // namespace pgcoro::detail
