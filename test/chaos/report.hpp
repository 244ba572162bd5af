#pragma once

#include "resources.hpp"
#include "settings.hpp"
#include "trial.hpp"

#include <iosfwd>
#include <map>
#include <string>
#include <string_view>
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

/// How long it took, a line for each kind of fault.
void print_recoveries(std::ostream& out, const std::map<std::string_view, recoveries>& by_kind);
/// What became of transfers and notifications, for people.
void print_books(std::ostream& out, const findings& f);
/// Errors that reached callers, complaints, or that there are none.
void print_verdict(std::ostream& out, const findings& f);

/// For people.
void print_table(std::ostream& out, const report& r);
/// For programs: one JSON object.
void print_json(std::ostream& out, const report& r);

} // namespace chaos
