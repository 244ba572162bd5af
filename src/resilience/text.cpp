#include "resilience/text.hpp"

#include "base/shortened.hpp"
#include "resilience/is_a.hpp"

#include <pgcoro/error/error.hpp>

#include <cstdio>
#include <stdexcept>

namespace pgcoro::detail
{

std::string text_of(double number)
{
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", number);
    return text;
}

std::string text_of(std::chrono::nanoseconds time)
{
    const auto count = static_cast<double>(time.count());
    const double size = count < 0 ? -count : count;
    if (size < 1e3) return text_of(count) + " ns";
    if (size < 1e6) return text_of(count / 1e3) + " us";
    if (size < 1e9) return text_of(count / 1e6) + " ms";
    if (size < 120e9) return text_of(count / 1e9) + " s";
    return text_of(count / 60e9) + " min";
}

std::string first_line(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& e) {
        const std::string_view what = e.what();
        return shortened(what.substr(0, what.find('\n')));
    } catch (...) {
        return "an exception of unknown type";
    }
}

std::string sqlstate_of(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const error& e) {
        return e.sqlstate() ? std::string(e.sqlstate().str()) : std::string();
    } catch (...) {
        return {};
    }
}

bool is_refused_by_standby(const std::exception_ptr& failure)
{
    return is_a<server_error>(failure, [](auto& e) { return e.by_standby(); });
}

void out_of_range(std::string_view name, std::string_view field, std::string_view range,
                  std::string_view value)
{
    std::string text(name);
    text.append(": ").append(field).append(" must be ").append(range).append(", not ").append(value);
    throw std::invalid_argument(text);
}

} // namespace pgcoro::detail
