#pragma once

#include <chrono>
#include <exception>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

/// "850 ns", "12.5 ms", "3 s", "2.5 min": three digits, for messages.
std::string text_of(std::chrono::nanoseconds time);

/// Returns the first line of what(), shortened to 2,000 bytes. An exception that has no what() is called unknown.
std::string first_line(const std::exception_ptr& failure);

/// The server's SQLSTATE if a pgcoro::error carries one, else empty.
std::string sqlstate_of(const std::exception_ptr& failure);

/// Did a standby refuse it, because it takes no writes?
bool is_refused_by_standby(const std::exception_ptr& failure);

/// Throws `std::invalid_argument`, "name: field must be range, not value".
[[noreturn]] void out_of_range(std::string_view name, std::string_view field, std::string_view range,
                               std::string_view value);

/// A number as text, without needless digits.
std::string text_of(double number);

} // namespace pgcoro::detail
