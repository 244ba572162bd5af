// The cache's mind: what is kept, for how long, and what is not to be believed any more. No I/O, no lock and
// no clock of its own.
#pragma once

#include "cache/eviction.hpp"
#include "cache/facts.hpp"
#include "cache/key.hpp"
#include "cache/lifetime.hpp"
#include "cache/moment.hpp"

#include <pgcoro/cache/stats.hpp>
#include <pgcoro/connection/result.hpp>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

namespace pgcoro::detail
{

class cache_store
{
public:
    using time_point = std::chrono::steady_clock::time_point;
    using duration = std::chrono::nanoseconds;

    // A tag's version counts how often it was invalidated. What was made under an older one is outdated, so
    // that invalidating costs the same whatever hangs on the tag.
    struct tag
    {
        std::uint64_t version = 0;
        std::uint64_t placed = 0;            // the version that `since` is of
        std::shared_ptr<const moment> since; // of the primary's, after the last change of it was heard of
    };
    using moment_ptr = std::shared_ptr<const moment>;

    // What a result depends on, taken before its query is sent: a change from then on may not be in it.
    struct witness
    {
        struct seen
        {
            std::shared_ptr<tag> of;
            std::uint64_t version;
        };
        std::vector<seen> tags;
        std::uint64_t base = 0;
        std::uint64_t all = 0;
        std::uint64_t keys = 0;
        std::uint64_t catalog = 0;
        std::uint64_t followed = 0; // since which connection to the notifications; see follow()
        time_point asked;
    };

    struct found
    {
        std::shared_ptr<const result> value; // null: nothing, or invalidated
        duration age{};
        duration stale_for{}; // 0: fresh
        bool ahead = false;   // fresh, but worth to be asked anew before it is stale
    };

    // What it took to get a result, and how long it is fresh.
    struct history
    {
        duration ttl;
        duration cost;
    };

    // `copies`: results may come from where changes are seen later than they are heard of, from replicas or
    // the second level. Then it is remembered of all that was invalidated by which moment it had changed.
    explicit cache_store(const cache_options& options, bool copies = false);
    ~cache_store();

    // Counts as being asked for.
    found look(key_view key, time_point now);
    witness watch(const statement_facts& about, std::span<const std::string_view> tags, time_point now);
    // Nothing was invalidated that a query which is still on its way may have read.
    bool current(const witness& w) const noexcept { return w.keys == keys_ && intact(w); }
    // False: it was not kept.
    bool put(key_view key, const witness& w, std::shared_ptr<const result> value,
             std::shared_ptr<const statement_facts> about, duration wanted, time_point now);
    // The same in two steps: whether it may be kept, and how; then it is.
    std::optional<history> judge(const witness& w, const statement_facts& about, const result& value,
                                 duration wanted, time_point now);
    bool keep(key_view key, const witness& w, std::shared_ptr<const result> value,
              std::shared_ptr<const statement_facts> about, const history& from);

    // The moments that a copy must have seen; nothing when one of them is not known. With place() it is.
    std::optional<std::vector<moment_ptr>> moments(const witness& w) const;
    // `m` was asked for after the witness was taken.
    void place(const witness& w, const moment_ptr& m);
    // A witness of what was invalidated since the last call, to be placed; nothing if nothing was.
    std::optional<witness> unplaced() const;
    bool any_unplaced() const noexcept { return !unplaced_.empty(); }

    void invalidate_tag(std::string_view name);
    // `*` stands for any characters, `?` for one.
    void invalidate_tags_like(std::string_view pattern);
    // Forgets the result of this statement with these parameters, in whatever context. Queries on their way are not kept then,
    // whatever their key.
    void invalidate(const cache_key& key);
    void invalidate_all();
    // Facts, and what was kept by them, are not believed any more.
    void catalog_changed();
    std::uint64_t catalog() const noexcept { return catalog_; }

    // Notifications: listening since now; all that was sent before `when` has been told; no more.
    void follow(time_point now);
    void heard(time_point when, duration bound) noexcept;
    void lost(time_point now);
    bool listening() const noexcept { return listening_; }
    // How long a result may be fresh: nothing notifies a coherent cache that time goes by.
    duration limited(duration ttl, const statement_facts& about) const noexcept;
    bool following(time_point now) const noexcept { return listening_ && now < heard_until_; }

    cache_stats& stats() noexcept { return stats_; }
    std::size_t tags() const noexcept { return tags_.size(); }
    cache_stats figures(time_point now) const;

private:
    struct entry;

    bool intact(const witness& w) const noexcept;
    duration stale_for(const entry& e, time_point now) const;
    std::shared_ptr<tag> tag_of(std::string_view name);
    void raise(const std::shared_ptr<tag>& t);
    void drop(entry& e);
    void left_context(key_view key);

    const cache_options& options_;
    const bool copies_;
    std::size_t max_entry_bytes_;
    eviction order_;
    std::unordered_map<key_view, std::unique_ptr<entry>, key_hash> entries_;
    std::unordered_map<std::string, std::shared_ptr<tag>> tags_;
    std::unordered_map<std::string, std::size_t> contexts_; // and the number of their entries
    std::size_t sweep_tags_at_ = 1'024;
    std::shared_ptr<tag> base_ = std::make_shared<tag>(); // what counts for all copies; outdates no entry
    std::vector<std::shared_ptr<tag>> unplaced_;
    std::uint64_t all_ = 0;
    std::uint64_t keys_ = 0;
    std::uint64_t catalog_ = 0;
    std::size_t bytes_ = 0;
    cache_stats stats_;

    // The n-th connection to the notifications, and until when each of the last ones was heard.
    std::uint64_t followed_ = 0;
    bool listening_ = false;
    time_point heard_until_{};
    duration bound_{};
    std::unordered_map<std::uint64_t, time_point> ended_;
};

} // namespace pgcoro::detail
