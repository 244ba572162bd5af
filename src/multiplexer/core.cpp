#include "multiplexer/core.hpp"

#include <algorithm>

namespace pgcoro::detail
{

// --- A batch on its connection ---

multiplexer_core::worker::to_send multiplexer_core::worker::next()
{
    while (next_ < batch_.size()) {
        auto& s = *batch_[next_++];
        if (s.settled()) continue; // its caller has gone
        s.sent_.store(true, std::memory_order_relaxed);
        s.answered_ = false;
        sent_.push_back(&s);
        // A statement that is not known yet gets a separate transaction, whatever it turns out to be.
        s.shares_sync_ = s.may_share_sync && !s.alone_ && s.known->batching == batching::together;
        return {&s, !s.shares_sync_};
    }
    return {};
}

multiplexer_core::statement* multiplexer_core::worker::answered(std::size_t i, std::string_view command_tag,
                                                                time_point now)
{
    auto& s = *sent_[i];
    learn(s, command_tag, now);
    s.answered_ = true;
    // A read has nothing to commit. Any other statement has taken effect only when it is committed.
    return s.shares_sync_ && s.settle() ? &s : nullptr;
}

multiplexer_core::statement* multiplexer_core::worker::failed(std::size_t i, bool stale)
{
    auto& s = *sent_[i];
    s.alone_ = true;
    // It is run again on this connection, which prepares it afresh. On another one it might be stale, too. A
    // statement that was answered before failed at its commit, which has another reason.
    if (stale && !exclusive_ && !s.answered_ && s.stale_ < most_stale) {
        ++s.stale_;
        s.sent_.store(false, std::memory_order_relaxed);
        return nullptr;
    }
    return s.settle() ? &s : nullptr;
}

multiplexer_core::statement* multiplexer_core::worker::committed(std::size_t n)
{
    while (committed_ < n) {
        auto& s = *sent_[committed_++];
        if (s.answered_ && s.settle()) return &s;
    }
    return nullptr;
}

// Only a statement that was alone in its batch shows how long it takes.
void multiplexer_core::worker::learn(statement& s, std::string_view command_tag, time_point now) const
{
    if (batch_.size() != 1) return;
    s.known->batching = now - begun_ > slow_after_ ? batching::exclusive : batching_of(command_tag);
}

// --- Callers ---

multiplexer_core::admission multiplexer_core::ask(statement_ptr added)
{
    if (closed_) return admission::closed;
    if (added->known->batching == batching::exclusive) return admission::exclusive;
    if (queue_.size() >= limits_.max_waiting) return admission::full;
    auto& s = *added;
    s.queued_ = std::move(added);
    queue_.push_back(s);
    return admission::queued;
}

multiplexer_core::statement_ptr multiplexer_core::dequeue(statement& s) noexcept
{
    queue_.erase(queue_.iterator_to(s));
    return std::move(s.queued_);
}

std::vector<multiplexer_core::statement_ptr> multiplexer_core::settle_queue()
{
    std::vector<statement_ptr> settled;
    while (!queue_.empty()) {
        auto s = dequeue(queue_.front());
        if (s->settle()) settled.push_back(std::move(s));
    }
    return settled;
}

bool multiplexer_core::nobody_waits_for(const worker& w) const noexcept
{
    return std::all_of(w.batch_.begin(), w.batch_.end(), [](auto& s) { return s->settled(); });
}

multiplexer_core::worker* multiplexer_core::leave(statement& s) noexcept
{
    if (s.queued_) dequeue(s);
    auto* w = s.worker_;
    if (!w || !(w->running_ || w->exclusive_)) return nullptr;
    return nobody_waits_for(*w) ? w : nullptr;
}

std::vector<multiplexer_core::overdue> multiplexer_core::expire(time_point now, time_point& next)
{
    std::vector<overdue> found;
    next = time_point::max();
    auto look_at = [&](const statement_ptr& s) {
        if (s->settled()) return;
        if (s->deadline > now)
            next = std::min(next, s->deadline);
        else if (s->settle())
            found.push_back({s, leave(*s)});
    };
    for (auto* workers : {&running_, &exclusive_})
        for (auto& w : *workers)
            for (auto& s : w.batch_) look_at(s);
    for (auto at = queue_.begin(); at != queue_.end();) {
        auto kept = at->queued_;
        ++at;
        look_at(kept);
    }
    return found;
}

// --- Workers ---

std::size_t multiplexer_core::workers_to_start() noexcept
{
    auto looking = workers_ - running_.size();
    if (looking >= queue_.size()) return 0;
    auto missing = std::min(queue_.size() - looking, limits_.connections - workers_);
    workers_ += missing;
    return missing;
}

void multiplexer_core::start(worker& w) noexcept
{
    w.started_ = true;
    w.slow_after_ = limits_.slow_after;
}

void multiplexer_core::start_exclusive(worker& w, statement_ptr only)
{
    start(w);
    w.exclusive_ = true;
    only->worker_ = &w;
    w.batch_.push_back(std::move(only));
    exclusive_.push_back(w);
    ++counters_.exclusive;
}

multiplexer_core::step multiplexer_core::next_step(worker& w, bool again) noexcept
{
    if (!queue_.empty()) return step::work;
    if (again) return step::look_again;
    w.started_ = false;
    --workers_;
    return step::end;
}

multiplexer_core::start_batch_result multiplexer_core::start_batch(worker& w, time_point now)
{
    start_batch_result result;
    // Drops statements that stayed to be run again, and whose caller has gone since.
    std::erase_if(w.batch_, [](auto& s) {
        if (s->settled()) s->worker_ = nullptr;
        return s->settled();
    });
    if (!w.exclusive_) fill(w, result);
    w.sent_.clear();
    w.next_ = w.committed_ = 0;
    w.begun_ = now;
    result.any = !w.batch_.empty();
    if (!result.any) return result;
    w.running_ = true;
    ++w.batches_;
    if (!w.exclusive_) {
        running_.push_back(w);
        ++counters_.batches;
        counters_.statements += w.batch_.size();
    }
    return result;
}

// A worker's batch is its share of all statements, sent or not, so that all connections are equally busy. If
// it took more, the batches of others would be small, come round more often, and become smaller still.
void multiplexer_core::fill(worker& w, start_batch_result& result)
{
    auto all = queue_.size() + w.batch_.size();
    for (auto& other : running_) all += other.batch_.size();
    auto share = std::min(limits_.max_batch, (all + limits_.connections - 1) / limits_.connections);
    auto travels_alone = [](const statement_ptr& s) { return s->known->batching != batching::together; };
    bool full = std::any_of(w.batch_.begin(), w.batch_.end(), travels_alone);
    while (!full && w.batch_.size() < share && !queue_.empty()) {
        auto& first = queue_.front();
        auto batching = first.known->batching.load();
        if (batching == batching::exclusive) {
            result.exclusive.push_back(dequeue(first));
            continue;
        }
        full = batching == batching::unknown;
        if (full && !w.batch_.empty()) break;
        auto taken = dequeue(first);
        taken->worker_ = &w;
        w.batch_.push_back(std::move(taken));
    }
}

multiplexer_core::end_batch_result multiplexer_core::end_batch(worker& w, ending how, time_point now)
{
    end_batch_result result;
    w.running_ = false;
    if (!w.exclusive_) running_.erase(running_.iterator_to(w));
    // A slow statement held up the others. Running each alone will show which one it is.
    if (how == ending::complete && w.batch_.size() > 1 && now - w.begun_ > limits_.slow_after)
        for (auto& s : w.batch_) s->known->batching = batching::unknown;

    auto batch = std::move(w.batch_);
    w.batch_.clear();
    auto conclude = [&](const statement_ptr& s, verdict v) {
        if (s->settle()) result.settled.emplace_back(s, v);
    };
    // From the last to the first, because statements return to the head of the queue.
    for (auto at = batch.rbegin(); at != batch.rend(); ++at) {
        auto& s = *at;
        s->worker_ = nullptr;
        if (s->settled()) continue;
        if (how == ending::lost) {
            s->stale_ = 0;
            bool may_have_run = s->sent() && !s->repeatable;
            if (may_have_run || ++s->losses_ == most_losses) {
                conclude(s, may_have_run ? verdict::unknown : verdict::lost);
                continue;
            }
        } else { // it is stale, or was skipped after an error: either way it was not executed
            s->alone_ = true;
            s->sent_.store(false, std::memory_order_relaxed);
        }
        if (closed_) {
            conclude(s, verdict::closed);
            continue;
        }
        ++counters_.run_again;
        bool stays = w.exclusive_ || (how == ending::complete && s->stale_ > 0);
        if (stays) {
            s->worker_ = &w;
            w.batch_.push_back(s);
        } else {
            s->queued_ = s;
            queue_.push_front(*s);
        }
    }
    std::reverse(w.batch_.begin(), w.batch_.end());
    std::reverse(result.settled.begin(), result.settled.end());
    result.same_again = how == ending::complete && !w.exclusive_ && !w.batch_.empty();
    if (!closed_) return result;
    for (auto& s : settle_queue()) result.settled.emplace_back(s, verdict::closed);
    return result;
}

std::vector<multiplexer_core::statement_ptr> multiplexer_core::no_connection(worker& w)
{
    w.started_ = false;
    if (w.exclusive_) {
        w.running_ = false;
        std::vector<statement_ptr> settled;
        for (auto& s : w.batch_)
            if (s->settle()) settled.push_back(s);
        end_exclusive(w);
        return settled;
    }
    --workers_;
    if (!running_.empty()) return {}; // others have a connection, and serve the queue
    return settle_queue();
}

void multiplexer_core::end_exclusive(worker& w) noexcept
{
    for (auto& s : w.batch_) s->worker_ = nullptr;
    w.batch_.clear();
    w.started_ = false;
    exclusive_.erase(exclusive_.iterator_to(w));
}

multiplexer_core::verdicts multiplexer_core::destroyed(worker& w, time_point now)
{
    if (!w.started_) return {};
    closed_ = true;
    end_batch_result result;
    if (w.running_) result = end_batch(w, ending::lost, now);
    auto settled = std::move(result.settled);
    for (auto& s : w.batch_) {
        s->worker_ = nullptr;
        if (s->settle()) settled.emplace_back(s, verdict::closed);
    }
    w.batch_.clear();
    if (w.exclusive_)
        end_exclusive(w);
    else
        --workers_;
    w.started_ = false;
    for (auto& s : settle_queue()) settled.emplace_back(s, verdict::closed);
    return settled;
}

multiplexer_core::close_result multiplexer_core::close()
{
    closed_ = true;
    close_result result{settle_queue(), {}};
    for (auto& w : exclusive_)
        for (auto& s : w.batch_)
            if (!s->sent() && s->settle()) {
                result.settled.push_back(s);
                result.stop.push_back(&w);
            }
    return result;
}

} // namespace pgcoro::detail
