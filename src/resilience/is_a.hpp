#pragma once

#include <exception>

namespace pgcoro::detail
{

// Is it an error of this type of which that holds? Not of none.
template <class Error, class Question>
bool is_a(const std::exception_ptr& failure, Question question)
{
    if (!failure) return false;
    try {
        std::rethrow_exception(failure);
    } catch (const Error& e) {
        return question(e);
    } catch (...) {
        return false;
    }
}

template <class Error>
bool is_a(const std::exception_ptr& failure)
{
    return is_a<Error>(failure, [](const Error&) { return true; });
}

} // namespace pgcoro::detail
