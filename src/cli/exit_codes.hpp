#pragma once

namespace pgcoro::cli
{

/// As monitoring systems know them, and sysexits.h's EX_USAGE.
enum exit_code { exit_ok = 0, exit_warning = 1, exit_critical = 2, exit_unknown = 3, exit_usage = 64 };

} // namespace pgcoro::cli
