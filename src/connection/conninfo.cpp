#include "connection/conninfo.hpp"

#include "connection/diagnostics.hpp"

#include <pgcoro/error/error.hpp>

#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <memory>
#include <system_error>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

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

std::string value_of(const conninfo& parameters, std::string_view keyword)
{
    auto it = parameters.find(keyword);
    return it == parameters.end() ? std::string() : it->second;
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

std::chrono::milliseconds connect_timeout_of(const connection_options& options, const conninfo& completed)
{
    auto text = value_of(completed, "connect_timeout");
    if (options.connect_timeout.is_chosen() || text.empty()) return options.connect_timeout;
    int seconds = 0;
    std::from_chars(text.data(), text.data() + text.size(), seconds);
    return seconds > 0 ? std::chrono::seconds(seconds) : std::chrono::milliseconds::max();
}

std::chrono::milliseconds connect_timeout_of(const connection_options& options)
{
    if (options.connect_timeout.is_chosen()) return options.connect_timeout;
    return connect_timeout_of(options, complete_conninfo(options.parameters));
}

bool is_acceptable(const conninfo& parameters)
{
    // Of all parameters libpq checks this one last, but for load_balance_hosts, which endpoints_of() has checked: if it complains
    // of it, it took the others.
    auto conn = start_with_nonsense(parameters, "target_session_attrs");
    return std::string_view(PQerrorMessage(conn.get())).find(nonsense) != std::string_view::npos;
}

bool is_utf8(std::string_view encoding)
{
    std::string letters; // the server compares names of encodings by these alone
    for (unsigned char c : encoding)
        if (std::isalnum(c)) letters += static_cast<char>(std::tolower(c));
    return letters == "utf8" || letters == "unicode";
}

std::string unusable_parameter(const conninfo& completed)
{
    auto encoding = value_of(completed, "client_encoding");
    if (!encoding.empty() && !is_utf8(encoding))
        return "client_encoding '" + encoding +
               "' cannot be honoured, because pgcoro decodes all text as UTF-8: set it to UTF8 or leave it "
               "out "
               "(also in PGCLIENTENCODING)";
    auto replication = value_of(completed, "replication");
    constexpr std::array<std::string_view, 5> off{"", "false", "off", "no", "0"};
    if (std::ranges::find(off, replication) == off.end())
        return "replication '" + replication +
               "' cannot be honoured, because a replication connection runs no queries with parameters";
    for (auto* keyword : {"connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval",
                          "keepalives_count", "tcp_user_timeout"}) {
        auto value = value_of(completed, keyword);
        int number = 0;
        auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), number);
        if (!value.empty() && (ec != std::errc() || end != value.data() + value.size()))
            return std::string(keyword) + " '" + value + "' is not a whole number";
    }
    return {};
}

std::string ignored_password_file(const conninfo& completed)
{
    auto file = value_of(completed, "passfile");
    if (file.empty() || !value_of(completed, "password").empty()) return {};
    struct stat found = {};
    auto ignored = "the password file " + file + " was ignored: ";
    if (::stat(file.c_str(), &found) != 0)
        return errno == ENOENT ? std::string() : ignored + std::generic_category().message(errno);
    if (!S_ISREG(found.st_mode)) return ignored + "it is not a plain file";
    if (found.st_mode & (S_IRWXG | S_IRWXO)) return ignored + "others may access it; run: chmod 600 " + file;
    if (::access(file.c_str(), R_OK) != 0) return ignored + std::generic_category().message(errno);
    return {};
}

} // namespace pgcoro::detail
