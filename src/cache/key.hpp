// What a result is kept under: the statement's text and its parameters as they would be sent, in full.
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
    cache_key(std::string_view sql, const params& args)
    {
        put(sql.size());
        bytes_.insert(bytes_.end(), sql.begin(), sql.end());
        for (std::size_t i = 0; i < args.size(); ++i) {
            put(args[i].type);
            put(args[i].in);
            put(args[i].size);
        }
        bytes_.insert(bytes_.end(), args.data(), args.data() + args.bytes());
        hash_ = std::hash<std::string_view>()({bytes_.data(), bytes_.size()});
    }

    key_view view() const noexcept { return {hash_, {bytes_.data(), bytes_.size()}}; }

private:
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
