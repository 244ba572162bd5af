#include "measure.hpp"

#include <algorithm>

#include <malloc.h>
#include <sys/resource.h>

namespace bench
{

namespace
{

double cpu_of(int who)
{
    rusage used{};
    ::getrusage(who, &used);
    auto in_seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return in_seconds(used.ru_utime) + in_seconds(used.ru_stime);
}

double least_cpu(const std::vector<sample>& runs)
{
    auto less = [](const sample& a, const sample& b) { return a.cpu_each() < b.cpu_each(); };
    return std::min_element(runs.begin(), runs.end(), less)->cpu_each();
}

} // namespace

double own_cpu() { return cpu_of(RUSAGE_SELF); }
double children_cpu() { return cpu_of(RUSAGE_CHILDREN); }

std::size_t heap_in_use()
{
    auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    auto n = values.size();
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double cpu_ratio(const samples& all, const std::string& of, const std::string& by)
{
    return least_cpu(all.at(of)) / least_cpu(all.at(by));
}

double rate_ratio(const samples& all, const std::string& of, const std::string& by)
{
    auto& mine = all.at(of);
    auto& theirs = all.at(by);
    std::vector<double> ratios;
    for (std::size_t i = 0; i < mine.size(); ++i) ratios.push_back(mine[i].rate() / theirs[i].rate());
    return median(std::move(ratios));
}

double least_cpu_ns(const samples& all, const std::string& of) { return 1e9 * least_cpu(all.at(of)); }

} // namespace bench
