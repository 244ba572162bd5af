#pragma once

#include "resources.hpp"
#include "settings.hpp"
#include "trial.hpp"

#include <iosfwd>
#include <string>
#include <vector>

namespace chaos
{

/// All that there is to tell at the end.
struct report
{
    chaos::settings settings;
    pgcoro::cluster_options options;
    findings found;
    resources before;
    resources after;
    std::vector<std::string> left_out; ///< kinds of fault, with the reason

    bool passed() const { return found.complaints.empty(); }
};

/// For people.
void print_table(std::ostream& out, const report& r);
/// For programs: one JSON object.
void print_json(std::ostream& out, const report& r);

} // namespace chaos
