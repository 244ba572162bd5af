// Which statements are prepared on a connection.
#pragma once

#include "connection/session_change.hpp"

#include <pgcoro/types/params.hpp>

#include <boost/multi_index/hashed_index.hpp>
#include <boost/multi_index/identity.hpp>
#include <boost/multi_index/sequenced_index.hpp>
#include <boost/multi_index_container.hpp>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::detail
{

// Least recently used first out, bounded, though not those that are pinned. The key is what the server fixes when it prepares a
// statement: the text, the parameters' types, and the settings that constants were read with. Names are never used twice on a
// connection.
class statement_cache
{
public:
    struct statement
    {
        std::string sql;
        std::vector<oid> types;
        std::string name;
        std::string settings; // see session_context::parse_settings()
        change_ptr change; // null: it changes nothing in the session
    };

    explicit statement_cache(std::size_t capacity)
        : capacity_(capacity)
    {}

    bool enabled() const noexcept { return capacity_ > 0; }
    std::size_t size() const noexcept { return entries_.size(); }

    // The prepared statement, now the most recently used; null when there is none.
    const statement* find(std::string_view sql, const params& args, std::string_view settings)
    {
        auto& by_key = entries_.get<1>();
        auto it = by_key.find(key{sql, args, settings}, hash(), equal());
        if (it == by_key.end()) return nullptr;
        entries_.relocate(entries_.begin(), entries_.project<0>(it));
        return &*it;
    }

    static statement describe(std::string_view sql, const params& args, std::string settings, std::string name)
    {
        statement made{std::string(sql), {}, std::move(name), std::move(settings), nullptr};
        for (std::size_t i = 0; i < args.size(); ++i) made.types.push_back(args[i].type);
        return made;
    }
    static bool is(const statement& s, std::string_view sql, const params& args, std::string_view settings)
    {
        return equal()(key{sql, args, settings}, s);
    }

    // A name that no statement has had.
    static constexpr std::string_view name_prefix = "pgcoro_";
    std::string new_name() { return std::string(name_prefix) + std::to_string(++names_); }

    // The statement was prepared. What must go to make room for it is put on unwanted().
    void add(statement added)
    {
        entries_.push_front(std::move(added));
        shrink_to(capacity_, 1);
    }
    // The statement was prepared, but not as it should have been.
    void refuse(const statement& prepared) { unwanted_.push_back(prepared.name); }
    // The same as add() before one is prepared, so that the server never has more than the capacity.
    void make_room()
    {
        if (enabled()) shrink_to(capacity_ - 1, 0);
    }

    // As long as what this gives lives, or until unpin_all(), the statement does not make room for others, whatever the settings.
    // Being forgotten and prepared again changes nothing about that.
    std::shared_ptr<const void> pin(std::string_view sql, const params& args)
    {
        std::erase_if(pins_, [](auto& p) { return p.expired(); });
        auto made = std::make_shared<const statement>(describe(sql, args, {}, {}));
        pins_.push_back(made);
        return made;
    }
    void unpin_all() noexcept { pins_.clear(); }

    // The server has it no more, or it must be prepared again, whatever its parameters' types and the settings.
    void erase(std::string_view sql, bool deallocate)
    {
        for (auto it = entries_.begin(); it != entries_.end();) {
            if (it->sql != sql) {
                ++it;
                continue;
            }
            if (deallocate) unwanted_.push_back(it->name);
            it = entries_.erase(it);
        }
    }

    // As erase(), all of them.
    void erase_all()
    {
        for (auto& s : entries_) unwanted_.push_back(s.name);
        entries_.clear();
    }

    // Names that the server knows and nobody uses any more: to be closed when that can do no harm.
    const std::vector<std::string>& unwanted() const noexcept { return unwanted_; }
    // The server does not know this name any more.
    void closed(const std::string& name) { std::erase(unwanted_, name); }

    // May another one be prepared, while so many are on their way? The server keeps no more than twice the capacity: as
    // long as unwanted ones cannot be closed, further texts run unprepared.
    bool has_room(std::size_t on_their_way) const noexcept
    {
        return entries_.size() + unwanted_.size() + on_their_way < 2 * capacity_;
    }

    void clear() noexcept
    {
        entries_.clear();
        unwanted_.clear();
    }

private:
    struct key
    {
        std::string_view sql;
        const params& args;
        std::string_view settings;
    };

    struct hash
    {
        std::size_t operator()(const statement& s) const { return operator()(s.sql); }
        std::size_t operator()(const key& k) const { return operator()(k.sql); }
        std::size_t operator()(std::string_view sql) const { return std::hash<std::string_view>()(sql); }
    };

    struct equal
    {
        bool operator()(const statement& a, const statement& b) const
        {
            return a.sql == b.sql && a.types == b.types && a.settings == b.settings;
        }
        bool operator()(const key& k, const statement& s) const
        {
            if (k.sql != s.sql || k.args.size() != s.types.size() || k.settings != s.settings) return false;
            for (std::size_t i = 0; i < s.types.size(); ++i)
                if (k.args[i].type != s.types[i]) return false;
            return true;
        }
        bool operator()(const statement& s, const key& k) const { return operator()(k, s); }
    };

    using entries = boost::multi_index_container<
        statement, boost::multi_index::indexed_by<boost::multi_index::sequenced<>,
                                                  boost::multi_index::hashed_unique<
                                                      boost::multi_index::identity<statement>, hash, equal>>>;

    // Gives up those used least recently, but for the pinned ones and the `newest` first.
    void shrink_to(std::size_t most, std::size_t newest)
    {
        auto candidates = entries_.size() - std::min(newest, entries_.size());
        for (; entries_.size() > most && candidates > 0; --candidates) {
            if (pinned(entries_.back())) { // not looked at again before all others
                entries_.relocate(entries_.begin(), std::prev(entries_.end()));
                continue;
            }
            unwanted_.push_back(entries_.back().name);
            entries_.pop_back();
        }
    }

    bool pinned(const statement& s) const
    {
        return std::any_of(pins_.begin(), pins_.end(), [&](auto& p) {
            auto held = p.lock(); // its owner may let go on another thread
            return held && held->sql == s.sql && held->types == s.types;
        });
    }

    std::size_t capacity_;
    std::uint64_t names_ = 0;
    entries entries_;
    std::vector<std::string> unwanted_;
    std::vector<std::weak_ptr<const statement>> pins_;
};

} // namespace pgcoro::detail
