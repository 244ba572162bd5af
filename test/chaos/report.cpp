#include "report.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <iomanip>
#include <ostream>

namespace chaos
{

namespace json = boost::json;

namespace
{

long long ms(clock::duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

clock::duration median(std::vector<clock::duration> times)
{
    if (times.empty()) return {};
    auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::ranges::nth_element(times, middle);
    return *middle;
}

clock::duration worst(const std::vector<clock::duration>& times)
{
    return times.empty() ? clock::duration{} : *std::ranges::max_element(times);
}

} // namespace

void print_recoveries(std::ostream& out, const std::map<std::string_view, recoveries>& by_kind)
{
    out << std::left << std::setw(24) << "fault" << std::right << std::setw(7) << "times" << std::setw(12)
        << "median ms" << std::setw(12) << "worst ms" << std::setw(8) << "never" << '\n';
    for (auto& [kind, times] : by_kind)
        out << std::left << std::setw(24) << kind << std::right << std::setw(7)
            << times.times.size() + times.never << std::setw(12) << ms(median(times.times)) << std::setw(12)
            << ms(worst(times.times)) << std::setw(8) << times.never << '\n';
}

void print_books(std::ostream& out, const findings& f)
{
    auto& b = f.books;
    auto& t = f.transactions;
    out << "Transfers: " << f.asked << " asked for, " << f.failed << " failed, " << f.unknown
        << " commits unknown (of which " << b.unknown_happened << " took place), " << t.retries
        << " retries, " << t.deadlocks << " deadlocks, " << t.connections_lost << " connections lost, "
        << t.commits_resolved << " commits resolved\n"
        << "Ledger: " << b.ledger_rows << " entries, " << b.lost << " lost, " << b.doubled << " doubled, "
        << b.unasked << " not to have taken place, " << b.accounts_off << " accounts off; money "
        << b.cents_before << " before, " << b.cents_after << " after\n"
        << "Lists: " << f.appends_committed << " transactions committed, " << f.appends_failed << " failed, "
        << f.appends_unknown << " commits unknown\n"
        << "Notifications: " << f.notifications << " committed, " << f.gaps << " gaps told\n";
}

void print_verdict(std::ostream& out, const findings& f)
{
    for (auto& w : f.work)
        if (!w.first_error.empty()) out << "An error that reached a caller: " << w.first_error << '\n';
    for (auto& e : f.errors) out << "An error that reached a transfer: " << e << '\n';
    for (auto& what : f.complaints) out << "FAILED  " << what << '\n';
    if (f.complaints.empty()) out << "ok      every invariant held\n";
    out << std::flush;
}

void print_table(std::ostream& out, const report& r)
{
    auto& f = r.found;
    out << "Seed " << r.settings.seed << ". From the end of a fault until every caller had success again:\n";
    print_recoveries(out, f.by_kind);
    for (auto& kind : r.left_out) out << kind << '\n';
    out << std::left << std::setw(24) << "work" << std::right << std::setw(9) << "done" << std::setw(8)
        << "failed" << std::setw(14) << "longest ms" << std::setw(12) << "bound ms" << '\n';
    for (std::size_t i = 0; i < works; ++i) {
        auto kind = static_cast<work>(i);
        auto& w = f.work[i];
        out << std::left << std::setw(24) << to_string(kind) << std::right << std::setw(9) << w.done
            << std::setw(8) << w.failed << std::setw(14) << ms(w.longest) << std::setw(12)
            << trial::bound(kind, r.options).count() << '\n';
    }
    print_books(out, f);
    out << "Failovers: " << f.failovers << '\n'
        << "Before the layer, and after it: " << r.before.descriptors << " and " << r.after.descriptors
        << " descriptors, " << r.before.heap / 1024 << " and " << r.after.heap / 1024 << " KiB of heap, "
        << r.before.resident / 1024 << " and " << r.after.resident / 1024 << " KiB resident\n";
    print_verdict(out, f);
}

void print_json(std::ostream& out, const report& r)
{
    auto& f = r.found;
    json::object recovery;
    for (auto& [kind, times] : f.by_kind)
        recovery[kind] = {{"times", times.times.size() + times.never},
                          {"median_ms", ms(median(times.times))},
                          {"worst_ms", ms(worst(times.times))},
                          {"never", times.never}};
    json::object operations;
    for (std::size_t i = 0; i < works; ++i) {
        auto kind = static_cast<work>(i);
        auto& w = f.work[i];
        operations[to_string(kind)] = {{"done", w.done},
                                       {"failed", w.failed},
                                       {"longest_ms", ms(w.longest)},
                                       {"bound_ms", trial::bound(kind, r.options).count()}};
    }
    auto list = [](const std::vector<std::string>& lines) { return json::array(lines.begin(), lines.end()); };
    auto held = [](const resources& now) {
        return json::object{{"descriptors", now.descriptors}, {"heap", now.heap}, {"resident", now.resident}};
    };
    auto& b = f.books;
    json::object all{
        {"passed", r.passed()},
        {"seed", r.settings.seed},
        {"recovery", std::move(recovery)},
        {"left_out", list(r.left_out)},
        {"work", std::move(operations)},
        {"transfers",
         {{"asked", f.asked},
          {"failed", f.failed},
          {"commit_unknown", f.unknown},
          {"unknown_happened", b.unknown_happened},
          {"lost", b.lost},
          {"doubled", b.doubled},
          {"unasked", b.unasked},
          {"accounts_off", b.accounts_off},
          {"cents_before", b.cents_before},
          {"cents_after", b.cents_after}}},
        {"lists",
         {{"committed", f.appends_committed},
          {"failed", f.appends_failed},
          {"commit_unknown", f.appends_unknown}}},
        {"notifications", {{"committed", f.notifications}, {"gaps", f.gaps}}},
        {"failovers", f.failovers},
        {"before", held(r.before)},
        {"after", held(r.after)},
        {"complaints", list(f.complaints)},
    };
    out << json::serialize(all) << std::endl;
}

} // namespace chaos
