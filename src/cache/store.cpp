#include "cache/store.hpp"

#include <algorithm>

namespace pgcoro::detail
{

namespace
{

// Connections to the notifications whose end is remembered: what is from before is as good as gone.
constexpr std::uint64_t remembered_ends = 64;

constexpr std::size_t most_unplaced = 1'024;

bool matches(std::string_view text, std::string_view pattern)
{
    std::size_t t = 0;
    std::size_t p = 0;
    std::size_t star = pattern.npos;
    std::size_t from = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            from = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != pattern.npos) {
            p = star + 1;
            t = ++from;
        } else
            return false;
    }
    return pattern.find_first_not_of('*', p) == pattern.npos;
}

} // namespace

struct cache_store::entry : evictable
{
    std::string key;
    std::shared_ptr<const result> value;
    std::shared_ptr<const statement_facts> about;
    witness depends;
    duration ttl{};
    unsigned hits = 0;

    key_view view() const noexcept { return {hash, key}; }
};

cache_store::cache_store(const cache_options& options, bool copies)
    : options_(options)
    , copies_(copies)
    , max_entry_bytes_(options.max_entry_bytes ? options.max_entry_bytes : options.max_bytes / 16)
    , order_(options.eviction, options.max_bytes, options.max_entries)
{}

cache_store::~cache_store()
{
    while (!entries_.empty()) drop(*entries_.begin()->second);
}

cache_store::duration cache_store::limited(duration ttl, const statement_facts& about) const noexcept
{
    return options_.coherent && about.changing ? std::min(ttl, bound_) : ttl;
}

// By its age, and by what it may have missed: whichever came first.
cache_store::duration cache_store::stale_for(const entry& e, time_point now) const
{
    auto age = now - e.depends.asked;
    auto ttl = limited(e.ttl, *e.about);
    auto stale = ttl == duration::max() ? duration::zero() : std::max(duration::zero(), age - ttl);
    if (!options_.coherent) return stale;
    if (e.depends.followed == followed_ && following(now)) return stale;
    auto until = heard_until_;
    if (e.depends.followed != followed_) {
        auto ended = ended_.find(e.depends.followed);
        until = ended == ended_.end() ? time_point() : ended->second;
    }
    duration unheard = now - std::max(until, e.depends.asked);
    return std::max({stale, unheard, duration(1)});
}

cache_store::found cache_store::look(key_view key, time_point now)
{
    order_.asked(key.hash);
    auto at = entries_.find(key);
    if (at == entries_.end()) return {};
    auto& e = *at->second;
    e.about->seen.fetch_add(1, std::memory_order_relaxed);
    if (!intact(e.depends)) {
        drop(e);
        return {};
    }
    order_.used(e);
    found f{e.value, now - e.depends.asked, stale_for(e, now)};
    if (f.stale_for > duration::zero()) return f;
    ++e.hits;
    auto ttl = limited(e.ttl, *e.about);
    auto left = static_cast<double>((ttl - f.age).count());
    f.ahead = ttl != duration::max() && e.hits >= options_.refresh_after_hits &&
              left < options_.refresh_ahead * static_cast<double>(ttl.count());
    return f;
}

