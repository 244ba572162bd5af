#include <pgcoro/connection/pipeline.hpp>

#include <pgcoro/connection/batch.hpp>

#include <stdexcept>
#include <utility>

namespace pgcoro
{

namespace
{

// A pipeline's statements, from the first to the last.
class pipeline_batch final : public detail::batch
{
public:
    using statements = std::vector<std::shared_ptr<detail::pipelined>>;

    pipeline_batch(const statements& list, barrier b)
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
    void failed(std::size_t i, std::exception_ptr why) override
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
    const statements& list_;
    barrier barrier_;
    std::size_t at_ = 0;
    std::exception_ptr first_failure_;
};

} // namespace

const result& detail::pipelined::checked() const
{
    if (failure) std::rethrow_exception(failure);
    if (!answered) throw std::logic_error("pgcoro: the pipeline of this statement has not run: " + sql);
    return got;
}

std::shared_ptr<const detail::pipelined> pipeline::add(std::string_view sql, params args)
{
    auto added = std::make_shared<detail::pipelined>();
    added->sql = sql;
    added->args = std::move(args);
    statements_.push_back(added);
    return added;
}

boost::asio::awaitable<void> pipeline::run()
{
    if (statements_.empty()) co_return;
    auto list = std::exchange(statements_, {});
    pipeline_batch all(list, barrier_);
    std::exception_ptr failure;
    try {
        co_await detail::run_batch(*host_, all);
        failure = all.first_failure();
    } catch (...) {
        failure = std::current_exception();
        all.all_failed(failure);
    }
    if (failure) std::rethrow_exception(failure);
}

} // namespace pgcoro
