// The key of a result, in full: the context that the statement runs in, its text, and its encoded parameters.
#pragma once

#include <pgcoro/connection/local_settings.hpp>
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
    // `session` is the session's context_key(). The context is that and the settings of the statement.
    cache_key(std::string_view session, const local_settings& settings, std::string_view sql, const params& args)
    {
        auto own = settings.key();
        put(sizeof(std::size_t) + session.size() + own.size());
        put_text(session);
        put_bytes(own);
        put_text(sql);
        for (std::size_t i = 0; i < args.size(); ++i) {
            put(args[i].type);
            put(args[i].in);
            put(args[i].size);
        }
        put_bytes({args.data(), args.bytes()});
        hash_bytes();
    }
    // The same statement and parameters in another context.
    cache_key(std::string_view context, const cache_key& of)
    {
        put_text(context);
        put_bytes(of.view().bytes.substr(sizeof(std::size_t) + context_of(of.view()).size()));
        hash_bytes();
    }

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
        put_bytes(text);
    }
    void put_bytes(std::string_view bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
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
