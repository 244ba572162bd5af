// The changes that a statement makes to its session, as far as its text shows them.
#pragma once

#include <pgcoro/types/params.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::detail
{

// Kinds of changes that stay in a session beyond a transaction, as a set of bits. LOAD has no kind, because nothing on the
// server undoes it.
namespace effect_kind
{
enum : std::uint8_t {
    settings = 1, // SET, SET ROLE, SET SESSION AUTHORIZATION, set_config
    listens = 2,
    temporary = 4, // tables, views and sequences
    advisory = 8,  // locks of the session
    cursors = 16,  // WITH HOLD
    prepared = 32, // by PREPARE; the statement cache's own statements do not count
    all = 63,
};
}

struct session_change
{
    enum class act : std::uint8_t {
        set,       // for the session; without a value: to its default
        set_local, // until the end of the transaction; without a value: to its default
        reset_all,
        discard_all,
        discard_temporary,
        begin,
        commit,
        rollback,
        savepoint,
        release,
        rollback_to,
        make_temporary, // a temporary object, which may hide a permanent one of the same name
        unknown,        // anything may have been set
        unknown_local,  // the same until the end of the transaction; with a name: this setting only
    };
    struct step
    {
        act what = act::unknown;
        std::string name{}; // of a setting in lower case, or of a savepoint
        std::optional<std::string> value{};
        bool copies = false; // `value` is the name of a setting, whose value it takes
        bool chain = false;  // COMMIT and ROLLBACK: AND CHAIN
        // Numbers of the parameters that hold the name, the value, and whether it is set locally; 0: none of them does.
        int name_in = 0;
        int value_in = 0;
        int local_in = 0;
    };

    std::vector<step> steps;
    std::uint8_t seen = 0;      // effect_kind: the statement leaves it
    std::uint8_t suspected = 0; // effect_kind: the statement cannot be seen through: DO, CALL, text that the parser refuses

    std::uint8_t kinds() const noexcept { return seen | suspected; }
    bool empty() const noexcept { return steps.empty() && kinds() == 0; }
};

// Null: the statement changes nothing.
using change_ptr = std::shared_ptr<const session_change>;

// Reads a statement by PostgreSQL's own parser, unless its words show that it changes nothing. Does not see the effects of called
// functions, except for PostgreSQL's set_config, pg_advisory_lock and its variants.
session_change change_in(std::string_view sql);

// Returns the change with the values of the parameters in place of their numbers.
session_change with_parameters(session_change change, const params& args);
bool has_parameters(const session_change& change) noexcept;

// Returns the statements of a script; nothing if the parser refuses it.
std::vector<std::string> statements_of(std::string_view script);

// change_in(), for statements that are run repeatedly without being prepared. Bounded.
class change_memory
{
public:
    change_ptr of(std::string_view sql);
    // The changes of a text's statements, in their order; nothing if none of them changes anything.
    std::vector<change_ptr> of_script(std::string_view script);

private:
    change_ptr of(std::string_view sql, std::size_t& budget);

    std::map<std::string, change_ptr, std::less<>> known_;
};

// For messages: "SET", "LISTEN" … and what to use instead behind a pooler that runs each transaction in another session.
std::string_view name_of_effect(std::uint8_t kinds) noexcept;
std::string_view instead_of_effect(std::uint8_t kinds) noexcept;

} // namespace pgcoro::detail
