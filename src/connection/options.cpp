#include <pgcoro/connection/options.hpp>

#include "connection/conninfo.hpp"
#include "connection/settings.hpp"

#include <cstdlib>
#include <stdexcept>

namespace pgcoro
{

std::string_view to_string(pooler_mode m) noexcept
{
    switch (m) {
    case pooler_mode::none:
        break;
    case pooler_mode::session:
        return "session";
    case pooler_mode::transaction:
        return "transaction";
    }
    return "none";
}

std::string_view to_string(cancel_encryption e) noexcept
{
    return e == cancel_encryption::require ? "require" : "prefer";
}

connection_options connection_options::from_uri(std::string_view uri)
{
    connection_options made;
    made.parameters = detail::parse_conninfo(uri);
    return made;
}

connection_options connection_options::from_env()
{
    auto* url = std::getenv("DATABASE_URL");
    if (!url || !*url) return {};
    try {
        return from_uri(url);
    } catch (const std::invalid_argument& e) {
        throw std::invalid_argument(std::string("environment variable DATABASE_URL: ") + e.what());
    }
}

void connection_options::validate() const
{
    auto refuse = [](std::string_view name, std::chrono::milliseconds value, std::string_view range) {
        throw std::invalid_argument("connection_options." + std::string(name) + " is " +
                                    std::to_string(value.count()) + " ms and must be " + std::string(range));
    };
    using std::chrono::milliseconds;
    constexpr milliseconds most{2'147'483'647}; // the server's settings are 32-bit milliseconds
    auto check = [&](std::string_view name, milliseconds value, milliseconds least) {
        if (value < least || value > most)
            refuse(name, value, std::to_string(least.count()) + " to 2147483647 ms");
    };
    check("connect_timeout", connect_timeout, milliseconds(1));
    check("statement_timeout", statement_timeout, milliseconds(0));
    check("lock_timeout", lock_timeout, milliseconds(0));
    check("idle_in_transaction_session_timeout", idle_in_transaction_session_timeout, milliseconds(0));
    check("response_grace", response_grace, milliseconds(0));
    auto has_nul = [](std::string_view text) { return text.find('\0') != text.npos; };
    for (auto& [keyword, value] : parameters) {
        if (!detail::is_conninfo_keyword(keyword))
            throw std::invalid_argument("connection_options.parameters: libpq knows no parameter '" +
                                        keyword + "'");
        if (has_nul(value))
            throw std::invalid_argument("connection_options.parameters: the value of '" + keyword +
                                        "' has a NUL character, which libpq cannot take");
    }
    for (auto& [name, value] : settings) {
        if (!detail::is_setting_name(name))
            throw std::invalid_argument("connection_options.settings: '" + name +
                                        "' is not the name of a setting, which has letters, digits, '_', '.' "
                                        "and '$' and begins with a letter or '_'");
        if (has_nul(value))
            throw std::invalid_argument("connection_options.settings: the value of '" + name +
                                        "' has a NUL character, which the server cannot take");
    }
    if (has_nul(application_name))
        throw std::invalid_argument("connection_options.application_name has a NUL character, which the "
                                    "server cannot take");
}

std::string connection_options::describe() const
{
    auto get = [&](const char* keyword, std::string otherwise) {
        auto it = parameters.find(keyword);
        return it == parameters.end() || it->second.empty() ? otherwise : it->second;
    };
    return "host " + get("host", get("hostaddr", "(default)")) + ", port " + get("port", "(default)") +
           ", database " + get("dbname", "(default)") + ", user " + get("user", "(default)");
}

} // namespace pgcoro
