#include "cli/monitor.hpp"

#include "cli/exit_codes.hpp"
#include "cli/target.hpp"
#include "cli/text.hpp"
#include "cli/watched.hpp"

#include <pgcoro/error/error.hpp>
#include <pgcoro/resilience/failure.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <csignal>
#include <limits>
#include <map>
#include <memory>

#include <sys/ioctl.h>
#include <unistd.h>

namespace pgcoro::cli
{

namespace asio = boost::asio;
namespace json = boost::json;
using clock = std::chrono::steady_clock;

namespace
{

// The terminal's other screen, for as long as this lives.
class screen
{
public:
    explicit screen(terminal& out)
        : out_(out)
    {
        out_.enter_screen();
    }
    screen(const screen&) = delete;
    screen& operator=(const screen&) = delete;
    ~screen() { out_.leave_screen(); }

    std::pair<std::size_t, std::size_t> size() const
    {
        winsize w{};
        if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col == 0 || w.ws_row == 0) return {80, 24};
        return {w.ws_col, w.ws_row};
    }
    void show(const std::vector<text_line>& lines) { out_.draw(lines); }

private:
    terminal& out_;
};

alert_options rules_of(const monitor_settings& s)
{
    auto rule = [](const char* name, const char* meaning, sample_figure figure, alert_severity severity,
                   bool above, double threshold) {
        alert_rule r;
        r.name = name;
        r.meaning = meaning;
        r.figure = figure;
        r.severity = severity;
        r.above = above;
        r.threshold = r.clear_at = threshold;
        return r;
    };
    alert_options o;
    o.rules = {
        rule("no answer", "the server does not answer; find out why: pgcoro doctor", &sample::availability,
             alert_severity::critical, false, 0.5),
        rule("lock wait", "seconds that a session waits for a lock; who blocks it: pgcoro locks",
             &sample::longest_lock_wait, alert_severity::warning, true, s.lock_wait / 1'000),
        rule("long query", "seconds that a statement runs; look at its plan and at what it waits for",
             &sample::max, alert_severity::warning, true, s.query / 1'000),
        rule("connections", "share of the server's connections in use; who holds them: pgcoro doctor",
             &sample::server_connection_use, alert_severity::warning, true, s.connections / 100),
    };
    return o;
}

// All looks together.
struct summary
{
    std::uint64_t looks = 0;
    std::uint64_t without_answer = 0;
    double most_transactions = 0;
    std::int64_t most_connections = 0;
    double longest_lock_wait = 0;
    double longest_query = 0;
    std::map<std::string, std::uint64_t> alerts; // raised, by name
    std::optional<alert_severity> worst;

    void add(const watched& w)
    {
        ++looks;
        if (!w.answered()) {
            ++without_answer;
            return;
        }
        most_transactions = std::max(most_transactions, w.transactions_per_second.value_or(0));
        most_connections = std::max(most_connections, w.view.connections);
        longest_lock_wait = std::max(longest_lock_wait, w.view.longest_lock_wait);
        longest_query = std::max(longest_query, w.longest_query());
    }
    void add(const told_alert& a)
    {
        if (a.change == alert_change::cleared) return;
        if (a.change == alert_change::raised) ++alerts[a.what.name];
        if (!worst || a.what.severity > *worst) worst = a.what.severity;
    }
    int code() const
    {
        if (!worst || *worst == alert_severity::info) return exit_ok;
        return *worst == alert_severity::critical ? exit_critical : exit_warning;
    }
};

class watcher
{
public:
    watcher(const settings& s, terminal& out, asio::any_io_executor executor)
        : settings_(s)
        , out_(out)
        , target_(target_of(s.common, "monitor"))
        , pool_(executor, pool_of(s, target_))
        , alerts_(rules_of(s.monitor))
        , timer_(executor)
    {
        alerts_.on_change([this](const alert& a, alert_change c) { tell({now_.time, a, c}); });
        if (!s.common.json() && ::isatty(STDOUT_FILENO)) screen_ = std::make_unique<screen>(out);
    }

    asio::awaitable<void> run()
    {
        auto in_ticks = [](double seconds) {
            return std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(seconds));
        };
        auto next = clock::now();
        auto end = settings_.monitor.duration > 0 ? next + in_ticks(settings_.monitor.duration)
                                                  : clock::time_point::max();
        while (next <= end) {
            co_await look();
            next = std::max(next + in_ticks(settings_.monitor.interval),
                            clock::now()); // one that took long is not made up for
            timer_.expires_at(std::min(next, end));
            co_await timer_.async_wait(asio::use_awaitable);
        }
    }

    asio::awaitable<void> close() { co_await pool_.close(); }

    int finish()
    {
        screen_.reset();
        if (settings_.common.json()) {
            json::object all;
            json::object o;
            o["looks"] = total_.looks;
            o["without_answer"] = total_.without_answer;
            o["most_transactions_per_second"] = total_.most_transactions;
            o["most_connections"] = total_.most_connections;
            o["longest_lock_wait_ms"] = total_.longest_lock_wait * 1'000;
            o["longest_query_ms"] = total_.longest_query * 1'000;
            json::object raised;
            for (auto& [name, n] : total_.alerts) raised[name] = n;
            o["alerts"] = std::move(raised);
            all["summary"] = std::move(o);
            out_.write_json(all);
            return total_.code();
        }
        auto text =
            "summary: " + std::to_string(total_.looks) + " looks, " + std::to_string(total_.without_answer) +
            " without an answer; at most " + fixed(total_.most_transactions, 1) + " transactions/s, " +
            std::to_string(total_.most_connections) + " connections, lock wait " +
            duration(total_.longest_lock_wait) + ", query " + duration(total_.longest_query) + "; alerts:";
        if (total_.alerts.empty()) text += " none";
        for (auto& [name, n] : total_.alerts) text += " " + name + " " + std::to_string(n) + "×";
        out_.write(text);
        return total_.code();
    }

private:
    static pool_options pool_of(const settings& s, const connection_options& target)
    {
        pool_options o;
        o.connection = target;
        o.name = "pgcoro monitor";
        o.size = 1;
        o.max_overflow = 1; // for the look that follows one that hung
        o.acquire_timeout = timeout_of(s.common);
        o.cleanup_timeout = timeout_of(s.common);
        return o;
    }

    asio::awaitable<void> inspect_once(server_view& into)
    {
        inspect_options how;
        how.long_query = std::chrono::milliseconds(0);
        how.with_queries = settings_.monitor.show_queries;
        auto held = co_await pool_.acquire();
        into = co_await inspect(*held, how);
    }

    asio::awaitable<void> look()
    {
        now_.time =
            std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
        now_.failure.clear();
        server_view seen;
        try {
            if (!co_await within(2 * timeout_of(settings_.common), inspect_once(seen)))
                now_.failure = "no answer within " + duration(2 * settings_.common.timeout);
        } catch (const connection_error& e) {
            if (total_.looks == 0 && !e.is_transient()) throw; // waiting would not help
            now_.failure = e.message();
        } catch (const error& e) {
            now_.failure = e.message();
        }
        if (now_.answered()) take_over(std::move(seen));
        now_.pool = pool_.stats();
        total_.add(now_);
        alerts_.evaluate(sample_of(now_));
        show();
    }

    void take_over(server_view seen)
    {
        auto done = [](const server_view& v) { return static_cast<double>(v.commits + v.rollbacks); };
        auto& before = now_.view;
        now_.transactions_per_second.reset();
        if (before.time > 0 && seen.time > before.time && done(seen) >= done(before))
            now_.transactions_per_second = (done(seen) - done(before)) / (seen.time - before.time);
        now_.view = std::move(seen);
    }

    // Only what the rules look at; of a statement on the server, `max` is how long it has run.
    static sample sample_of(const watched& w)
    {
        constexpr auto unknown = std::numeric_limits<double>::quiet_NaN();
        sample s;
        s.time = w.time;
        s.availability = w.answered() ? 1 : 0;
        s.longest_lock_wait = w.answered() ? w.view.longest_lock_wait : unknown;
        s.max = w.answered() ? w.longest_query() : unknown;
        s.server_connection_use = w.answered() ? w.connection_use() : unknown;
        return s;
    }

    void tell(const told_alert& a)
    {
        total_.add(a);
        recent_.push_front(a);
        constexpr std::size_t remembered = 20;
        if (recent_.size() > remembered) recent_.pop_back();
        if (settings_.common.json())
            out_.write_json(to_json(a));
        else if (!screen_)
            out_.write(one_line(a));
    }

    void show()
    {
        if (settings_.common.json()) {
            out_.write_json(to_json(now_, alerts_.active()));
        } else if (screen_) {
            auto [width, height] = screen_->size();
            screen_->show(
                screen_of(now_, describe_target(target_), alerts_.active(), recent_, width, height));
        } else {
            out_.write(one_line(now_));
        }
    }

    const settings& settings_;
    terminal& out_;
    connection_options target_;
    pool pool_;
    alerts alerts_;
    asio::steady_timer timer_;
    std::unique_ptr<screen> screen_;
    watched now_;
    summary total_;
    std::deque<told_alert> recent_; // the newest first
};

asio::awaitable<void> until_signalled(asio::signal_set& signals)
{
    co_await signals.async_wait(asio::use_awaitable);
}

asio::awaitable<void> keep_failure(watcher& w, std::exception_ptr& failure)
{
    try {
        co_await w.run();
    } catch (...) {
        failure = std::current_exception();
    }
}

} // namespace

asio::awaitable<int> monitor(const settings& s, terminal& out)
{
    using namespace asio::experimental::awaitable_operators;
    auto executor = co_await asio::this_coro::executor;
    asio::signal_set signals(executor, SIGINT, SIGTERM, SIGHUP);
    watcher w(s, out, executor);
    std::exception_ptr failure;
    auto watching = keep_failure(w, failure); // `||` waits for the first that does not throw
    auto interrupted = until_signalled(signals);
    auto both = std::move(watching) || std::move(interrupted);
    auto which = co_await std::move(both);
    co_await w.close();
    if (which.index() == 0 && failure) std::rethrow_exception(failure);
    co_return w.finish();
}

} // namespace pgcoro::cli
