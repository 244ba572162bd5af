#pragma once

#include <pgcoro/cache/second_level.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/resilience/circuit_breaker.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace PGCORO_API pgcoro
{

/// One Redis (or Valkey, or whatever speaks its protocol). No TLS: for a private network, or a Unix socket.
struct redis_instance
{
    std::string host = "127.0.0.1"; ///< a name or an address
    std::uint16_t port = 6379;
    std::string socket;   ///< the path of a Unix socket; then host and port are not used
    std::string user;     ///< of Redis 6 and later; with a password only
    std::string password; ///< empty: none is sent
    int database = 0;
    /// By which it has its place among the others: what an instance keeps is found again under that name,
    /// wherever it has moved. Empty: "host:port/database", or "socket/database".
    std::string name;

    /// The name, or what stands for it.
    std::string place() const;
};

/// How Redis is used. Times of 0 and less are refused.
struct redis_options
{
    /// One or more, of different names. Each key has its place at one of them, by consistent hashing: with an
    /// instance more or less only its share of the keys moves.
    std::vector<redis_instance> instances{redis_instance()};

    std::string prefix = "pgcoro:"; ///< of all keys

    /// A call takes no longer, connecting included. What is not there by then is a miss.
    std::chrono::milliseconds timeout{50};
    /// After so many failures one after the other an instance is left alone for `open_for`; then one call
    /// tries it again.
    int failures_to_open = 3;
    std::chrono::milliseconds open_for{1'000};

    std::size_t max_connections = 8; ///< to each instance; who finds all of them in use waits
    /// Values of more bytes are compressed (zstd). `SIZE_MAX`: none is.
    std::size_t compress_above = 1'024;
    int compression_level = 1; ///< 1 (quick) to 19
    /// A larger value is neither kept nor accepted, before or after compression.
    std::size_t max_value_bytes = 1 << 20;

    pgcoro::observer* observer = nullptr; ///< is told when an instance is left alone; must outlive it

    /// Throws `std::invalid_argument` that names the option, its value and what it may be.
    void validate() const;
};

/// One instance's figures at one moment; the counters count since it was made.
struct redis_instance_stats
{
    std::string name;
    breaker_state state{};
    std::uint64_t gets = 0;
    std::uint64_t hits = 0;   ///< of those, values that were there and whole
    std::uint64_t misses = 0; ///< all other gets
    std::uint64_t sets = 0;
    std::uint64_t errors = 0;   ///< calls that failed: refused, lost, answered with an error, too late
    std::uint64_t timeouts = 0; ///< of those, too late
    std::uint64_t skipped = 0;  ///< calls not made, because the instance is left alone
    std::uint64_t damaged = 0;  ///< values that were there, but not of this form, or too large
    std::uint64_t bytes_read = 0;
    std::uint64_t bytes_written = 0;
    std::string last_failure; ///< empty if there was none
};

/// A `second_level` in one or several Redis instances. In a library of its own, pgcoro::redis, which wants
/// hiredis and zstd.
///
/// ```cpp
/// pgcoro::redis_options redis;
/// redis.instances = {{.host = "10.0.0.7"}, {.host = "10.0.0.8"}};
/// pgcoro::cache_options options;
/// options.second = std::make_shared<pgcoro::redis_second_level>(executor, redis);
/// pgcoro::query_cache cache(executor, pool, options);
/// ```
/// Keys expire with their values; give Redis a `maxmemory` and the policy `allkeys-lru` besides. Caches may
/// share an instance: what is not of their own server, database, role and settings they do not find.
///
/// **Errors:** none; a Redis that hangs, refuses or is gone is a miss, and costs `timeout` a call until it is
/// left alone. **Cancellation:** any kind; what is under way goes on for at most `timeout`. **Threads:** any.
/// **Lifetime:** the executor's context must outlive it.
class redis_second_level final : public second_level
{
public:
    /// Does not connect yet. Throws `std::invalid_argument` when an option is out of its range.
    explicit redis_second_level(boost::asio::any_io_executor executor,
                                redis_options options = redis_options());
    ~redis_second_level() override;

    boost::asio::awaitable<std::optional<std::string>> get(std::string_view key) override;
    boost::asio::awaitable<void> set(std::string_view key, std::string value,
                                     std::chrono::milliseconds ttl) override;

    /// In the order of the options.
    std::vector<redis_instance_stats> stats() const;
    const redis_options& options() const noexcept;

private:
    struct impl;
    std::shared_ptr<impl> impl_;
};

} // namespace pgcoro
