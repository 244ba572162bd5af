// Which connections the monitor keeps when more come than it may have. No I/O, no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace pgcoro::detail
{

// A connection is waiting (for a request to be complete), answering, or writing. Once `most` are open, each
// new one takes the place of the one that has been waiting longest, else of the one that has been writing
// longest: neither needs a token, so that anybody could otherwise keep all places for as long as the timeouts
// last. If all are answering, which takes no longer than the database is given, up to `reserve` more are let
// in, for probes only.
class seating
{
public:
    using id = std::uint64_t;
    enum class state { waiting, answering, writing };

    // `reserve` must be 1 or more.
    seating(std::size_t most, std::size_t reserve)
        : most_(most)
        , reserve_(reserve)
    {}

    struct entry
    {
        id entered;
        std::optional<id> closed; // must be closed now; its place is taken already
    };
    // A connection opens, waiting. Nothing: it must not, before another one leaves.
    std::optional<entry> enter()
    {
        auto closed = taken() >= most_ ? longest() : std::nullopt;
        if (!closed && taken() >= most_ + reserve_) return std::nullopt;
        if (closed) leave(*closed);
        auto name = next_++;
        put(name, state::waiting);
        return entry{name, closed};
    }
    bool may_enter() const { return taken() < most_ + reserve_ || longest(); }

    // Does nothing for a connection that must be closed.
    void change(id name, state to)
    {
        if (!places_.contains(name)) return;
        leave(name);
        put(name, to);
    }
    void leave(id name)
    {
        auto found = places_.find(name);
        if (found == places_.end()) return;
        queue(found->second.what).erase(found->second.where);
        places_.erase(found);
    }

    // More are open than there are places: whatever is no probe is to be refused.
    bool crowded() const { return taken() > most_; }
    std::size_t taken() const { return places_.size(); }

private:
    using queue_of_ids = std::list<id>; // the longest in that state first
    struct place
    {
        state what;
        queue_of_ids::iterator where;
    };

    queue_of_ids& queue(state of)
    {
        return of == state::waiting ? waiting_ : of == state::writing ? writing_ : answering_;
    }
    void put(id name, state what)
    {
        auto& to = queue(what);
        places_[name] = {what, to.insert(to.end(), name)};
    }
    std::optional<id> longest() const
    {
        if (!waiting_.empty()) return waiting_.front();
        if (!writing_.empty()) return writing_.front();
        return std::nullopt;
    }

    const std::size_t most_;
    const std::size_t reserve_;
    id next_ = 1;
    std::unordered_map<id, place> places_;
    queue_of_ids waiting_;
    queue_of_ids answering_;
    queue_of_ids writing_;
};

// The same, from any thread.
class shared_seating
{
public:
    shared_seating(std::size_t most, std::size_t reserve)
        : seats_(most, reserve)
    {}

    std::optional<seating::entry> enter()
    {
        std::lock_guard lock(mutex_);
        return seats_.enter();
    }
    bool may_enter()
    {
        std::lock_guard lock(mutex_);
        return seats_.may_enter();
    }
    void change(seating::id name, seating::state to)
    {
        std::lock_guard lock(mutex_);
        seats_.change(name, to);
    }
    void leave(seating::id name)
    {
        std::lock_guard lock(mutex_);
        seats_.leave(name);
    }
    bool crowded()
    {
        std::lock_guard lock(mutex_);
        return seats_.crowded();
    }

private:
    std::mutex mutex_;
    seating seats_;
};

} // namespace pgcoro::detail
