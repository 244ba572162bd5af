#include <pgcoro/cache/redis.hpp>

#include "cache/redis/instance.hpp"
#include "cache/redis/packing.hpp"
#include "cache/redis/ring.hpp"

#include <algorithm>
#include <stdexcept>

namespace pgcoro
{

namespace
{

void require(bool right, const char* name, const std::string& value, const char* rule)
{
    if (!right)
        throw std::invalid_argument("redis_options." + std::string(name) + " is " + value + " and must be " +
                                    rule);
}

std::vector<std::string> places_of(const redis_options& o)
{
    std::vector<std::string> names;
    names.reserve(o.instances.size());
    for (auto& each : o.instances) names.push_back(each.place());
    return names;
}

} // namespace

std::string redis_instance::place() const
{
    if (!name.empty()) return name;
    return (socket.empty() ? host + ':' + std::to_string(port) : socket) + '/' + std::to_string(database);
}

void redis_options::validate() const
{
    require(!instances.empty(), "instances", "empty", "one or more");
    auto names = places_of(*this);
    std::ranges::sort(names);
    auto twice = std::ranges::adjacent_find(names);
    if (twice != names.end())
        throw std::invalid_argument("redis_options.instances has " + *twice + " twice: give them names");
    for (auto& each : instances)
        require(each.database >= 0, "instances.database", std::to_string(each.database), "0 or more");
    require(timeout.count() > 0, "timeout", std::to_string(timeout.count()) + " ms", "1 ms or more");
    require(open_for.count() > 0, "open_for", std::to_string(open_for.count()) + " ms", "1 ms or more");
    require(failures_to_open > 0, "failures_to_open", std::to_string(failures_to_open), "1 or more");
    require(max_connections > 0, "max_connections", std::to_string(max_connections), "1 or more");
    require(compression_level >= 1 && compression_level <= 19, "compression_level",
            std::to_string(compression_level), "1 to 19");
    require(max_value_bytes >= 1'024 && max_value_bytes <= (std::size_t{512} << 20), "max_value_bytes",
            std::to_string(max_value_bytes), "1024 to 512 MiB, which is Redis' own limit");
}

struct redis_second_level::impl
{
    impl(const boost::asio::any_io_executor& executor, redis_options o)
        : options((o.validate(), std::move(o)))
        , ring(places_of(options))
    {
        for (auto& each : options.instances)
            servers.push_back(std::make_shared<detail::redis_server>(executor, options, each));
    }

    // The full key is in the value, and compared there: two of one hash take each other's place.
    std::string name_of(std::uint64_t hash) const
    {
        constexpr const char* digits = "0123456789abcdef";
        auto name = options.prefix;
        for (int shift = 60; shift >= 0; shift -= 4) name += digits[(hash >> shift) & 15];
        return name;
    }
    detail::redis_server& server_of(std::uint64_t hash) const { return *servers[ring.place_of(hash)]; }

    const redis_options options;
    const detail::hash_ring ring;
    std::vector<std::shared_ptr<detail::redis_server>> servers;
};

redis_second_level::redis_second_level(boost::asio::any_io_executor executor, redis_options options)
    : impl_(std::make_shared<impl>(executor, std::move(options)))
{}

redis_second_level::~redis_second_level() = default;

boost::asio::awaitable<std::optional<std::string>> redis_second_level::get(std::string_view key)
{
    auto self = impl_;
    auto hash = detail::hash_ring::hash_of(key);
    auto& server = self->server_of(hash);
    auto reply = co_await server.call(detail::redis_command("GET", self->name_of(hash)));
    bool there = reply && reply->value;
    std::optional<std::string> value;
    if (there) value = detail::unpack(*reply->value, self->options.max_value_bytes);
    server.count([&](auto& s) {
        ++s.gets;
        ++(value ? s.hits : s.misses);
        s.damaged += there && !value;
        if (there) s.bytes_read += reply->value->size();
    });
    co_return value;
}

boost::asio::awaitable<void> redis_second_level::set(std::string_view key, std::string value,
                                                     std::chrono::milliseconds ttl)
{
    auto self = impl_;
    if (value.size() > self->options.max_value_bytes) co_return;
    auto packed = detail::pack(value, self->options.compress_above, self->options.compression_level);
    auto hash = detail::hash_ring::hash_of(key);
    auto& server = self->server_of(hash);
    auto lifetime = std::to_string(std::max<std::chrono::milliseconds::rep>(1, ttl.count()));
    auto words = detail::redis_command("SET", self->name_of(hash), packed, "PX", lifetime);
    server.count([](auto& s) { ++s.sets; });
    co_await server.call(std::move(words));
}

std::vector<redis_instance_stats> redis_second_level::stats() const
{
    std::vector<redis_instance_stats> all;
    for (auto& each : impl_->servers) all.push_back(each->stats());
    return all;
}

const redis_options& redis_second_level::options() const noexcept { return impl_->options; }

} // namespace pgcoro
