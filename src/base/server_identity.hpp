// Which server answers: a value that tells one life of one database cluster from every other.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

// Everything in it is 0 where the server did not say.
struct server_identity
{
    std::uint64_t system = 0;   // of pg_control_system(): the same for a primary and its standbys
    std::uint32_t timeline = 0; // of the log that the server writes; a standby writes none
    std::int64_t started = 0;   // the postmaster's start, in microseconds since 1970
    // When two kinds of the server's statistics began, in microseconds since 1970. A recovery after a crash
    // begins both again, whether the whole server crashed or one of its processes; a clean restart keeps them
    // ("The Cumulative Statistics System", chapter 28.2). pg_stat_reset_shared() begins one of them again.
    std::array<std::int64_t, 2> statistics{};

    friend bool operator==(const server_identity&, const server_identity&) noexcept = default;
};

// Both are of one database cluster, so that transaction ids mean the same in both.
inline bool same_system(const server_identity& a, const server_identity& b) noexcept
{
    return a.system != 0 && a.system == b.system;
}

// The server has not crashed, and no other server has taken its place, between one and the other: no
// transaction id was given twice meanwhile. A clean restart does not count.
inline bool same_life(const server_identity& a, const server_identity& b) noexcept
{
    if (!same_system(a, b) || a.timeline != b.timeline) return false;
    for (std::size_t i = 0; i < a.statistics.size(); ++i)
        if (a.statistics[i] != 0 && a.statistics[i] == b.statistics[i]) return true;
    return false;
}

// `later` is not on an older timeline than `earlier`: a server that was left behind may never have seen what
// happened on the newer one.
inline bool not_left_behind(const server_identity& earlier, const server_identity& later) noexcept
{
    return earlier.timeline != 0 && later.timeline >= earlier.timeline;
}

// "system timeline started statistics statistics", as `identity_expression` makes it. What is missing stays 0.
inline server_identity parse_server_identity(std::string_view text) noexcept
{
    server_identity read;
    auto next = [&](auto& value) {
        while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
        auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (failed == std::errc()) text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    };
    next(read.system);
    next(read.timeline);
    next(read.started);
    for (auto& began : read.statistics) next(began);
    return read;
}

// What a session knows of its server, and of what the role may ask there.
struct server_knowledge
{
    bool asked = false;          // `may` holds
    std::uint32_t may = 0;       // server_right
    int backend = 0;             // the server process that `identity` was asked of; 0: not asked yet
    server_identity identity;
    std::string identity_query;  // the questions that the rights allow; kept here because statements refer to them
    std::string new_id_query;
};

// For messages.
inline std::string describe(const server_identity& s)
{
    auto number = [](auto n) { return n == 0 ? std::string("unknown") : std::to_string(n); };
    return "system " + number(s.system) + ", timeline " + number(s.timeline);
}

} // namespace pgcoro::detail
