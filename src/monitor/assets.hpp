// The page's files, built in; made by embed.cmake.
#pragma once

#include <string_view>

namespace pgcoro::detail::assets
{

extern const std::string_view page;
extern const std::string_view script;
extern const std::string_view style;
extern const std::string_view charts;
extern const std::string_view description;

} // namespace pgcoro::detail::assets
