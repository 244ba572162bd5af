// The result, for people and for programs.
#pragma once

#include "measure.hpp"

#include <ostream>

namespace bench
{

struct outcome
{
    measure what;
    samples got;
};

void print_table(std::ostream& out, const outcome& o);
void print_json(std::ostream& out, const std::vector<outcome>& all, bool pinned);

} // namespace bench
