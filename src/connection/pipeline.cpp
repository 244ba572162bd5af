#include <pgcoro/connection/pipeline.hpp>

#include <pgcoro/connection/batch.hpp>

#include <utility>

namespace pgcoro
{

namespace
{

// A pipeline's statements, from the first to the last.
class pipeline_batch final : public detail::batch
{
public:
    pipeline_batch(const statement_list::entries& list, barrier b)
        : list_(list)
        , barrier_(b)
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
        list_[i]->got = std::move(got);
        list_[i]->answered = true;
    }
    void failed(std::size_t i, std::exception_ptr why, bool) override
    {
        list_[i]->failure = why;
        if (!first_failure_) first_failure_ = why;
    }
    bool rewind() override
    {
        at_ = 0;
        return true;
    }
    bool goes_on() const override { return barrier_ == barrier::each; }

    const std::exception_ptr& first_failure() const noexcept { return first_failure_; }

    // The whole of it came to an end: what was not answered, or is undone, has no result.
    void all_failed(const std::exception_ptr& why)
    {
        for (auto& s : list_)
            if (!s->failure && (!goes_on() || !s->answered)) s->failure = why;
    }

private:
    const statement_list::entries& list_;
    barrier barrier_;
    std::size_t at_ = 0;
    std::exception_ptr first_failure_;
};

} // namespace

boost::asio::awaitable<void> detail::run_statements(statement_host& host, statement_list::entries list,
                                                    barrier b)
{
    if (list.empty()) co_return;
    for (auto& s : list) s->forget();
    pipeline_batch all(list, b);
    std::exception_ptr failure;
    try {
        co_await run_batch(host, all);
        failure = all.first_failure();
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
