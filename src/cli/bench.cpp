#include "cli/bench.hpp"

#include "cli/bars.hpp"
#include "cli/exit_codes.hpp"
#include "cli/probe.hpp"
#include "cli/target.hpp"
#include "cli/text.hpp"

#include <pgcoro/pool/pool.hpp>
#include <pgcoro/resilience/failure.hpp>
#include <pgcoro/transaction/transactional.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <csignal>
#include <functional>
#include <memory>
#include <random>

#include <unistd.h>

namespace pgcoro::cli
{

namespace asio = boost::asio;
namespace json = boost::json;
using clock = std::chrono::steady_clock;

namespace
{

constexpr std::size_t bar_width = 40;

// What many callers did at the same time.
struct measured
{
    std::string name;
    double seconds = 0;
    std::uint64_t errors = 0;
    std::string first_error;
    histogram times;

    double rate() const { return seconds > 0 ? static_cast<double>(times.count()) / seconds : 0; }
};

class run_of_bench
{
public:
    run_of_bench(const settings& s, pool& p, const bool& stop)
        : settings_(s)
        , pool_(p)
        , stop_(stop)
        , random_(std::random_device()())
        , schema_("pgcoro_bench_" + std::to_string(::getpid()) + "_" + std::to_string(random_() % 100'000))
        , select_("select cents from " + schema_ + ".account where id = $1")
        , update_("update " + schema_ + ".account set cents = cents + $2 where id = $1")
    {}

    asio::awaitable<void> all(std::vector<measured>& into)
    {
        co_await pool_.warm_up();
        if (settings_.bench.read_only) {
            co_await measure("round trip", into, [this] { return round_trip(); });
            co_return;
        }
        std::exception_ptr failure;
        co_await make_table();
        try {
            co_await measure("point select", into, [this] { return point_select(); });
            co_await measure("transaction", into, [this] { return transfer(); });
        } catch (...) {
            failure = std::current_exception();
        }
        co_await pool_.execute("drop schema " + schema_ + " cascade");
        if (failure) std::rethrow_exception(failure);
    }

private:
    using action = std::function<asio::awaitable<void>()>;

    asio::awaitable<void> make_table()
    {
        auto create_schema = "create schema " + schema_;
        co_await pool_.execute(create_schema);
        auto create =
            "create unlogged table " + schema_ + ".account (id int primary key, cents bigint not null)";
        co_await pool_.execute(create);
        auto fill = "insert into " + schema_ + ".account select i, 100 from generate_series(1, $1::int) i";
        co_await pool_.execute(fill, settings_.bench.rows);
        auto analyze = "analyze " + schema_ + ".account";
        co_await pool_.execute(analyze);
    }

    asio::awaitable<void> measure(const char* name, std::vector<measured>& into, action act)
    {
        if (stop_) co_return;
        measured m;
        m.name = name;
        auto begun = clock::now();
        auto until = begun + std::chrono::duration_cast<clock::duration>(
                                 std::chrono::duration<double>(settings_.bench.duration));
        auto executor = co_await asio::this_coro::executor;
        int running = settings_.bench.clients;
        asio::steady_timer ended(executor, clock::time_point::max());
        for (int i = 0; i < settings_.bench.clients; ++i)
            asio::co_spawn(executor, caller(act, until, m), [&](std::exception_ptr) {
                if (--running == 0) ended.cancel();
            });
        boost::system::error_code ec;
        co_await ended.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        m.seconds = std::chrono::duration<double>(clock::now() - begun).count();
        into.push_back(std::move(m));
    }

    asio::awaitable<void> caller(const action& act, clock::time_point until, measured& m)
    {
        while (!stop_ && clock::now() < until) {
            auto begun = clock::now();
            std::string failure;
            try {
                co_await act();
                m.times.record(clock::now() - begun);
            } catch (const std::exception& e) {
                failure = e.what();
            }
            if (failure.empty()) continue;
            if (m.errors++ == 0) m.first_error = failure;
            asio::steady_timer pause(co_await asio::this_coro::executor, std::chrono::milliseconds(100));
            co_await pause.async_wait(asio::use_awaitable); // not a storm of failing calls
        }
    }

    int any_row() { return std::uniform_int_distribution<int>(1, settings_.bench.rows)(random_); }

    asio::awaitable<void> round_trip() { co_await pool_.query_value<int>("select $1::int", any_row()); }

    asio::awaitable<void> point_select() { co_await pool_.query_value<std::int64_t>(select_, any_row()); }

    asio::awaitable<void> transfer()
    {
        auto from = any_row();
        auto to = any_row();
        auto first = std::min(from, to); // in order: deadlocks are not what is measured
        auto second = std::max(from, to);
        auto body = [&](transaction& tx) -> asio::awaitable<void> {
            co_await tx.execute(update_, first, -1);
            co_await tx.execute(update_, second, 1);
            co_await tx.query_value<std::int64_t>(select_, second);
        };
        co_await transactional(pool_, body);
    }

    const settings& settings_;
    pool& pool_;
    const bool& stop_;
    std::mt19937 random_;
    std::string schema_;
    std::string select_;
    std::string update_;
};

json::object to_json(const measured& m)
{
    json::object o;
    o["name"] = m.name;
    o["count"] = m.times.count();
    o["errors"] = m.errors;
    o["first_error"] = first_line(m.first_error);
    o["seconds"] = m.seconds;
    o["per_second"] = m.rate();
    o["p50_ms"] = in_ms(m.times.quantile(0.5));
    o["p95_ms"] = in_ms(m.times.quantile(0.95));
    o["p99_ms"] = in_ms(m.times.quantile(0.99));
    o["max_ms"] = in_ms(m.times.max());
    o["histogram"] = bars_json(m.times);
    return o;
}

void print(terminal& out, const measured& m)
{
    auto ms = [&](double q) { return fixed(in_ms(m.times.quantile(q)), 3) + " ms"; };
    out.write("");
    out.write(paint(color::bold, m.name) + ": " + grouped(static_cast<long long>(m.rate())) + " a second, " +
              grouped(static_cast<long long>(m.times.count())) + " in " + fixed(m.seconds, 1) + " s, " +
              std::to_string(m.errors) + " errors");
    if (m.errors) out.write("    " + paint(color::red, "first error: " + first_line(m.first_error)));
    if (m.times.count() == 0) return;
    out.write("    p50 " + ms(0.5) + ", p95 " + ms(0.95) + ", p99 " + ms(0.99) + ", max " +
              fixed(in_ms(m.times.max()), 3) + " ms");
    out.write(bars(m.times, bar_width));
}

pool_options pool_of(const settings& s)
{
    pool_options o;
    o.connection = target_of(s.common, "bench");
    o.connection.statement_cache_size = connection_options().statement_cache_size;
    o.connection.statement_timeout = std::chrono::seconds(30);
    o.name = "pgcoro bench";
    o.size = static_cast<std::size_t>(s.bench.clients);
    o.max_overflow = 0;
    return o;
}

} // namespace

asio::awaitable<int> bench(const settings& s, terminal& out)
{
    auto executor = co_await asio::this_coro::executor;
    auto o = pool_of(s);
    pool p(executor, o);
    bool stop = false; // Ctrl-C ends it early; what was made is dropped, what was measured is shown
    asio::signal_set signals(executor, SIGINT, SIGTERM);
    signals.async_wait([&stop](boost::system::error_code ec, int) {
        if (!ec) stop = true;
    });
    std::vector<measured> all;
    run_of_bench work(s, p, stop);
    co_await work.all(all);
    signals.cancel();
    co_await p.close();

    std::uint64_t errors = 0;
    bool none = false;
    for (auto& m : all) {
        errors += m.errors;
        none = none || m.times.count() == 0;
    }
    auto where = describe_target(o.connection);
    if (s.common.json()) {
        json::object report;
        json::array measures;
        for (auto& m : all) measures.push_back(to_json(m));
        report["target"] = where;
        report["clients"] = s.bench.clients;
        report["measures"] = std::move(measures);
        out.write_json(report);
    } else {
        out.write(paint(color::bold, "pgcoro bench") + ": " + std::to_string(s.bench.clients) + " clients, " +
                  where);
        for (auto& m : all) print(out, m);
    }
    co_return none ? exit_critical : errors > 0 ? exit_warning : exit_ok;
}

} // namespace pgcoro::cli
