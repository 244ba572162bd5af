#include "cli/bars.hpp"

#include "cli/probe.hpp"
#include "cli/text.hpp"

#include <boost/json/object.hpp>

#include <algorithm>
#include <vector>

namespace pgcoro::cli
{

namespace
{

struct bar
{
    std::chrono::nanoseconds upto;
    std::uint64_t count;
};

// Powers of two, where the histogram's own buckets end.
std::vector<bar> bars_of(const histogram& h)
{
    std::vector<bar> all;
    std::uint64_t below = 0;
    for (int bit = 10; bit < 47 && below < h.count(); ++bit) {
        std::chrono::nanoseconds upto((std::int64_t(1) << bit) - 1);
        auto n = h.count_upto(upto);
        if (n > 0) all.push_back({upto, n - below});
        below = n;
    }
    return all;
}

} // namespace

std::vector<text_line> bars(const histogram& h, std::size_t width)
{
    auto all = bars_of(h);
    auto few = h.count() / 1'000;
    while (all.size() > 1 && all.front().count <= few) {
        all[1].count += all[0].count;
        all.erase(all.begin());
    }
    std::uint64_t rest = 0;
    while (all.size() > 1 && all.back().count <= few) {
        rest += all.back().count;
        all.pop_back();
    }
    std::uint64_t most = 1;
    for (auto& b : all) most = std::max(most, b.count);
    std::vector<text_line> lines;
    auto add = [&](const std::string& label, std::uint64_t count) {
        std::string block;
        for (std::uint64_t i = 0, n = (count * width + most / 2) / most; i < n; ++i) block += "█";
        auto percent = 100.0 * static_cast<double>(count) / static_cast<double>(h.count());
        lines.push_back("    " + padded(label, 16) + paint(color::cyan, padded(block, width)) + "  " +
                        fixed(percent, 1) + " %");
    };
    for (auto& b : all) add("≤ " + fixed(in_ms(b.upto), 3) + " ms", b.count);
    if (rest > 0) add("more", rest);
    return lines;
}

boost::json::array bars_json(const histogram& h)
{
    boost::json::array array;
    for (auto& b : bars_of(h)) {
        boost::json::object o;
        o["upto_ms"] = in_ms(b.upto);
        o["count"] = b.count;
        array.push_back(std::move(o));
    }
    return array;
}

} // namespace pgcoro::cli
