#include "connection/one_shot.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

namespace pgcoro::detail
{

// Asio looks through a context's services under a lock. What a thread found the last time is right for as
// long as no context has ended: another may stand in its place since.
contexts_waiters& contexts_waiters::of(const boost::asio::any_io_executor& executor)
{
    struct known
    {
        boost::asio::execution_context* context;
        contexts_waiters* waiters;
        std::uint64_t ended;
    };
    thread_local known last{};
    auto& context = boost::asio::query(executor, boost::asio::execution::context);
    auto ended = ended_.load(std::memory_order_relaxed);
    if (last.context != &context || last.ended != ended) {
        boost::asio::make_strand(executor); // the service of strands is older, and so ends after this one
        last = {&context, &boost::asio::use_service<contexts_waiters>(context), ended};
    }
    return *last.waiters;
}

contexts_waiters::~contexts_waiters() { ended_.fetch_add(1, std::memory_order_relaxed); }

void contexts_waiters::enter(one_shot& event)
{
    std::lock_guard lock(mutex_);
    all_.push_back(event);
}

void contexts_waiters::leave(one_shot& event)
{
    std::lock_guard lock(mutex_);
    if (event.waited_for::is_linked()) all_.erase(all_.iterator_to(event));
}

void contexts_waiters::shutdown()
{
    ending_ = true;
    for (;;) {
        std::shared_ptr<one_shot> next;
        {
            std::lock_guard lock(mutex_);
            if (all_.empty()) return;
            next = static_cast<one_shot&>(all_.front()).weak_from_this().lock();
            all_.pop_front();
        }
        if (next) next->forget();
    }
}

one_shot::~one_shot()
{
    if (waiting_) waiting_->context.leave(*this);
}

void one_shot::tell()
{
    std::lock_guard lock(mutex_);
    told_ = true;
    complete(wake::done);
}

bool one_shot::told() const
{
    std::lock_guard lock(mutex_);
    return told_;
}

void one_shot::give_up(wake why)
{
    std::lock_guard lock(mutex_);
    complete(why);
}

// With the lock held, which the waiter takes, too, before it goes on: by then this thread has let go of
// the waiter's executor, and the waiter may end its io_context.
void one_shot::complete(wake why)
{
    if (!waiting_ || waiting_->context.is_ending()) return; // then it is forgotten
    auto taken = std::move(*waiting_);
    waiting_.reset();
    taken.context.leave(*this);
    boost::asio::post(taken.executor,
                      [self = shared_from_this(), resume = std::move(taken.resume), why]() mutable {
                          { std::lock_guard through(self->mutex_); }
                          std::move(resume)(why);
                      });
}

void one_shot::forget()
{
    std::optional<waiter> gone; // not under the lock: its end may be that of much else
    std::lock_guard lock(mutex_);
    if (!waiting_) return;
    gone.emplace(std::move(*waiting_));
    waiting_.reset();
}

} // namespace pgcoro::detail
