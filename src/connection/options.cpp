#include <pgcoro/connection/options.hpp>

#include "connection/conninfo.hpp"

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

connection_options connection_options::from_uri(std::string_view uri)
{
    connection_options made;
    made.parameters = detail::parse_conninfo(std::string(uri));
    return made;
}

connection_options connection_options::from_env()
{
    auto* url = std::getenv("DATABASE_URL");
    return url && *url ? from_uri(url) : connection_options();
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
    for (auto& [keyword, value] : parameters)
        if (!detail::is_conninfo_keyword(keyword))
            throw std::invalid_argument("connection_options.parameters: libpq knows no parameter '" +
                                        keyword + "'");
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
