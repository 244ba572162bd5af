// Savepoints: what of them the server has been told, and what it is to be told with the next statement.
#include <pgcoro/transaction/transaction.hpp>

#include "transaction/core.hpp"
#include "transaction/statement_limit.hpp"

#include <algorithm>
#include <stdexcept>

namespace pgcoro
{

namespace
{

std::string name_of(std::size_t level) { return "pgcoro_" + std::to_string(level); }

} // namespace

void transaction::enter_savepoint()
{
    on(); // throws after the end
    if (failure_) std::rethrow_exception(failure_);
    ++depth_;
}

void transaction::leave_savepoint()
{
    if (failure_) std::rethrow_exception(failure_); // swallowed by the body
    if (set_ == depth_) {
        due_.push_back("release savepoint " + name_of(depth_));
        --set_;
    }
    --depth_;
}

void transaction::undo_savepoint()
{
    if (set_ >= depth_) {
        // Whatever is due came after it, and goes with it.
        due_.clear();
        due_.push_back("rollback to savepoint " + name_of(depth_));
        due_.push_back("release savepoint " + name_of(depth_));
        set_ = depth_ - 1;
    }
    --depth_;
    limit_->forget(); // it is set back with the savepoint
    core_->savepoint_undone();
    if (!core_->over()) failure_ = nullptr;
}

bool transaction::undoes_next() const noexcept
{
    return std::ranges::any_of(due_, [](auto& statement) { return statement.starts_with("rollback"); });
}

} // namespace pgcoro
