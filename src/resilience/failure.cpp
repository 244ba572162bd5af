#include "resilience/is_a.hpp"

#include <pgcoro/error/error.hpp>
#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

namespace pgcoro
{

bool is_cancellation(const std::exception_ptr& failure) noexcept
{
    auto aborted = [](auto& e) { return e.code() == boost::asio::error::operation_aborted; };
    return detail::is_a<boost::system::system_error>(failure, aborted);
}

bool is_transient(const std::exception_ptr& failure) noexcept
{
    return detail::is_a<error>(failure, [](auto& e) { return e.is_transient(); });
}

} // namespace pgcoro
