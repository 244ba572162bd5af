#include "pool/lock_and_act.hpp"

namespace pgcoro::detail
{

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
        wake.push_back(caller.turn);
    }
    boost::container::small_vector<std::pair<std::unique_ptr<connection>, disconnect_event>, 2> closing;
    for (auto [slot, why] : todo.close) {
        disconnect_event event{pool_.options_.name, why, now - pool_.core_.opened_at(slot)};
        closing.emplace_back(std::move(pool_.places_[slot].connection), event);
        ++pool_.counters_.closes;
        if (why == close_reason::broken) ++pool_.counters_.found_dead;
    }
    if (changed || (pool_.core_.closed() && pool_.core_.count().taken() == 0)) {
        for (auto& shot : pool_.on_change_) wake.push_back(std::move(shot));
        pool_.on_change_.clear();
    }
    pool_.arm(now);
    if (pool_.core_.at_ease()) pool_.parking_.open();
    lock_.unlock();

    for (auto& shot : wake) shot->tell();
    for (auto& [c, event] : closing) {
        c.reset();
        if (auto* o = pool_.options_.observer) o->on_disconnect(event);
    }
    for (auto slot : todo.connect) pool_.start(&pool_impl::connect, slot);
    for (auto slot : todo.clean) pool_.start(&pool_impl::clean, slot);
    for (auto slot : todo.keepalive) pool_.start(&pool_impl::keep_alive, slot);
}

} // namespace pgcoro::detail
