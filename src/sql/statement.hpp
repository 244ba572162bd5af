// What a statement's text means, by PostgreSQL's own grammar (libpg_query): what it does, which tables it
// names, which functions it calls. What a name stands for only a server's catalog can tell.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::sql
{

// As written, folded to lower case where it was not quoted. Without a schema the search_path decides.
struct name
{
    std::string schema;
    std::string object;

    auto operator<=>(const name&) const = default;
};

enum class nature {
    read, // one SELECT, VALUES or TABLE, that locks no rows and changes nothing by itself; what the functions
          // do that it calls is not said
    write,   // changes data, makes a table (SELECT INTO), or locks rows (FOR UPDATE …), WITH included
    other,   // neither: SET, SHOW, EXPLAIN, CREATE, CALL …
    several, // more than one statement, or none
    unknown, // not understood; a newer server's grammar may know it
};

// Each list is sorted and without duplicates.
struct statement
{
    sql::nature nature = sql::nature::unknown;
    std::vector<name> tables; // read or written, views among them; names of WITH are none
    std::vector<name>
        written; // those of `tables` that INSERT, UPDATE, DELETE, MERGE, TRUNCATE or COPY change
    std::vector<name> functions; // called by name
    std::vector<name> operators; // also those that BETWEEN, CASE, USING and NATURAL JOIN use
    std::vector<name> types;     // cast to
    std::vector<name> selected;  // a in t.a and (t).a: columns, fields, or functions of a row, called like columns
    std::vector<std::string> settings; // with a dot in their names, that current_setting() reads
    bool settings_known = true; // false: current_setting() of a computed name, or of a name without a dot
    bool time_dependent = false; // CURRENT_DATE and kin, a constant such as 'now', a computed text that is cast
    bool repeatable = true;         // false: TABLESAMPLE, or where and by whom a row was written (ctid, xmin …)
};

// Never throws but for want of memory. Some ten microseconds a statement: keep what it gave.
statement parse(std::string_view text);

// The same number for statements that differ in constants, names of parameters, spaces and comments only;
// nothing if it is not understood.
std::optional<std::uint64_t> fingerprint(std::string_view text);

} // namespace pgcoro::sql
