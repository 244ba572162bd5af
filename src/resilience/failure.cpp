#include <pgcoro/error/error.hpp>
#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

namespace pgcoro
{

bool is_cancellation(const std::exception_ptr& failure) noexcept
{
    if (!failure) return false;
    try {
        std::rethrow_exception(failure);
    } catch (const boost::system::system_error& e) {
        return e.code() == boost::asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

bool is_transient(const std::exception_ptr& failure) noexcept
{
    if (!failure) return false;
    try {
        std::rethrow_exception(failure);
    } catch (const error& e) {
        return e.is_transient();
    } catch (...) {
        return false;
    }
}

} // namespace pgcoro
