#pragma once

#include <string>
#include <string_view>

namespace pgcoro::detail
{

// "verb 'gid'". Throws std::invalid_argument when the server would not take the name.
std::string two_phase_statement(std::string_view verb, std::string_view gid);

} // namespace pgcoro::detail
