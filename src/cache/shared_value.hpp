// A result in bytes, with all that must be known to believe it: what the second level keeps.
#pragma once

#include "cache/moment.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

struct shared_value
{
    std::string key;                         // in full
    over_by over;                            // before its query was sent
    std::chrono::microseconds server_time{}; // then
    std::chrono::nanoseconds ttl{};          // since then
    std::chrono::nanoseconds cost{};
    std::shared_ptr<const result> rows;
};

// Nothing for a result that cannot be kept like this: one without columns.
std::optional<std::string> to_bytes(const shared_value& value);

// Nothing for what is not whole or not of this form. Takes bytes of any origin, and little more memory than
// they have.
std::optional<shared_value> from_bytes(std::string_view bytes);

} // namespace pgcoro::detail
