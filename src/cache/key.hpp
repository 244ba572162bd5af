// The key of a result, in full: the session's context, the statement's text, and its encoded parameters.
#pragma once

#include <pgcoro/types/params.hpp>

#include <boost/container/small_vector.hpp>

#include <cstring>
#include <functional>
#include <string_view>

namespace pgcoro::detail
{

struct key_view
{
    std::uint64_t hash;
    std::string_view bytes;

    bool operator==(const key_view&) const = default;
};

struct key_hash
{
    std::size_t operator()(const key_view& k) const noexcept { return static_cast<std::size_t>(k.hash); }
};

// One key is never a part of another's bytes by chance: every length stands before what it measures.
class cache_key
{
public:
    // `context` is the session's context_key().
    cache_key(std::string_view context, std::string_view sql, const params& args)
    {
        put_text(context);
        put_text(sql);
        for (std::size_t i = 0; i < args.size(); ++i) {
            put(args[i].type);
            put(args[i].in);
            put(args[i].size);
        }
        bytes_.insert(bytes_.end(), args.data(), args.data() + args.bytes());
        hash_bytes();
    }
    // The same statement and parameters in another context.
    cache_key(std::string_view context, const cache_key& of)
    {
        put_text(context);
        auto rest = of.view().bytes.substr(sizeof(std::size_t) + of.context().size());
        bytes_.insert(bytes_.end(), rest.begin(), rest.end());
        hash_bytes();
    }

    std::string_view context() const noexcept { return context_of(view()); }
    static std::string_view context_of(key_view key) noexcept
    {
        std::size_t size = 0;
        std::memcpy(&size, key.bytes.data(), sizeof size);
        return key.bytes.substr(sizeof size, size);
    }

    key_view view() const noexcept { return {hash_, {bytes_.data(), bytes_.size()}}; }

private:
    void put_text(std::string_view text)
    {
        put(text.size());
        bytes_.insert(bytes_.end(), text.begin(), text.end());
    }
    void hash_bytes() { hash_ = std::hash<std::string_view>()({bytes_.data(), bytes_.size()}); }
    template <class T>
    void put(const T& value)
    {
        auto* from = reinterpret_cast<const char*>(&value);
        bytes_.insert(bytes_.end(), from, from + sizeof value);
    }

    boost::container::small_vector<char, 384> bytes_;
    std::uint64_t hash_;
};

} // namespace pgcoro::detail
