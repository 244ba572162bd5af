#include "cli/lock_tree.hpp"

#include "cli/text.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value_from.hpp>

#include <algorithm>
#include <functional>
#include <map>

namespace pgcoro::cli
{

namespace json = boost::json;

namespace
{

// Level by level: behind a queue for a table everybody waits for all that are ahead, and a tree of all paths
// would not fit anywhere.
class planter
{
public:
    explicit planter(const std::vector<lock_session>& sessions)
        : sessions_(sessions)
    {}

    std::vector<lock_node> plant()
    {
        std::vector<const lock_session*> roots;
        for (auto& s : sessions_)
            if (s.blocked_by.empty()) roots.push_back(&s);
        spread_from(roots);
        while (auto* s = left_out()) {
            roots.push_back(s);
            spread_from({s});
        }
        std::vector<lock_node> made;
        made.reserve(roots.size());
        for (auto* s : roots) made.push_back(node_of(*s, nullptr));
        std::ranges::stable_sort(made, std::greater(), [](auto& n) { return size_of(n); });
        return made;
    }

private:
    void spread_from(std::vector<const lock_session*> level)
    {
        for (auto* s : level) parent_[s] = nullptr;
        while (!level.empty()) {
            std::vector<const lock_session*> next;
            for (auto* blocker : level)
                for (auto& s : sessions_)
                    if (waits_for(s, *blocker) && parent_.try_emplace(&s, blocker).second) next.push_back(&s);
            level = std::move(next);
        }
    }

    lock_node node_of(const lock_session& s, const lock_session* parent) const
    {
        lock_node n{&s, {}, {}};
        for (auto pid : s.blocked_by)
            if (!parent || pid != parent->pid) n.also_behind.push_back(pid);
        for (auto& other : sessions_)
            if (parent_.at(&other) == &s) n.waiters.push_back(node_of(other, &s));
        std::ranges::stable_sort(n.waiters, std::greater(), [](auto& w) { return w.session->seconds; });
        return n;
    }

    const lock_session* left_out() const
    {
        const lock_session* longest = nullptr;
        for (auto& s : sessions_)
            if (!parent_.contains(&s) && (!longest || s.seconds > longest->seconds)) longest = &s;
        return longest;
    }

    static bool waits_for(const lock_session& s, const lock_session& blocker)
    {
        return std::ranges::find(s.blocked_by, blocker.pid) != s.blocked_by.end();
    }

    static std::size_t size_of(const lock_node& n)
    {
        std::size_t all = 1;
        for (auto& w : n.waiters) all += size_of(w);
        return all;
    }

    const std::vector<lock_session>& sessions_;
    std::map<const lock_session*, const lock_session*> parent_; // null: a root
};

std::string list_of(const std::vector<std::int32_t>& pids)
{
    std::string list;
    constexpr std::size_t most = 5;
    for (std::size_t i = 0; i < std::min(pids.size(), most); ++i)
        list += (i ? ", " : "") + std::to_string(pids[i]);
    return pids.size() > most ? list + " …" : list;
}

text_line line_of(const lock_node& n, bool below)
{
    auto& s = *n.session;
    auto who = s.pid == 0 ? std::string("a prepared transaction (see pg_prepared_xacts)")
                          : "process " + std::to_string(s.pid) + ", " + s.user + ", '" + s.application + "'";
    auto text = paint(color::bold, who);
    if (!s.blocked_by.empty())
        text += paint(color::yellow, " waits " + duration(s.seconds)) + " for " + s.lock;
    else if (s.pid != 0)
        text += ", " + s.state + paint(color::red, " for " + duration(s.seconds));
    if (!n.also_behind.empty())
        text += ", " + std::string(below ? "also " : "") + "behind " + list_of(n.also_behind);
    if (!s.query.empty()) text += "  " + paint(color::dim, shortened(s.query, 80));
    return text;
}

void add(std::vector<text_line>& to, const lock_node& n, const std::string& indent)
{
    for (auto& w : n.waiters) {
        bool last = &w == &n.waiters.back();
        to.push_back(indent + (last ? "└─ " : "├─ ") + line_of(w, true));
        add(to, w, indent + (last ? "   " : "│  "));
    }
}

json::object to_json(const lock_node& n)
{
    auto o = json::value_from(*n.session).as_object();
    json::array waiters;
    for (auto& w : n.waiters) waiters.push_back(to_json(w));
    o["waiters"] = std::move(waiters);
    return o;
}

} // namespace

std::vector<lock_node> make_lock_tree(const std::vector<lock_session>& sessions)
{
    return planter(sessions).plant();
}

std::vector<text_line> to_lines(const std::vector<lock_node>& roots)
{
    std::vector<text_line> lines;
    for (auto& root : roots) {
        lines.push_back(line_of(root, false));
        add(lines, root, "");
    }
    return lines;
}

json::array to_json(const std::vector<lock_node>& roots)
{
    json::array all;
    for (auto& root : roots) all.push_back(to_json(root));
    return all;
}

} // namespace pgcoro::cli
