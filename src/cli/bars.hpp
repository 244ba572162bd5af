#pragma once

#include "cli/terminal.hpp"

#include <pgcoro/observe/histogram.hpp>

#include <boost/json/array.hpp>

#include <vector>

namespace pgcoro::cli
{

/// The distribution as lines of "≤ 0.26 ms  ████  12.3 %", each for twice the time of the one before; those
/// with less than a thousandth at either end are put together.
std::vector<text_line> bars(const histogram& h, std::size_t width);

/// The same as [{"upto_ms": …, "count": …}], from the first to the last that has any.
boost::json::array bars_json(const histogram& h);

} // namespace pgcoro::cli
