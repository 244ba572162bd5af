#include "error/copy_of.hpp"

#include <pgcoro/error/error.hpp>

#include <typeinfo>

namespace pgcoro::detail
{

namespace
{

// Null if `e` is of another type, or of one derived from it.
template <class Error>
std::exception_ptr copy_as(const error& e)
{
    if (typeid(e) != typeid(Error)) return nullptr;
    return std::make_exception_ptr(static_cast<const Error&>(e));
}

template <class... Errors>
std::exception_ptr copy_as_one_of(const error& e)
{
    std::exception_ptr copy;
    (void)((copy = copy_as<Errors>(e)) || ...);
    return copy;
}

} // namespace

std::exception_ptr copy_of(const std::exception_ptr& failure)
{
    if (!failure) return nullptr;
    try {
        std::rethrow_exception(failure);
    } catch (const error& e) {
        auto copy = copy_as_one_of<server_error, connection_error, pool_timeout, pool_closed, commit_unknown,
                                   deadline_exceeded, circuit_open, mapping_error, error>(e);
        return copy ? copy : failure;
    } catch (...) {
        return failure;
    }
}

} // namespace pgcoro::detail
