// The connections' side of the multiplexer: each takes its share of the queue, again and again.
#include "multiplexer/impl.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace pgcoro::detail
{

// With the lock. As many as there is work for beyond those that look for some; they are to be started.
std::size_t multiplexer_impl::missing_lanes() noexcept
{
    auto looking = lanes_ - running_.size();
    if (looking >= queue_.size()) return 0;
    auto missing = std::min(queue_.size() - looking, options_.connections - lanes_);
    lanes_ += missing;
    return missing;
}

// On the multiplexer's own executor, and not before the caller is through.
void multiplexer_impl::start(std::size_t lanes)
{
    for (; lanes > 0; --lanes)
        asio::post(executor_, [self = shared_from_this()] {
            asio::co_spawn(asio::make_strand(self->executor_), self->work(), asio::detached);
        });
}

asio::awaitable<void> multiplexer_impl::work()
{
    auto self = shared_from_this();
    lane mine(options_.slow_after);
    for (bool again = true;; again = false) {
        auto what = look(again);
        if (what == ahead::end) co_return;
        if (what == ahead::work) {
            lease held;
            std::exception_ptr failure;
            try {
                held = co_await pool_.acquire();
            } catch (...) {
                failure = std::current_exception();
            }
            if (failure) {
                no_connection(failure);
                co_return;
            }
            auto missing = give(mine, *held);
            start(missing);
            if (mine.calls.empty()) continue; // others were quicker
            try {
                co_await run_batch(held->host(), mine);
            } catch (...) {
                failure = std::current_exception();
            }
            take_back(mine, failure);
            again = true;
        }
        // First those who were answered have their turn: what they ask next travels together.
        co_await asio::post(asio::deferred);
    }
}

// The last look, which is not `again`, is also the end: whoever asks later starts another lane.
multiplexer_impl::ahead multiplexer_impl::look(bool again)
{
    std::lock_guard lock(mutex_);
    if (!queue_.empty()) return ahead::work;
    if (again) return ahead::look_again;
    --lanes_;
    if (lanes_ == 0 && armed_for_ != time_point::max()) {
        armed_for_ = time_point::max();
        timer_.cancel();
    }
    return ahead::end;
}

// Its fair share, so that all connections have something to do. Gives the number of lanes to be started.
std::size_t multiplexer_impl::give(lane& to, connection& on)
{
    std::lock_guard lock(mutex_);
    auto free = options_.connections - running_.size();
    auto share = std::min(options_.max_batch, (queue_.size() + free - 1) / free);
    while (to.calls.size() < share && !queue_.empty()) {
        auto& first = queue_.front();
        auto company = first.known->company.load();
        if (company == company::unknown && !to.calls.empty()) break;
        auto taken = dequeue(first);
        if (company == company::apart) { // which was found out while it waited
            ++counters_.apart;
            if (!taken->settle()) continue;
            taken->goes_apart = true;
            taken->tell();
            continue;
        }
        taken->on = &to;
        to.calls.push_back(std::move(taken));
        if (company == company::unknown) break;
    }
    if (to.calls.empty()) return 0;
    to.connection = &on;
    running_.push_back(to);
    ++counters_.batches;
    counters_.statements += to.calls.size();
    to.begin();
    return missing_lanes();
}

// What is not settled goes back to where it stood, at the head of the queue.
void multiplexer_impl::take_back(lane& from, const std::exception_ptr& lost)
{
    std::lock_guard lock(mutex_);
    from.end(lost);
    running_.erase(running_.iterator_to(from));
    from.connection = nullptr;
    for (auto at = from.calls.rbegin(); at != from.calls.rend(); ++at) {
        auto& c = **at;
        c.on = nullptr;
        if (c.settled()) continue;
        ++counters_.run_again;
        c.queued = *at;
        queue_.push_front(c);
    }
    from.calls.clear();
    if (!closed_) return;
    auto why = std::make_exception_ptr(pool_closed("the multiplexer was closed meanwhile"));
    while (!queue_.empty()) dequeue(queue_.front())->fail(why);
}

// Others that have one serve the queue; else nobody does.
void multiplexer_impl::no_connection(const std::exception_ptr& why)
{
    std::lock_guard lock(mutex_);
    --lanes_;
    if (!running_.empty()) return;
    while (!queue_.empty()) dequeue(queue_.front())->fail(why);
}

} // namespace pgcoro::detail
