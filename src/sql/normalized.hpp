// A statement's text as it may be shown.
#pragma once

#include <string>
#include <string_view>

namespace pgcoro::sql
{

// The text with $1 … in place of its constants; empty when it is not understood.
std::string without_constants(std::string_view text);

} // namespace pgcoro::sql
