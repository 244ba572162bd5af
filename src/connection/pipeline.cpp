#include <pgcoro/connection/pipeline.hpp>

#include "connection/session.hpp"

#include <pgcoro/connection/batch.hpp>

#include <algorithm>
#include <utility>

namespace pgcoro
{

namespace
{

// A pipeline's statements, from `first` to the last.
class pipeline_batch final : public detail::batch
{
public:
    pipeline_batch(const statement_list::entries& list, barrier b, std::size_t first = 0)
        : list_(list)
        , barrier_(b)
        , first_(first)
        , at_(first)
        , stale_from_(first)
    {}

    bool next(statement& made) override
    {
        if (at_ == list_.size()) return false;
        auto& s = *list_[at_++];
        made = {s.sql, &s.args, barrier_ == barrier::each};
        return true;
    }
    void answered(std::size_t i, result got) override
    {
        auto& s = *list_[first_ + i];
        s.got = std::move(got);
        s.answered = true;
        stale_from_ = first_ + i + 1;
    }
    void failed(std::size_t i, std::exception_ptr why, bool is_stale) override
    {
        list_[first_ + i]->failure = why;
        if (!is_stale) stale_from_ = std::max(stale_from_, first_ + i + 1);
    }
    bool rewind() override
    {
        at_ = first_;
        return true;
    }
    std::string place(std::size_t i) const override { return batch::place(first_ + i); }
    bool goes_on() const override { return barrier_ == barrier::each; }

    // With barrier::each: the first of the last statements that were all stale, so that none of them has run.
    std::size_t stale_from() const noexcept { return stale_from_; }

    // The whole of it came to an end: what was not answered, or is undone, has no result.
    void all_failed(const std::exception_ptr& why)
    {
        for (auto& s : list_)
            if (!s->failure && (!goes_on() || !s->answered)) s->failure = why;
    }

private:
    const statement_list::entries& list_;
    barrier barrier_;
    std::size_t first_;
    std::size_t at_;
    std::size_t stale_from_;
};

std::exception_ptr first_failure(const statement_list::entries& list)
{
    auto failed = std::ranges::find_if(list, [](auto& s) { return s->failure != nullptr; });
    return failed == list.end() ? nullptr : (*failed)->failure;
}

} // namespace

boost::asio::awaitable<void> detail::run_statements(statement_host& host, statement_list::entries list,
                                                    barrier b)
{
    if (list.empty()) co_return;
    for (auto& s : list) s->forget();
    pipeline_batch all(list, b);
    std::exception_ptr failure;
    try {
        host.on();
        for (auto& s : list) host.check(s->sql);
        co_await run_batch(host, all);
        auto from = all.stale_from();
        // They are run again, once. Not if another behind them has run, because the order may matter.
        if (b == barrier::each && from < list.size() && host.on().transaction_status() == PQTRANS_IDLE) {
            std::for_each(list.begin() + static_cast<std::ptrdiff_t>(from), list.end(), [](auto& s) { s->forget(); });
            pipeline_batch again(list, b, from);
            co_await run_batch(host, again);
        }
        failure = first_failure(list);
    } catch (...) {
        failure = std::current_exception();
        all.all_failed(failure);
    }
    if (failure) std::rethrow_exception(failure);
}

boost::asio::awaitable<void> pipeline::run()
{
    co_await detail::run_statements(host_.get(), take(), barrier_);
}

} // namespace pgcoro
