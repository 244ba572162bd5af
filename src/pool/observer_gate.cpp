#include "pool/observer_gate.hpp"

namespace pgcoro::detail
{

namespace
{

// The calls under way on this thread, the innermost first: an observer may end the pool that calls it.
thread_local void* innermost = nullptr;

} // namespace

observer_gate::call::call(const observer_gate& gate) noexcept
    : gate_(gate)
    , outer_(static_cast<call*>(innermost))
{
    innermost = this;
    if (gate_.closed_.load()) return; // not counted, or close() could wait for calls that follow it
    counted_ = true;
    gate_.calls_.fetch_add(1);
    allowed_ = !gate_.closed_.load();
}

observer_gate::call::~call()
{
    innermost = outer_;
    if (!counted_) return;
    gate_.calls_.fetch_sub(1);
    if (gate_.closed_.load()) gate_.calls_.notify_all();
}

void observer_gate::close() noexcept
{
    closed_.store(true);
    std::uint32_t own = 0;
    for (auto* c = static_cast<call*>(innermost); c; c = c->outer_)
        if (&c->gate_ == this && c->counted_) ++own;
    for (auto n = calls_.load(); n > own; n = calls_.load()) calls_.wait(n);
}

bool observer_gate::wants_spans() const noexcept
{
    if (!behind_) return false;
    call now(*this);
    return now.allowed() && behind_->wants_spans();
}

} // namespace pgcoro::detail
