// The connections' side of the multiplexer: each takes its share of the queue, again and again.
#include "multiplexer/impl.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
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
    for (; lanes > 0; --lanes) {
        auto added = std::make_shared<lane>(executor_, options_.slow_after);
        asio::post(added->strand, [self = shared_from_this(), added] {
            auto ended = asio::bind_cancellation_slot(added->stop.slot(), [added](std::exception_ptr) {});
            asio::co_spawn(added->strand, self->work(added), std::move(ended));
        });
    }
}

// While a lane has calls. Also when its coroutine is destroyed, with its context, they go back.
class multiplexer_impl::sharing
{
public:
    sharing(multiplexer_impl& impl, lane& given) noexcept
        : impl_(impl)
        , given_(given)
    {}
    sharing(const sharing&) = delete;
    sharing& operator=(const sharing&) = delete;
    ~sharing() { impl_.take_back(given_, lost); }

    std::exception_ptr lost;

private:
    multiplexer_impl& impl_;
    lane& given_;
};

asio::awaitable<void> multiplexer_impl::work(std::shared_ptr<lane> mine)
{
    auto self = shared_from_this();
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
            auto missing = give(*mine, *held);
            start(missing);
            if (mine->calls.empty()) continue; // others were quicker
            {
                sharing until_it_is_through(*this, *mine);
                try {
                    co_await run_batch(held->host(), *mine);
                } catch (...) {
                    until_it_is_through.lost = std::current_exception();
                }
            }
            co_await asio::this_coro::reset_cancellation_state(); // it may have been told to stop, too late
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

// Its share of all there is, sent or not, so that all connections have something to do, and alike: small
// batches come round more often, and would become the rule. Gives the number of lanes to be started.
std::size_t multiplexer_impl::give(lane& to, connection& on)
{
    std::lock_guard lock(mutex_);
    auto all = queue_.size();
    for (auto& l : running_) all += l.calls.size();
    auto share = std::min(options_.max_batch, (all + options_.connections - 1) / options_.connections);
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
