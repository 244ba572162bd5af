#include "connection/conninfo.hpp"

#include "connection/diagnostics.hpp"

#include <pgcoro/error/error.hpp>

#include <libpq-fe.h>

#include <memory>
#include <vector>

namespace pgcoro::detail
{
namespace
{

using options_ptr = std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)>;

conninfo to_map(const PQconninfoOption* option)
{
    conninfo map;
    for (; option && option->keyword; ++option)
        if (option->val) map.emplace(option->keyword, option->val);
    return map;
}

constexpr const char* nonsense = "(none: this only asks libpq for its opinion of the other parameters)";

using conn_ptr = std::unique_ptr<PGconn, decltype(&PQfinish)>;

// A connection that fails while libpq checks its parameters, at this one: nothing is looked up or connected.
conn_ptr start_with_nonsense(const conninfo& parameters, const char* where)
{
    std::vector<const char*> keywords;
    std::vector<const char*> values;
    for (auto& [keyword, value] : parameters) {
        if (keyword == where) continue;
        keywords.push_back(keyword.c_str());
        values.push_back(value.c_str());
    }
    keywords.insert(keywords.end(), {where, nullptr});
    values.insert(values.end(), {nonsense, nullptr});
    conn_ptr conn(PQconnectStartParams(keywords.data(), values.data(), 0), &PQfinish);
    if (!conn) throw std::bad_alloc();
    return conn;
}

} // namespace

conninfo parse_conninfo(std::string_view text)
{
    return split_connection_string(text, is_conninfo_keyword, strictness::strict);
}

bool is_conninfo_keyword(std::string_view keyword)
{
    static const auto known = [] {
        std::vector<std::string> keywords;
        options_ptr defaults(PQconndefaults(), &PQconninfoFree);
        for (auto* option = defaults.get(); option && option->keyword; ++option)
            keywords.emplace_back(option->keyword);
        return keywords;
    }();
    for (auto& k : known)
        if (k == keyword) return true;
    return false;
}

conninfo complete_conninfo(const conninfo& given)
{
    // libpq tells the completed parameters only of a PGconn, and starting one would look names up, blocking.
    // So it is handed a value that it checks after completing and before looking up: it fails there.
    auto conn = start_with_nonsense(given, "channel_binding");
    options_ptr completed(PQconninfo(conn.get()), &PQconninfoFree);
    auto map = to_map(completed.get());
    if (map["user"].empty()) // not even completed: an unknown service, an unreadable service file
        throw connection_error(connection_failure::options,
                               "connection parameters: " + as_told(PQerrorMessage(conn.get())));
    map.erase("channel_binding");
    return map;
}

bool is_acceptable(const conninfo& parameters)
{
    // Of all parameters libpq checks this one last: if it complains of it, it took the others.
    auto conn = start_with_nonsense(parameters, "target_session_attrs");
    return std::string_view(PQerrorMessage(conn.get())).find(nonsense) != std::string_view::npos;
}

} // namespace pgcoro::detail
