#include "cli/watched.hpp"

#include "cli/text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value_from.hpp>

#include <algorithm>
#include <ctime>

namespace pgcoro::cli
{

namespace json = boost::json;

namespace
{

std::int64_t usable(const server_view& v)
{
    return std::max<std::int64_t>(v.max_connections - v.reserved_connections, 1);
}

std::int64_t sessions_in(const server_view& v, const char* state)
{
    auto found = v.sessions_by_state.find(state);
    return found == v.sessions_by_state.end() ? 0 : found->second;
}

std::string rate_of(const watched& w)
{
    return w.transactions_per_second ? fixed(*w.transactions_per_second, 1) : std::string("–");
}

color color_of(alert_severity s)
{
    return s == alert_severity::critical  ? color::red
           : s == alert_severity::warning ? color::yellow
                                          : color::cyan;
}

std::string session_line(const session_view& s)
{
    auto text = padded(std::to_string(s.pid), 9) + padded(duration(s.seconds), 12) +
                padded(shortened(s.user, 14), 16) + padded(shortened(s.application, 18), 20) +
                (s.wait_event.empty() ? std::string("running") : s.wait_event);
    return s.query.empty() ? text : text + "  " + s.query;
}

std::string blocked_line(const blocked_view& b)
{
    std::string by;
    for (auto pid : b.blocked_by) by += (by.empty() ? "" : ", ") + std::to_string(pid);
    return padded(std::to_string(b.pid), 9) + padded(duration(b.seconds), 12) + "waits for " + b.lock +
           ", behind " + by + (b.query.empty() ? "" : "  " + b.query);
}

} // namespace

double watched::connection_use() const
{
    return static_cast<double>(view.connections) / static_cast<double>(usable(view));
}

std::string clock_time(double since_1970)
{
    auto t = static_cast<std::time_t>(since_1970);
    std::tm parts{};
    ::localtime_r(&t, &parts);
    char text[16];
    std::strftime(text, sizeof text, "%H:%M:%S", &parts);
    return text;
}

std::string one_line(const watched& w)
{
    if (!w.answered()) return clock_time(w.time) + "  no answer: " + shortened(w.failure, 200);
    auto& v = w.view;
    return clock_time(w.time) + "  connections " + std::to_string(v.connections) + "/" +
           std::to_string(usable(v)) + "  active " + std::to_string(sessions_in(v, "active")) + "  idle " +
           std::to_string(sessions_in(v, "idle")) + "  in transaction " +
           std::to_string(sessions_in(v, "idle in transaction") +
                          sessions_in(v, "idle in transaction (aborted)")) +
           "  transactions/s " + rate_of(w) + "  blocked " + std::to_string(v.blocked.size()) +
           "  lock wait " + duration(v.longest_lock_wait) + "  slowest " + duration(w.longest_query());
}

text_line one_line(const told_alert& a)
{
    auto how = std::string(boost::describe::enum_to_string(a.change, "?"));
    auto c = a.change == alert_change::cleared ? color::green : color_of(a.what.severity);
    return clock_time(a.time) + "  " +
           paint(c, std::string(to_string(a.what.severity)) + " " + how + ": " + a.what.name) + " (" +
           fixed(a.what.value, 2) + ", threshold " + fixed(a.what.threshold, 2) + "): " + a.what.meaning;
}

json::object to_json(const watched& w, const std::vector<alert>& active)
{
    json::object o;
    o["time"] = w.time;
    o["answered"] = w.answered();
    o["failure"] = w.failure.empty() ? json::value(nullptr) : json::value(shortened(w.failure, 500));
    if (w.answered()) {
        auto& v = w.view;
        o["connections"] = v.connections;
        o["usable_connections"] = usable(v);
        o["connection_use"] = w.connection_use();
        o["sessions_by_state"] = json::value_from(v.sessions_by_state);
        o["transactions_per_second"] =
            w.transactions_per_second ? json::value(*w.transactions_per_second) : json::value(nullptr);
        o["longest_lock_wait_ms"] = v.longest_lock_wait * 1'000;
        o["longest_query_ms"] = w.longest_query() * 1'000;
        o["blocked"] = json::value_from(v.blocked);
        o["slowest"] = json::value_from(v.long_queries);
    }
    json::object p;
    p["idle"] = w.pool.idle;
    p["in_use"] = w.pool.in_use;
    p["connects"] = w.pool.connects;
    p["connect_failures"] = w.pool.connect_failures;
    o["pool"] = std::move(p);
    o["alerts"] = json::value_from(active);
    return o;
}

json::object to_json(const told_alert& a)
{
    auto o = json::value_from(a.what).as_object();
    o["change"] = boost::describe::enum_to_string(a.change, "?");
    o["severity"] = to_string(a.what.severity);
    json::object outer;
    outer["time"] = a.time;
    outer["alert"] = std::move(o);
    return outer;
}

std::vector<text_line> screen_of(const watched& w, const std::string& target,
                                 const std::vector<alert>& active, const std::deque<told_alert>& recent,
                                 std::size_t width, std::size_t height)
{
    std::vector<text_line> lines;
    auto add = [&](text_line text) { lines.push_back(std::move(text)); };
    auto cut = [&](const std::string& text) { return shortened(text, width); };
    // shortened() makes one space of several: for columns, only what is too long goes through it.
    auto column = [&](const std::string& text) { return text.size() <= width ? text : cut(text); };
    auto head = [&](const std::string& text) {
        add("");
        add(paint(color::bold, text));
    };
    constexpr std::size_t most_of_each = 5;

    add(paint(color::bold, "pgcoro monitor") + "  " + clock_time(w.time) + "  " +
        (w.answered() ? paint(color::green, "answers") : paint(color::red, "NO ANSWER")));
    add(paint(color::dim, cut(target)));
    if (!w.answered()) add(paint(color::red, cut(w.failure)));
    auto& v = w.view;
    add("");
    add("connections   " + std::to_string(v.connections) + " of " + std::to_string(usable(v)) + " (" +
        fixed(100 * w.connection_use(), 0) + " %)");
    std::string states;
    for (auto& [state, n] : v.sessions_by_state)
        states +=
            (states.empty() ? "" : ", ") + (state.empty() ? "not shown" : state) + " " + std::to_string(n);
    add(column("sessions      " + (states.empty() ? std::string("none but ours") : states)));
    add("transactions  " + rate_of(w) + " a second");
    add("own pool      " + std::to_string(w.pool.idle + w.pool.in_use) + " open, " +
        std::to_string(w.pool.connects) + " connects, " + std::to_string(w.pool.connect_failures) +
        " failed");

    head("alerts");
    for (auto& a : active)
        add(paint(color_of(a.severity),
                  cut(std::string(to_string(a.severity)) + " " + a.name + ": " + a.meaning)));
    if (active.empty()) add(paint(color::green, "none"));
    for (std::size_t i = 0; i < std::min(recent.size(), most_of_each); ++i)
        add(paint(color::dim,
                  cut(clock_time(recent[i].time) + " " +
                      boost::describe::enum_to_string(recent[i].change, "?") + " " + recent[i].what.name)));

    head("blocked");
    for (std::size_t i = 0; i < std::min(v.blocked.size(), most_of_each); ++i)
        add(column(blocked_line(v.blocked[i])));
    if (v.blocked.empty()) add("nobody");

    head("slowest");
    for (std::size_t i = 0; i < std::min(v.long_queries.size(), most_of_each); ++i)
        add(column(session_line(v.long_queries[i])));
    if (v.long_queries.empty()) add("nothing runs");
    add("");
    add(paint(color::dim, "Ctrl-C ends"));
    if (lines.size() > height) lines.resize(height);
    return lines;
}

} // namespace pgcoro::cli
