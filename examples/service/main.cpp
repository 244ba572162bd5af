// A small HTTP service on the pool, with all of it wired: metrics, samples, alerts, a health monitor, a
// cache, and the monitor with its page. On a private server by default, and with load, so that there is
// something to see.
#include "bank.hpp"
#include "front.hpp"
#include "load.hpp"

#include <pgcoro/monitor/monitor.hpp>
#include <pgcoro/testing/server.hpp>

#include <CLI/CLI.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <iostream>
#include <optional>

namespace asio = boost::asio;

namespace
{

struct settings
{
    std::string url;
    std::uint16_t port = 8781;
    std::uint16_t monitor_port = 8780;
    std::string token;
    int callers = 16;
    int accounts = 1'000;
    double duration = 0;
    double sample_every = 60;
};

pgcoro::pool_options pool_options_of(const settings& s, pgcoro::observer& told)
{
    pgcoro::pool_options options;
    options.connection = pgcoro::connection_options::from_uri(s.url);
    options.name = "bank";
    options.size = 8;
    options.max_overflow = 8;
    options.observer = &told;
    return options;
}

class service
{
public:
    explicit service(const settings& s)
        : settings_(s)
        , pool_(io_.get_executor(), pool_options_of(s, metrics_))
        , cache_(io_.get_executor(), pool_)
        , sampler_(metrics_, history_, &alerts_, sampling(s))
        , health_(pool_, [](bool healthy, const pgcoro::health_check& last,
                            int times) { tell_health(healthy, last, times); })
        , monitor_(io_.get_executor(), {&metrics_, &pool_, &history_, &alerts_, &sampler_, &cache_},
                   monitoring(s))
        , bank_(pool_, cache_)
        , front_(io_.get_executor(), bank_, s.port)
    {
        metrics_.watch(pool_);
        cache_watched_ = metrics_.watch("bank", cache_);
        alerts_.on_change([](const pgcoro::alert& a, pgcoro::alert_change how) { tell_alert(a, how); });
    }

    // Until SIGINT or SIGTERM, or the duration is over. True when all went well.
    bool run()
    {
        asio::signal_set signals(io_, SIGINT, SIGTERM);
        signals.async_wait([this](auto failed, int) {
            if (!failed) io_.stop();
        });
        asio::co_spawn(io_, begin(), [this](std::exception_ptr e) {
            if (!e) return;
            failure_ = e;
            io_.stop();
        });
        io_.run();
        if (failure_) std::rethrow_exception(failure_);
        std::cout << load_.done << " calls of the load succeeded, " << load_.failed << " failed\n";
        return settings_.callers == 0 || (load_.done > 0 && load_.failed == 0);
    }

private:
    static pgcoro::monitor_options monitoring(const settings& s)
    {
        pgcoro::monitor_options options;
        options.port = s.monitor_port;
        options.token = s.token;
        options.allow_invalidation = true;
        options.tables = {"public.account", "public.owner"};
        return options;
    }
    pgcoro::sampler_options sampling(const settings& s)
    {
        pgcoro::sampler_options options;
        options.inspected = &pool_;
        options.interval = std::chrono::milliseconds(static_cast<int>(1'000 * s.sample_every));
        return options;
    }
    static void tell_health(bool healthy, const pgcoro::health_check& last, int times)
    {
        std::cerr << "service: the database "
                  << (healthy ? "answers again"
                              : "has not answered " + std::to_string(times) + " times: " + last.error)
                  << '\n';
    }
    static void tell_alert(const pgcoro::alert& a, pgcoro::alert_change how)
    {
        std::cerr << "service: alert " << a.name << ' ' << boost::describe::enum_to_string(how, "?") << ", "
                  << to_string(a.severity) << ", at " << a.value << '\n';
    }

    asio::awaitable<void> begin()
    {
        co_await bank_.open(settings_.accounts);
        asio::co_spawn(io_, sampler_.run(), asio::detached);
        asio::co_spawn(io_, health_.run(), asio::detached);
        asio::co_spawn(io_, monitor_.run(), asio::detached);
        asio::co_spawn(io_, front_.run(), asio::detached);
        for (int i = 0; i < settings_.callers; ++i)
            asio::co_spawn(io_,
                           call_over_and_over(bank_, settings_.accounts, static_cast<unsigned>(i), load_),
                           asio::detached);
        std::cout << "the dashboard: " << monitor_.url() << "/\n"
                  << "the service:   http://127.0.0.1:" << front_.port() << "/accounts/1\n"
                  << std::flush;
        if (settings_.duration <= 0) co_return;
        asio::steady_timer timer(io_,
                                 std::chrono::milliseconds(static_cast<int>(1'000 * settings_.duration)));
        co_await timer.async_wait(asio::deferred);
        io_.stop();
    }

    const settings settings_;
    asio::io_context io_;
    pgcoro::metrics metrics_;
    pgcoro::pool pool_;
    pgcoro::query_cache cache_;
    pgcoro::metrics::watching cache_watched_;
    pgcoro::history history_;
    pgcoro::alerts alerts_;
    pgcoro::sampler sampler_;
    pgcoro::health_monitor health_;
    pgcoro::monitor monitor_;
    bank bank_;
    front front_;
    load_figures load_;
    std::exception_ptr failure_;
};

} // namespace

int main(int argc, char** argv)
{
    settings s;
    CLI::App app("A small HTTP service on PostgreSQL with its dashboard. Ends with Ctrl-C.");
    app.add_option(
        "--url", s.url,
        "a server of your own (its tables account and owner are made anew); by default a private one");
    app.add_option("--port", s.port, "of the service; 0: any");
    app.add_option("--monitor-port", s.monitor_port, "of the API and the dashboard; 0: any");
    app.add_option("--token", s.token, "that the dashboard wants; by default none");
    app.add_option("--callers", s.callers, "of the load; 0: none")->check(CLI::Range(0, 10'000));
    app.add_option("--accounts", s.accounts, "in the bank")->check(CLI::Range(10, 1'000'000));
    app.add_option("--duration", s.duration, "seconds; 0: until it is told to end");
    app.add_option("--sample-every", s.sample_every, "seconds: for history and alerts")
        ->check(CLI::Range(0.1, 3'600.0));
    CLI11_PARSE(app, argc, argv);
    try {
        std::optional<pgcoro::testing::server> server;
        if (s.url.empty()) s.url = server.emplace().uri();
        service it(s);
        return it.run() ? 0 : 1;
    } catch (const std::exception& e) {
        std::cerr << "service: " << e.what() << '\n';
        return 1;
    }
}