std::shared_ptr<cache_store::tag> cache_store::tag_of(std::string_view name)
{
    if (tags_.size() >= sweep_tags_at_) {
        auto before = tags_.size();
        std::erase_if(tags_, [](auto& each) { return each.second.use_count() == 1; });
        if (tags_.size() < before) raise(base_); // which moments they had is forgotten
        sweep_tags_at_ = std::max<std::size_t>(1'024, 2 * tags_.size());
    }
    auto& t = tags_[std::string(name)];
    if (!t) t = std::make_shared<tag>();
    return t;
}

cache_store::witness cache_store::watch(const statement_facts& about, std::span<const std::string_view> tags,
                                        time_point now)
{
    witness w;
    w.all = all_;
    w.keys = keys_;
    w.catalog = about.catalog;
    w.followed = followed_;
    w.asked = now;
    w.base = base_->version;
    w.tags.reserve(about.reads.size() + tags.size());
    auto add = [&](std::string_view name) {
        auto t = tag_of(name);
        w.tags.push_back({t, t->version});
    };
    for (auto& name : about.reads) add(name);
    for (auto name : tags) add(name);
    return w;
}

bool cache_store::intact(const witness& w) const noexcept
{
    return w.all == all_ && w.catalog == catalog_ &&
           std::all_of(w.tags.begin(), w.tags.end(), [](auto& s) { return s.of->version == s.version; });
}

void cache_store::raise(const std::shared_ptr<tag>& t)
{
    ++t->version;
    if (!copies_) return;
    if (unplaced_.size() >= most_unplaced) unplaced_.clear(); // each is placed once it is asked for
    if (t->version == t->placed + 1) unplaced_.push_back(t);  // else it was listed before
}

std::optional<std::vector<cache_store::moment_ptr>> cache_store::moments(const witness& w) const
{
    std::vector<moment_ptr> all;
    auto add = [&](const tag& t) {
        if (t.placed != t.version) return false;
        if (t.since) all.push_back(t.since);
        return true;
    };
    if (!add(*base_)) return std::nullopt;
    for (auto& s : w.tags)
        if (!add(*s.of)) return std::nullopt;
    return all;
}

void cache_store::place(const witness& w, const moment_ptr& m)
{
    auto put = [&](tag& t, std::uint64_t version) {
        if (t.version != version) return;
        // A moment of another origin cannot be compared with what is asked from now on.
        if (t.placed == version && (!t.since || t.since->origin == m->origin)) return;
        t.placed = version;
        t.since = m;
    };
    put(*base_, w.base);
    for (auto& s : w.tags) put(*s.of, s.version);
    std::erase_if(unplaced_, [](auto& t) { return t->placed == t->version; });
}

std::optional<cache_store::witness> cache_store::unplaced() const
{
    if (unplaced_.empty()) return std::nullopt;
    witness w;
    w.base = base_->version;
    for (auto& t : unplaced_)
        if (t != base_) w.tags.push_back({t, t->version});
    return w;
}

std::optional<cache_store::history> cache_store::judge(const witness& w, const statement_facts& about,
                                                       const result& value, duration wanted, time_point now)
{
    if (!current(w)) {
        ++stats_.outdated;
        return std::nullopt;
    }
    auto cost = now - w.asked;
    if (cost < options_.min_cost) {
        ++stats_.refused;
        return std::nullopt;
    }
    auto seen = about.seen.load(std::memory_order_relaxed);
    auto life = lifetime_of(options_, wanted, {seen, cost, about.changing, value.empty()});
    stats_.ttl_frequent += life.frequent;
    stats_.ttl_slow += life.slow;
    stats_.ttl_capped += life.capped;
    stats_.ttl_raised += life.raised;
    return history{life.ttl, cost};
}

bool cache_store::put(key_view key, const witness& w, std::shared_ptr<const result> value,
                      std::shared_ptr<const statement_facts> about, duration wanted, time_point now)
{
    auto how = judge(w, *about, *value, wanted, now);
    return how && keep(key, w, std::move(value), std::move(about), *how);
}

bool cache_store::keep(key_view key, const witness& w, std::shared_ptr<const result> value,
                       std::shared_ptr<const statement_facts> about, const history& from)
{
    auto bytes = sizeof(entry) + key.bytes.size() + w.tags.size() * sizeof(witness::seen) +
                 (value->get() ? PQresultMemorySize(value->get()) : 0);
    if (bytes > max_entry_bytes_) {
        ++stats_.refused;
        return false;
    }
    if (auto old = entries_.find(key); old != entries_.end()) drop(*old->second);
    auto made = std::make_unique<entry>();
    auto& e = *made;
    e.hash = key.hash;
    e.bytes = bytes;
    e.cost = from.cost;
    e.key = key.bytes;
    e.value = std::move(value);
    e.about = std::move(about);
    e.depends = w;
    e.ttl = from.ttl;
    entries_.emplace(e.view(), std::move(made));
    ++contexts_[std::string(cache_key::context_of(e.view()))];
    bytes_ += bytes;
    std::vector<evictable*> gone;
    order_.add(e, gone);
    bool kept = true;
    for (auto* each : gone) {
        auto& out = static_cast<entry&>(*each);
        kept = kept && &out != &e;
        ++stats_.evictions;
        bytes_ -= out.bytes;
        left_context(out.view());
        entries_.erase(entries_.find(out.view()));
    }
    return kept;
}

void cache_store::drop(entry& e)
{
    order_.remove(e);
    bytes_ -= e.bytes;
    left_context(e.view());
    entries_.erase(entries_.find(e.view()));
}

void cache_store::left_context(key_view key)
{
    auto at = contexts_.find(std::string(cache_key::context_of(key)));
    if (--at->second == 0) contexts_.erase(at);
}

void cache_store::invalidate_tag(std::string_view name)
{
    ++stats_.invalidations;
    if (copies_) // also for those who will ask for it the first time
        raise(tag_of(name));
    else if (auto at = tags_.find(std::string(name)); at != tags_.end())
        raise(at->second);
}

void cache_store::invalidate_tags_like(std::string_view pattern)
{
    ++stats_.invalidations;
    for (auto& [name, t] : tags_)
        if (matches(name, pattern)) raise(t);
    raise(base_); // and for tags that are not there yet
}

void cache_store::invalidate(const cache_key& key)
{
    ++stats_.invalidations;
    ++keys_;
    raise(base_);
    std::vector<entry*> gone;
    for (auto& each : contexts_) {
        cache_key there(each.first, key);
        if (auto at = entries_.find(there.view()); at != entries_.end()) gone.push_back(at->second.get());
    }
    for (auto* each : gone) drop(*each);
}

void cache_store::invalidate_all()
{
    ++stats_.invalidations;
    ++all_;
    raise(base_);
    while (!entries_.empty()) drop(*entries_.begin()->second);
}

void cache_store::catalog_changed()
{
    ++catalog_;
    raise(base_);
    while (!entries_.empty()) drop(*entries_.begin()->second);
}

void cache_store::follow(time_point now)
{
    ++followed_;
    raise(base_); // nobody knows what was missed
    listening_ = true;
    heard_until_ = now;
}

void cache_store::heard(time_point when, duration bound) noexcept
{
    heard_until_ = std::max(heard_until_, when + bound);
    bound_ = bound;
}

void cache_store::lost(time_point now)
{
    listening_ = false;
    heard_until_ = std::min(heard_until_, now);
    ended_[followed_] = heard_until_;
    ended_.erase(followed_ - remembered_ends);
    ++stats_.gaps;
}

cache_stats cache_store::figures(time_point now) const
{
    auto s = stats_;
    s.entries = entries_.size();
    s.bytes = bytes_;
    s.following = following(now);
    return s;
}

} // namespace pgcoro::detail
