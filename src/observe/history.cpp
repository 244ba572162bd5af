#include <pgcoro/observe/history.hpp>

#include <boost/describe/members.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <boost/mp11/algorithm.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace pgcoro
{

namespace
{

using members = boost::describe::describe_members<sample, boost::describe::mod_public>;

// What becomes of a figure when samples are made one.
enum class joined {
    total,         // of counts
    greatest,      // of percentiles and greatest values
    mean_by_basis, // of shares and averages, weighted by what they are of
    mean,          // of levels and what is known now and then, NaN left out
};

struct way
{
    joined how = joined::mean;
    sample_figure basis = nullptr;
};

way way_of(sample_figure f)
{
    for (auto total :
         {&sample::length, &sample::queries, &sample::errors, &sample::acquires, &sample::acquire_timeouts,
          &sample::committed, &sample::rolled_back, &sample::retries, &sample::deadlocks})
        if (f == total) return {joined::total, nullptr};
    for (auto greatest : {&sample::time, &sample::p50, &sample::p95, &sample::p99, &sample::max,
                          &sample::acquire_wait_p95, &sample::longest_lock_wait, &sample::breakers_open,
                          &sample::replicas_unusable})
        if (f == greatest) return {joined::greatest, nullptr};
    for (auto of_queries : {&sample::error_rate, &sample::slow_rate, &sample::avg})
        if (f == of_queries) return {joined::mean_by_basis, &sample::queries};
    if (f == &sample::query_rate) return {joined::mean_by_basis, &sample::length};
    if (f == &sample::connection_use_avg) return {joined::mean_by_basis, &sample::acquires};
    return {};
}

double join(const std::vector<sample>& all, sample_figure f)
{
    auto [how, basis] = way_of(f);
    double sum = 0;
    double weights = 0;
    double greatest = std::nan("");
    for (auto& s : all) {
        auto value = s.*f;
        if (std::isnan(value)) continue;
        auto weight = basis ? s.*basis : 1;
        sum += value * (how == joined::total ? 1 : weight);
        weights += weight;
        greatest = std::isnan(greatest) ? value : std::max(greatest, value);
    }
    switch (how) {
    case joined::total:
        return sum;
    case joined::greatest:
        return greatest;
    case joined::mean_by_basis:
        return weights > 0 ? sum / weights : greatest; // of nothing: as the samples have it
    case joined::mean:
        break;
    }
    return weights > 0 ? sum / weights : std::nan("");
}

sample join(const std::vector<sample>& all)
{
    sample one;
    boost::mp11::mp_for_each<members>([&](auto d) { one.*d.pointer = join(all, d.pointer); });
    return one;
}

// The line that least squares fit to y over x.
trend line_through(const std::vector<double>& x, const std::vector<double>& y)
{
    trend t;
    t.values = x.size();
    if (t.values < 3) return t;
    auto n = static_cast<double>(t.values);
    double mean_x = 0;
    double mean_y = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        mean_x += x[i] / n;
        mean_y += y[i] / n;
    }
    double xx = 0;
    double xy = 0;
    double yy = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        xy += (x[i] - mean_x) * (y[i] - mean_y);
        yy += (y[i] - mean_y) * (y[i] - mean_y);
    }
    auto slope = xy / xx; // times differ, so that xx is above 0
    t.slope = slope * 3'600;
    t.first = mean_y + slope * (x.front() - mean_x);
    t.last = mean_y + slope * (x.back() - mean_x);
    t.fit = yy > 0 ? xy * xy / (xx * yy) : 0;
    auto change = t.last - t.first;
    constexpr double explained = 0.25;
    constexpr double worth_telling = 0.1;
    bool goes = t.fit >= explained && std::abs(change) > worth_telling * std::abs(mean_y);
    t.going = !goes        ? trend_direction::steady
              : change > 0 ? trend_direction::rising
                           : trend_direction::falling;
    return t;
}

} // namespace

std::string_view to_string(trend_direction d) noexcept
{
    return boost::describe::enum_to_string(d, "unknown");
}

void tag_invoke(boost::json::value_from_tag, boost::json::value& to, const sample& from)
{
    auto& object = to.emplace_object();
    boost::mp11::mp_for_each<members>([&](auto d) {
        auto value = from.*d.pointer;
        object[d.name] = std::isfinite(value) ? boost::json::value(value) : boost::json::value();
    });
}

sample_figure figure_named(std::string_view name) noexcept
{
    sample_figure found = nullptr;
    boost::mp11::mp_for_each<members>([&](auto d) {
        if (name == d.name) found = d.pointer;
    });
    return found;
}

history::history(std::size_t capacity)
    : capacity_(capacity)
{
    if (capacity == 0) throw std::invalid_argument("pgcoro: a history of 0 samples: it must have 1 or more");
    ring_.reserve(capacity);
}

void history::add(const sample& s)
{
    std::lock_guard lock(mutex_);
    if (!ring_.empty()) {
        auto& last = ring_[(next_ + ring_.size() - 1) % ring_.size()];
        if (s.time <= last.time) {
            last = s;
            return;
        }
    }
    if (ring_.size() < capacity_) {
        ring_.push_back(s);
        return;
    }
    ring_[next_] = s;
    next_ = (next_ + 1) % capacity_;
}

std::vector<sample> history::all() const
{
    std::lock_guard lock(mutex_);
    std::vector<sample> in_order(ring_.begin() + static_cast<std::ptrdiff_t>(next_), ring_.end());
    in_order.insert(in_order.end(), ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(next_));
    return in_order;
}

std::vector<sample> history::between(double from, double to, double step) const
{
    auto found = all();
    std::erase_if(found, [&](auto& s) { return s.time <= from || s.time > to; });
    if (!(step > 0)) return found;
    std::vector<sample> joined;
    std::vector<sample> group;
    double index = 0; // of the step that the group belongs to
    for (auto& s : found) {
        auto own = std::ceil((s.time - from) / step);
        if (!group.empty() && own != index) {
            joined.push_back(join(group));
            group.clear();
        }
        index = own;
        group.push_back(s);
    }
    if (!group.empty()) joined.push_back(join(group));
    return joined;
}

std::optional<sample> history::last() const
{
    std::lock_guard lock(mutex_);
    if (ring_.empty()) return std::nullopt;
    return ring_[(next_ + ring_.size() - 1) % ring_.size()];
}

std::size_t history::size() const
{
    std::lock_guard lock(mutex_);
    return ring_.size();
}

trend history::trend_of(sample_figure figure, double seconds) const
{
    auto latest = last();
    if (!latest) return {};
    std::vector<double> x;
    std::vector<double> y;
    for (auto& s : between(latest->time - seconds, latest->time)) {
        if (std::isnan(s.*figure)) continue;
        x.push_back(s.time);
        y.push_back(s.*figure);
    }
    return line_through(x, y);
}

} // namespace pgcoro
