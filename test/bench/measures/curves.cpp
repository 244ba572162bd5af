// What does one more cost? The same work at sizes that lie far apart: the cost of a unit has to stay what it
// is.
#include "callers.hpp"
#include "measures/measures.hpp"

#include <algorithm>

namespace bench
{

namespace
{

const std::string heap = "heap KiB more";

// "1,000": the contenders' names, and how the sizes read.
std::string grouped(std::size_t n)
{
    auto text = std::to_string(n);
    for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
        text.insert(static_cast<std::size_t>(at), 1, ',');
    return text;
}

struct curve
{
    std::string unit; // what the sizes count
    std::vector<std::size_t> sizes;
    std::size_t settled; // from this size on a unit costs the same: what is paid once is small beside it
};

// The measure whose contenders are the sizes; `at(size)` gives what to run.
template <class At>
measure drawn(std::string id, std::string title, const curve& c, At at)
{
    measure m;
    m.id = std::move(id);
    m.title = std::move(title);
    auto name = [unit = c.unit](std::size_t size) { return grouped(size) + " " + unit; };
    for (auto size : c.sizes) m.contenders.push_back({name(size), at(size)});
    auto last = c.sizes.back();
    m.goals.push_back({"CPU at " + grouped(last) + " / at " + grouped(c.settled), goal::at_most, 1.25,
                       [most = name(last), settled = name(c.settled)](const samples& s) {
                           return cpu_ratio(s, most, settled);
                       }});
    return m;
}

// Counts rows; what the heap holds meanwhile beyond what it held before the first is the most of all runs.
asio::awaitable<std::uint64_t> stream_rows(callers& all, std::size_t rows, double& most_heap)
{
    auto conn = co_await all.pool().acquire();
    auto before = heap_in_use();
    std::uint64_t done = 0;
    while (!all.stop()) {
        auto from = conn->stream<std::int64_t>("select n from generate_series(1, $1) n",
                                               static_cast<std::int64_t>(rows));
        constexpr std::uint64_t now_and_then = 10'000;
        std::uint64_t n = 0;
        while (co_await from.next()) {
            if (++n % now_and_then == 0 && heap_in_use() > before)
                most_heap = std::max(most_heap, static_cast<double>(heap_in_use() - before) / 1024);
        }
        if (n != rows) throw std::runtime_error("rows are missing");
        done += n;
    }
    co_return done;
}

asio::awaitable<std::uint64_t> run_pipelines(callers& all, std::size_t depth)
{
    auto conn = co_await all.pool().acquire();
    std::uint64_t done = 0;
    for (; !all.stop(); done += depth) {
        auto p = conn->pipeline();
        for (std::size_t i = 0; i < depth; ++i) p.execute("select $1::int", static_cast<std::int32_t>(i));
        co_await p.run();
    }
    co_return done;
}

// Counts bytes of text.
asio::awaitable<std::uint64_t> send_text(callers& all, std::string sql)
{
    auto conn = co_await all.pool().acquire();
    std::uint64_t done = 0;
    for (; !all.stop(); done += sql.size()) co_await conn->query(sql);
    co_return done;
}

asio::awaitable<std::uint64_t> send_parameters(callers& all, std::size_t n)
{
    std::string sql = "select 0";
    for (std::size_t i = 1; i <= n; ++i) sql += "+$" + std::to_string(i) + "::int";
    auto conn = co_await all.pool().acquire();
    std::uint64_t done = 0;
    for (; !all.stop(); done += n) {
        pgcoro::params values;
        for (std::size_t i = 0; i < n; ++i) values.add(static_cast<std::int32_t>(i));
        co_await conn->run(sql, std::move(values));
    }
    co_return done;
}

// One caller on the one connection of `all`.
template <class Work>
auto alone(std::shared_ptr<callers> all, Work work)
{
    return [all, work](seconds how_long) {
        return all->run(1, how_long, [&](std::size_t) { return work(*all); });
    };
}

} // namespace

measure over_callers(const environment& where)
{
    auto all = std::make_shared<callers>(where, 16);
    curve c{"callers", {1, 10, 100, 1'000, 10'000}, 100};
    return drawn(
        "C1", "a point select each, by more and more callers of a pool of 16", c, [&](std::size_t n) {
            return [all, n](seconds how_long) {
                return all->run(n, how_long, [&](std::size_t who) { return select_by_lease(*all, who); });
            };
        });
}

measure over_connections(const environment& where)
{
    curve c{"connections", {1, 4, 16, 64, 500}, 16};
    return drawn("C2", "a point select, on more and more connections, a caller each", c, [&](std::size_t n) {
        auto all = std::make_shared<callers>(where, n);
        return [all, n](seconds how_long) {
            return all->run(n, how_long, [&](std::size_t who) { return select_by_lease(*all, who); });
        };
    });
}

measure over_rows(const environment& where)
{
    auto all = std::make_shared<callers>(where, 1);
    curve c{"rows", {1, 10, 100, 1'000, 10'000, 100'000, 1'000'000}, 1'000};
    auto m = drawn("C3", "a row, of longer and longer streams", c, [&](std::size_t n) {
        return [all, n](seconds how_long) {
            double most = 0;
            auto s = all->run(1, how_long, [&](std::size_t) { return stream_rows(*all, n, most); });
            s.extra[heap] = most;
            return s;
        };
    });
    auto last = m.contenders.back().name;
    m.goals.push_back({heap + ", for 1,000,000 rows", goal::at_most, 1024, [last](const samples& s) {
                           double most = 0;
                           for (auto& one : s.at(last)) most = std::max(most, one.extra.at(heap));
                           return most;
                       }});
    return m;
}

measure over_depth(const environment& where)
{
    auto all = std::make_shared<callers>(where, 1);
    curve c{"deep", {1, 10, 100, 1'000}, 100};
    return drawn("C4", "a statement, of deeper and deeper pipelines", c,
                 [&](std::size_t n) { return alone(all, [n](callers& a) { return run_pipelines(a, n); }); });
}

measure over_text(const environment& where)
{
    auto all = std::make_shared<callers>(where, 1);
    curve c{"bytes", {10, 100, 1'000, 10'000, 100'000, 1'000'000}, 100'000};
    return drawn("C5", "a byte, of longer and longer statements, each run again and again", c,
                 [&](std::size_t n) {
                     std::string sql = "select 1--";
                     sql.resize(n, 'x');
                     return alone(all, [sql](callers& a) { return send_text(a, sql); });
                 });
}

measure over_parameters(const environment& where)
{
    auto all = std::make_shared<callers>(where, 1);
    curve c{"parameters", {1, 10, 100, 1'000}, 100};
    return drawn("C6", "a parameter, of statements with more and more of them", c, [&](std::size_t n) {
        return alone(all, [n](callers& a) { return send_parameters(a, n); });
    });
}

} // namespace bench
