// Words for labels and messages.
#pragma once

#include <pgcoro/error/sqlstate.hpp>

#include <string_view>

namespace pgcoro::detail
{

// The class of a failed statement by what the observer was told; "connection_lost" without a SQLSTATE.
std::string_view class_label(std::string_view code) noexcept;

} // namespace pgcoro::detail
