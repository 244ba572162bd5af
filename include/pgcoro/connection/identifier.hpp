#pragma once

#include <pgcoro/export.hpp>

#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// A name in SQL, of a table, a column, a channel or a role: checked when it is made, and always written in
/// double quotes, so that whatever it contains stays a name:
///
/// ```cpp
/// pgcoro::identifier table("audit", "log of 2026");
/// co_await pool.execute("truncate " + table); // truncate "audit"."log of 2026"
/// ```
///
/// Upper and lower case are kept, unlike those of a bare word in SQL.
class identifier
{
public:
    /// One part or several, the outermost first, each taken as it is: a dot in it belongs to the name. Throws
    /// `std::invalid_argument` when a part is empty, has a NUL, or has more than 63 bytes: the server would
    /// cut it off there (PostgreSQL's documentation, "Identifiers and Key Words"), and two names could become
    /// one.
    template <class... Part>
    explicit identifier(std::string_view first, const Part&... further)
    {
        add(first);
        (add(further), ...);
    }

    /// A text of several parts: app.account becomes "app"."account". A part that has a dot itself stands in
    /// double quotes, as in SQL. Throws as the constructor does.
    static identifier parse(std::string_view name);

    /// As SQL writes it.
    const std::string& quoted() const noexcept { return quoted_; }

    bool operator==(const identifier&) const = default;

private:
    identifier() = default;
    void add(std::string_view part);

    std::string quoted_;
};

/// @relates identifier
/// A text that goes on with the name, quoted.
inline std::string operator+(std::string before, const identifier& name) { return before += name.quoted(); }
/// @relates identifier
/// A text that begins with the name, quoted.
inline std::string operator+(const identifier& name, std::string_view after)
{
    return name.quoted() + std::string(after);
}

} // namespace pgcoro
