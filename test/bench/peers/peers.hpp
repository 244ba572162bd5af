// Others that can do the same work, where they are installed.
#pragma once

#include "environment.hpp"
#include "measure.hpp"

#include <vector>

namespace bench
{

// P1 and P5: libpqxx, which blocks, with a thread a connection. Empty where it was not found.
std::vector<contender> libpqxx_point_select(const environment& where, std::size_t threads);
std::vector<contender> libpqxx_rows(const environment& where, std::size_t threads);

// A script of pgbench's, with so many clients in one thread. Whole seconds, at least one. Empty where there
// is no pgbench.
std::vector<contender> pgbench(const environment& where, std::size_t clients, const std::string& script);

} // namespace bench
