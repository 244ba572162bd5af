#include "report.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <iomanip>
#include <sstream>

namespace bench
{

namespace json = boost::json;

namespace
{

struct spread
{
    double median;
    double min;
    double max;
};

template <class Of>
spread over_runs(const std::vector<sample>& runs, Of of)
{
    std::vector<double> values;
    for (auto& s : runs) values.push_back(of(s));
    return {median(values), *std::min_element(values.begin(), values.end()),
            *std::max_element(values.begin(), values.end())};
}

spread cpu_ns(const std::vector<sample>& runs)
{
    return over_runs(runs, [](const sample& s) { return 1e9 * s.cpu_each(); });
}

spread rates(const std::vector<sample>& runs)
{
    return over_runs(runs, [](const sample& s) { return s.rate(); });
}

// Three digits that matter, and no exponent.
std::string number(double value)
{
    std::ostringstream text;
    auto size = std::abs(value);
    text << std::fixed << std::setprecision(size < 10 ? 2 : size < 100 ? 1 : 0) << value;
    return text.str();
}

std::string text(const spread& s)
{
    return number(s.median) + " (" + number(s.min) + " - " + number(s.max) + ")";
}

json::object to_json(const spread& s) { return {{"median", s.median}, {"min", s.min}, {"max", s.max}}; }

} // namespace

void print_table(std::ostream& out, const outcome& o)
{
    out << o.what.id << "  " << o.what.title << "\n";
    out << "    " << std::left << std::setw(36) << "median (min - max)" << std::setw(30)
        << "client CPU, ns each"
        << "each second\n";
    for (auto& c : o.what.contenders) {
        auto& runs = o.got.at(c.name);
        out << "    " << std::setw(36) << c.name << std::setw(30) << text(cpu_ns(runs)) << text(rates(runs));
        for (auto& [name, value] : runs.front().extra)
            out << "  " << name << " "
                << text(over_runs(runs, [key = name](const sample& s) { return s.extra.at(key); }));
        out << "\n";
    }
    for (auto& g : o.what.goals) {
        auto reached = g.value(o.got);
        out << "    " << std::setw(36) << g.what << std::setw(30)
            << number(reached) + (g.sense == goal::at_most ? "  (at most " : "  (at least ") +
                   number(g.limit) + ")"
            << (g.met(reached) ? "reached" : "MISSED") << "\n";
    }
    out << std::endl;
}

void print_json(std::ostream& out, const std::vector<outcome>& all, bool pinned)
{
    json::array measures;
    for (auto& o : all) {
        json::array contenders;
        for (auto& c : o.what.contenders) {
            auto& runs = o.got.at(c.name);
            json::object extra;
            for (auto& [name, value] : runs.front().extra)
                extra[name] =
                    to_json(over_runs(runs, [key = name](const sample& s) { return s.extra.at(key); }));
            contenders.push_back(json::object{{"name", c.name},
                                              {"runs", runs.size()},
                                              {"client_cpu_ns", to_json(cpu_ns(runs))},
                                              {"per_second", to_json(rates(runs))},
                                              {"extra", std::move(extra)}});
        }
        json::array goals;
        for (auto& g : o.what.goals) {
            auto reached = g.value(o.got);
            goals.push_back(json::object{{"what", g.what},
                                         {g.sense == goal::at_most ? "at_most" : "at_least", g.limit},
                                         {"value", reached},
                                         {"reached", g.met(reached)}});
        }
        measures.push_back(json::object{{"id", o.what.id},
                                        {"title", o.what.title},
                                        {"contenders", std::move(contenders)},
                                        {"goals", std::move(goals)}});
    }
    out << json::serialize(json::object{{"pinned", pinned}, {"measures", std::move(measures)}}) << std::endl;
}

} // namespace bench
