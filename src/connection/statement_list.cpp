#include <pgcoro/connection/statement_list.hpp>

#include "base/shortened.hpp"

#include <stdexcept>

namespace pgcoro
{

void detail::pipelined::forget()
{
    got = {};
    failure = nullptr;
    answered = false;
}

const result& detail::pipelined::checked() const
{
    if (failure) std::rethrow_exception(failure);
    if (!answered) throw std::logic_error("pgcoro: this statement has not run: " +
                                          shortened(sql, longest_statement));
    return got;
}

std::shared_ptr<const detail::pipelined> statement_list::add(std::string_view sql, params args)
{
    auto added = std::make_shared<detail::pipelined>();
    added->sql = sql;
    added->args = std::move(args);
    statements_.push_back(added);
    return added;
}

} // namespace pgcoro
