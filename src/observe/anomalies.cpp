#include <pgcoro/observe/anomalies.hpp>

#include <algorithm>
#include <cmath>

namespace pgcoro
{

namespace
{

constexpr std::size_t enough = 10;

double median_of(std::vector<double> values)
{
    auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (values.size() % 2) return *middle;
    return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

std::vector<double> known(std::span<const double> values)
{
    std::vector<double> kept;
    std::copy_if(values.begin(), values.end(), std::back_inserter(kept),
                 [](double v) { return !std::isnan(v); });
    return kept;
}

} // namespace

void tag_invoke(boost::json::value_from_tag, boost::json::value& to, const anomaly& from)
{
    auto finite = [](double value) {
        return std::isfinite(value) ? boost::json::value(value) : boost::json::value();
    };
    to = {{"figure", from.figure},
          {"value", finite(from.value)},
          {"median", finite(from.median)},
          {"score", finite(from.score)},
          {"compared", from.compared}};
}

double robust_z_score(double value, std::span<const double> usual)
{
    auto values = known(usual);
    if (values.size() < enough) return std::nan("");
    auto median = median_of(values);
    double sum = 0;
    for (auto& v : values) {
        v = std::abs(v - median);
        sum += v;
    }
    auto mad = median_of(values);
    auto deviation = mad > 0 ? mad / 0.6745 : 1.2533 * sum / static_cast<double>(values.size());
    deviation = std::max(deviation, 0.01 * std::abs(median));
    auto distance = value - median;
    if (distance == 0) return 0;
    return deviation > 0 ? distance / deviation : std::copysign(INFINITY, distance);
}

std::vector<anomaly> find_anomalies(const history& h, double least_score)
{
    constexpr double hour = 3'600;
    constexpr double day = 24 * hour;
    std::vector<anomaly> found;
    auto last = h.last();
    if (!last) return found;
    // A day of samples begins just after the one a day ago, which has made room for the last.
    auto usual = h.between(last->time - day, last->time - day + hour);
    for (auto name : {"query_rate", "error_rate", "slow_rate", "avg", "p95", "utilization",
                      "acquire_wait_p95", "retries", "deadlocks"}) {
        auto figure = figure_named(name);
        std::vector<double> values;
        values.reserve(usual.size());
        for (auto& s : usual) values.push_back(s.*figure);
        values = known(values);
        auto score = robust_z_score((*last).*figure, values);
        if (!(std::abs(score) >= least_score)) continue; // not known, either
        found.push_back({name, (*last).*figure, median_of(values), score, values.size()});
    }
    std::sort(found.begin(), found.end(),
              [](auto& a, auto& b) { return std::abs(a.score) > std::abs(b.score); });
    return found;
}

} // namespace pgcoro
