#pragma once

#include <pgcoro/export.hpp>

#include <exception>

namespace PGCORO_API pgcoro
{

/// Is it the cancellation of an asynchronous operation: `boost::system::system_error` with Asio's
/// `operation_aborted`? False for null.
bool is_cancellation(const std::exception_ptr& failure) noexcept;

/// Is it a pgcoro::error whose `is_transient()` is true? False for any other exception, and for null.
bool is_transient(const std::exception_ptr& failure) noexcept;

} // namespace pgcoro
