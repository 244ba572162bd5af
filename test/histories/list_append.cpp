#include "histories/list_append.hpp"

#include "histories/dependency_graph.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace histories
{

namespace
{

using list = std::span<const std::int64_t>;

// Who appended a value.
struct writer
{
    std::size_t transaction;
    std::int64_t key;
    bool last; // of its transaction's appends to that key
};

std::string text_of(list l)
{
    constexpr std::size_t shown = 8;
    std::string text = "[";
    if (l.size() > shown) text += "... ";
    for (auto v : l.last(std::min(l.size(), shown))) text += std::to_string(v) + " ";
    if (text.back() == ' ') text.pop_back();
    return text + "]";
}

std::string text_of(const operation& o)
{
    auto key = std::to_string(o.key);
    if (o.what == operation::append) return "append " + std::to_string(o.value) + " to key " + key;
    return "read key " + key + " " + text_of(o.list);
}

std::string name_of(std::size_t transaction) { return "T" + std::to_string(transaction); }

std::string text_of(std::size_t number, const transaction& t)
{
    std::string text = name_of(number) + (t.came == fate::unknown ? " (fate unknown):" : ":");
    for (auto& o : t.operations) text += " " + text_of(o) + ";";
    text.back() = '.';
    return text;
}

std::string text_of(const edge& e)
{
    auto from = name_of(e.from);
    auto to = name_of(e.to);
    auto key = "key " + std::to_string(e.key);
    switch (e.kind) {
    case ww:
        return from + " appended to " + key + " directly before " + to;
    case wr:
        return to + " read what " + from + " appended to " + key;
    case rw:
        return from + " read " + key + " without what " + to + " appended next";
    case rt:
        break;
    }
    return from + " had ended before " + to + " began";
}

bool begins_with(list whole, list part)
{
    return part.size() <= whole.size() && std::ranges::equal(part, whole.first(part.size()));
}

bool ends_with(list whole, list part)
{
    return part.size() <= whole.size() && std::ranges::equal(part, whole.last(part.size()));
}

class checker
{
public:
    checker(const history& h, isolation level);
    std::vector<finding> run();

private:
    void learn_writers();
    void learn_effects();
    void check_appends();
    void check_values(list l, const std::string& where);
    void check_read(std::size_t reader, const operation& o, const std::string& where);
    void check_inside(std::size_t number);
    void check_cycles();

    void add_orders();
    void add_reads(std::size_t reader);
    void add_times();

    list list_of(std::int64_t key) const;
    const writer* writer_of(std::int64_t key, std::int64_t value) const;
    // The part of a list that was there before the transaction appended to it.
    list foreign_part(std::size_t reader, list l, std::int64_t key) const;
    void find(anomaly what, std::string text) { findings_.push_back({what, std::move(text)}); }

    const history& history_;
    isolation level_;
    std::unordered_map<std::int64_t, writer> writers_; // by value
    std::vector<bool> happened_;
    dependency_graph graph_;
    std::unordered_set<std::int64_t> duplicated_; // values that are reported
    std::unordered_set<std::int64_t> aborted_;    // the same
    std::vector<finding> findings_;
};

checker::checker(const history& h, isolation level)
    : history_(h)
    , level_(level)
    , happened_(h.transactions.size())
    , graph_(h.transactions.size())
{
    learn_writers();
    learn_effects();
}

void checker::learn_writers()
{
    for (std::size_t i = 0; i < history_.transactions.size(); ++i) {
        std::unordered_map<std::int64_t, writer*> latest;
        for (auto& o : history_.transactions[i].operations) {
            if (o.what != operation::append) continue;
            auto& w = writers_[o.value] = {i, o.key, true};
            if (auto*& before = latest[o.key]) before->last = false;
            latest[o.key] = &w;
        }
    }
}

void checker::learn_effects()
{
    std::unordered_set<std::int64_t> seen;
    for (auto& [key, l] : history_.lists) seen.insert(l.begin(), l.end());
    for (auto& t : history_.transactions)
        if (t.came == fate::committed)
            for (auto& o : t.operations) seen.insert(o.list.begin(), o.list.end());
    for (std::size_t i = 0; i < history_.transactions.size(); ++i) {
        auto& t = history_.transactions[i];
        auto was_seen = [&](const operation& o) {
            return o.what == operation::append && seen.contains(o.value);
        };
        happened_[i] = t.came == fate::committed ||
                       (t.came == fate::unknown && std::ranges::any_of(t.operations, was_seen));
    }
}

list checker::list_of(std::int64_t key) const
{
    auto at = history_.lists.find(key);
    return at == history_.lists.end() ? list() : list(at->second);
}

const writer* checker::writer_of(std::int64_t key, std::int64_t value) const
{
    auto at = writers_.find(value);
    return at == writers_.end() || at->second.key != key ? nullptr : &at->second;
}

// Each value is reported once, where it is seen first.
void checker::check_values(list l, const std::string& where)
{
    std::unordered_set<std::int64_t> before;
    for (auto v : l) {
        auto value = "the value " + std::to_string(v);
        if (!before.insert(v).second && duplicated_.insert(v).second)
            find(anomaly::duplicated_append, value + " is more than once in " + where);
        auto at = writers_.find(v);
        if (at == writers_.end() || history_.transactions[at->second.transaction].came != fate::failed)
            continue;
        if (aborted_.insert(v).second)
            find(anomaly::g1a,
                 value + " of the failed " + name_of(at->second.transaction) + " is in " + where);
    }
}

void checker::check_appends()
{
    for (auto& [key, l] : history_.lists) {
        auto where = "key " + std::to_string(key) + " at the end, " + text_of(l);
        check_values(l, where);
        for (auto v : l)
            if (!writer_of(key, v))
                find(anomaly::unasked_append,
                     "nobody appended the value " + std::to_string(v) + " to " + where);
    }
    std::map<std::int64_t, std::unordered_set<std::int64_t>> there;
    for (auto& [key, l] : history_.lists) there[key].insert(l.begin(), l.end());
    for (std::size_t i = 0; i < history_.transactions.size(); ++i)
        for (auto& o : history_.transactions[i].operations)
            if (happened_[i] && o.what == operation::append && !there[o.key].contains(o.value))
                find(anomaly::lost_append, text_of(i, history_.transactions[i]) + " The value " +
                                               std::to_string(o.value) + " is not in key " +
                                               std::to_string(o.key) + " at the end");
}

void checker::check_read(std::size_t reader, const operation& o, const std::string& where)
{
    check_values(o.list, where);
    auto end = list_of(o.key);
    // A read of more than there is at the end shows a loss, which check_appends() reports.
    if (!begins_with(end, o.list) && !begins_with(o.list, end))
        find(anomaly::incompatible_order, where + " is no beginning of the list at the end, " + text_of(end));
    if (o.list.empty()) return;
    auto* w = writer_of(o.key, o.list.back());
    if (w && w->transaction != reader && !w->last)
        find(anomaly::g1b, where + " ends between two appends of " + name_of(w->transaction));
}

// The row is locked from the transaction's first append to it on.
void checker::check_inside(std::size_t number)
{
    struct view
    {
        std::vector<std::int64_t> own;
        std::optional<list> foreign; // the part that others appended, when it was read last
    };
    std::unordered_map<std::int64_t, view> views;
    for (auto& o : history_.transactions[number].operations) {
        auto& v = views[o.key];
        if (o.what == operation::append) {
            v.own.push_back(o.value);
            continue;
        }
        auto where = "the list that " + name_of(number) + " read in " + text_of(o);
        if (!ends_with(o.list, v.own)) {
            find(anomaly::internal, where + " does not end with its own appends, " + text_of(v.own));
            continue;
        }
        auto foreign = list(o.list).first(o.list.size() - v.own.size());
        if (level_ == isolation::serializable && v.foreign && !std::ranges::equal(*v.foreign, foreign))
            find(anomaly::internal, where + " differs from what it read before, " + text_of(*v.foreign));
        v.foreign = foreign;
    }
}

// Consecutive elements.
void checker::add_orders()
{
    for (auto& [key, l] : history_.lists) {
        std::optional<std::size_t> before;
        for (auto v : l) {
            auto* w = writer_of(key, v);
            if (!w || !happened_[w->transaction]) continue;
            if (before) graph_.add({*before, w->transaction, ww, key});
            before = w->transaction;
        }
    }
}

list checker::foreign_part(std::size_t reader, list l, std::int64_t key) const
{
    auto is_own = [&](std::int64_t v) {
        auto* w = writer_of(key, v);
        return w && w->transaction == reader;
    };
    while (!l.empty() && is_own(l.back())) l = l.first(l.size() - 1);
    return l;
}

void checker::add_reads(std::size_t reader)
{
    for (auto& o : history_.transactions[reader].operations) {
        if (o.what != operation::read) continue;
        auto end = list_of(o.key);
        if (!begins_with(end, o.list)) continue;
        auto read = foreign_part(reader, o.list, o.key);
        auto* last = read.empty() ? nullptr : writer_of(o.key, read.back());
        if (last && happened_[last->transaction]) graph_.add({last->transaction, reader, wr, o.key});
        auto* next = read.size() == end.size() ? nullptr : writer_of(o.key, end[read.size()]);
        if (next && happened_[next->transaction]) graph_.add({reader, next->transaction, rw, o.key});
    }
}

// Only edges that others do not imply: from those that had ended when a transaction began, and after whose
// end no other one had begun and ended.
void checker::add_times()
{
    using event = std::tuple<std::uint64_t, bool, std::size_t>; // moment, is it the end, transaction
    std::vector<event> events;
    for (std::size_t i = 0; i < history_.transactions.size(); ++i) {
        auto& t = history_.transactions[i];
        if (!happened_[i]) continue;
        events.emplace_back(t.begun, false, i);
        if (t.came == fate::committed) events.emplace_back(t.ended, true, i);
    }
    std::ranges::sort(events);
    std::vector<std::size_t> latest;
    std::vector<std::vector<std::size_t>> before(history_.transactions.size());
    for (auto [moment, is_end, number] : events) {
        if (!is_end) {
            for (auto earlier : latest) graph_.add({earlier, number, rt, 0});
            before[number] = latest;
            continue;
        }
        for (auto earlier : before[number]) std::erase(latest, earlier);
        latest.push_back(number);
    }
}

void checker::check_cycles()
{
    struct cycle_kind
    {
        anomaly what;
        dependencies first;
        dependencies rest;
    };
    // With a single rw none of the rest is one; where there is no such cycle, one with an rw has several.
    constexpr cycle_kind kinds[] = {
        {anomaly::g0, ww, ww},
        {anomaly::g1c, wr, ww | wr},
        {anomaly::g_single, rw, ww | wr},
        {anomaly::g2, rw, ww | wr | rw},
        {anomaly::g0_realtime, rt, ww | rt},
        {anomaly::g1c_realtime, rt, ww | wr | rt},
        {anomaly::g_single_realtime, rw, ww | wr | rt},
        {anomaly::g2_realtime, rw, ww | wr | rw | rt},
    };
    for (auto& kind : kinds) {
        if (level_ == isolation::read_committed && (kind.first & rw)) continue;
        auto cycle = graph_.shortest_cycle(kind.first, kind.rest);
        if (cycle.empty()) continue;
        std::string text = "a cycle of " + std::to_string(cycle.size()) + " transactions:";
        for (auto& e : cycle)
            text += "\n  " + text_of(e.from, history_.transactions[e.from]) + "\n    " + text_of(e);
        find(kind.what, text);
        return;
    }
}

std::vector<finding> checker::run()
{
    check_appends();
    for (std::size_t i = 0; i < history_.transactions.size(); ++i) {
        if (!happened_[i]) continue;
        check_inside(i);
        for (auto& o : history_.transactions[i].operations)
            if (o.what == operation::read) check_read(i, o, "the list of " + name_of(i) + ", " + text_of(o));
        add_reads(i);
    }
    add_orders();
    add_times();
    check_cycles();
    return std::move(findings_);
}

} // namespace

const char* to_string(anomaly a) noexcept
{
    switch (a) {
    case anomaly::lost_append:
        return "lost append";
    case anomaly::duplicated_append:
        return "duplicated append";
    case anomaly::unasked_append:
        return "unasked append";
    case anomaly::g1a:
        return "G1a, aborted read";
    case anomaly::g1b:
        return "G1b, intermediate read";
    case anomaly::internal:
        return "internal inconsistency";
    case anomaly::incompatible_order:
        return "incompatible order";
    case anomaly::g0:
        return "G0, write cycle";
    case anomaly::g1c:
        return "G1c, circular information flow";
    case anomaly::g_single:
        return "G-single, read skew";
    case anomaly::g2:
        return "G2, anti-dependency cycle";
    case anomaly::g0_realtime:
        return "G0 with real time";
    case anomaly::g1c_realtime:
        return "G1c with real time";
    case anomaly::g_single_realtime:
        return "G-single with real time";
    case anomaly::g2_realtime:
        return "G2 with real time";
    }
    return "anomaly";
}

std::vector<finding> check(const history& h, isolation level) { return checker(h, level).run(); }

} // namespace histories
