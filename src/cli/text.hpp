/// Figures, for people.
#pragma once

#include <string>
#include <string_view>

namespace pgcoro::cli
{

/// "0.42", with so many digits behind the point.
std::string fixed(double value, int digits);
/// 1234567 as "1,234,567".
std::string grouped(long long value);
/// Seconds as "3.4 s", "12 min 5 s", "3 h 20 min", and what is below one second as "0.42 ms".
std::string duration(double seconds);
/// Padded with spaces to a width in characters; UTF-8 is counted by code points.
std::string padded(std::string_view text, std::size_t width);
/// At most so many characters, in one line; what was cut is marked.
std::string shortened(std::string_view text, std::size_t most);
std::string first_line(std::string_view text);

} // namespace pgcoro::cli
