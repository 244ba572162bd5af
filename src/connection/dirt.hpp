// What a statement leaves behind in its session beyond its transaction.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::detail
{

// Kinds of it, as a set of bits. LOAD is none of them: nothing on the server undoes it.
namespace dirt_kind
{
enum : std::uint8_t {
    settings = 1, // SET, SET ROLE, SET SESSION AUTHORIZATION, set_config
    listens = 2,
    temporary = 4, // tables, views and sequences
    advisory = 8,  // locks of the session
    cursors = 16,  // WITH HOLD
    prepared = 32, // by PREPARE: the statement cache's own are none of them
    all = 63,
};
}

struct dirt
{
    std::uint8_t seen = 0;      // the statement says so
    std::uint8_t suspected = 0; // where it cannot be seen through: DO, text that the parser refuses

    std::uint8_t any() const noexcept { return seen | suspected; }
};

// By PostgreSQL's own parser. What a function does that the statement calls is not seen, but for PostgreSQL's
// own set_config and pg_advisory_lock and kin.
dirt dirt_of(std::string_view sql);

// The statements of a script, one by one; none when the parser refuses it.
std::vector<std::string> statements_of(std::string_view script);

// dirt_of(), for statements that come again and again and are not prepared. Bounded.
class dirt_memory
{
public:
    dirt of(std::string_view sql);

private:
    std::map<std::string, dirt, std::less<>> known_;
};

// For messages: "SET", "LISTEN" … and what to do instead behind a pooler that gives each transaction another
// session.
std::string_view name_of_dirt(std::uint8_t kinds) noexcept;
std::string_view instead_of_dirt(std::uint8_t kinds) noexcept;

} // namespace pgcoro::detail
