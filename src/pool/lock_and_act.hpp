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
    std::exception_ptr failure; // why, if a connect failed
};

// The lock, and what the core wants done once it is released: in the destructor, in the order that frees
// connections before it opens others.
class PGCORO_SCOPED_CAPABILITY pool_impl::lock_and_act
{
public:
    // The analysis does not follow a scoped capability into its own functions.
    lock_and_act(pool_impl& p, time_point at) PGCORO_ACQUIRE(p.mutex_) PGCORO_NO_THREAD_SAFETY_ANALYSIS;
    lock_and_act(const lock_and_act&) = delete;
    lock_and_act& operator=(const lock_and_act&) = delete;
    ~lock_and_act() PGCORO_RELEASE() PGCORO_NO_THREAD_SAFETY_ANALYSIS;

    const time_point now;
    pool_core::actions todo;
    bool connect_ended = false;         // there is news for on_change_
    std::exception_ptr connect_failure; // of that connect; null if it succeeded

private:
    pool_impl& pool_;
};

} // namespace pgcoro::detail
