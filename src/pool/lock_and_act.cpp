#include "pool/lock_and_act.hpp"

#include "error/copy_of.hpp"

#include <utility>

namespace pgcoro::detail
{

pool_impl::lock_and_act::lock_and_act(pool_impl& p, time_point at)
    : now(at)
    , pool_(p)
{
    pool_.mutex_.lock();
    pool_.parking_.close([this](slot_id slot) PGCORO_NO_THREAD_SAFETY_ANALYSIS {
        pool_.core_.take_in(slot, now, todo);
    });
}

pool_impl::lock_and_act::~lock_and_act()
{
    boost::container::small_vector<std::shared_ptr<one_shot>, 4> wake;
    for (auto& [w, grant] : todo.granted) {
        auto& caller = static_cast<waiting&>(*w);
        caller.granted = grant;
        wake.push_back(caller.turn);
    }
    for (auto& [w, why] : todo.refused) {
        auto& caller = static_cast<waiting&>(*w);
        caller.refused = why;
        if (why == pool_core::refusal::connect_failed) caller.failure = copy_of(connect_failure);
        wake.push_back(caller.turn);
    }
    struct closing
    {
        std::unique_ptr<connection> what;
        disconnect_event event;
    };
    boost::container::small_vector<closing, 2> closed;
    for (auto [slot, why] : todo.close) {
        auto& p = pool_.places_[slot];
        closed.push_back(
            {std::move(p.connection), {pool_.options_.name, why, now - pool_.core_.opened_at(slot)}});
        p.from_outside = {};
        ++pool_.counters_.closes;
        if (why == close_reason::broken) ++pool_.counters_.found_dead;
    }
    if (connect_ended || (pool_.core_.closed() && pool_.core_.count().taken() == 0)) {
        for (auto& caller : pool_.on_change_) {
            if (connect_failure) caller->failure = copy_of(connect_failure);
            wake.push_back(caller->event);
        }
        pool_.on_change_.clear();
    }
    struct beginning
    {
        background_work work;
        slot_id slot;
        std::shared_ptr<one_shot> stop;
    };
    boost::container::small_vector<beginning, 2> begun;
    auto begin = [&](background_work work, slot_id slot) {
        begun.push_back({work, slot, std::make_shared<one_shot>()});
        pool_.places_[slot].stop = begun.back().stop;
    };
    for (auto slot : todo.connect) begin(&pool_impl::connect, slot);
    for (auto slot : todo.clean) begin(&pool_impl::clean, slot);
    for (auto slot : todo.check) begin(&pool_impl::check, slot);
    pool_.arm(now);
    if (pool_.core_.at_ease()) pool_.parking_.open();
    pool_.mutex_.unlock();

    for (auto& shot : wake) shot->tell();
    for (auto& c : closed) {
        c.what.reset();
        pool_.told_->on_disconnect(c.event);
    }
    for (auto& b : begun) pool_.start(b.work, b.slot, std::move(b.stop));
}

} // namespace pgcoro::detail
