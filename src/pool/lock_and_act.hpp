// What the parts of the pool share: the callers in its queue, and how the core's decisions are carried out.
#pragma once

#include "pool/pool_impl.hpp"

namespace pgcoro::detail
{

// A caller in the queue. It lives in the caller's coroutine; what wakes it is shared, because it may be
// cancelled, and gone, just when it is granted a connection.
struct pool_impl::waiting : pool_core::waiter
{
    using waiter::waiter;
    std::shared_ptr<one_shot> turn = std::make_shared<one_shot>();
    std::optional<pool_core::grant> granted;
    pool_core::refusal refused{};
};

// The lock, and what the core wants done once it is released: in the destructor, in the order that frees
// connections before it opens others.
class pool_impl::lock_and_act
{
public:
    lock_and_act(pool_impl& p, time_point at)
        : now(at)
        , pool_(p)
        , lock_(p.mutex_)
    {
        pool_.parking_.close([this](slot_id slot) { pool_.core_.take_in(slot, now, todo); });
    }
    lock_and_act(const lock_and_act&) = delete;
    lock_and_act& operator=(const lock_and_act&) = delete;

    ~lock_and_act();

    const time_point now;
    pool_core::actions todo;
    bool changed = false; // there is news for on_change_

private:
    pool_impl& pool_;
    std::unique_lock<brief_mutex> lock_;
};

} // namespace pgcoro::detail
