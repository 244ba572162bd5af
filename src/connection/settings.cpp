#include "connection/settings.hpp"

#include <string_view>

namespace pgcoro::detail
{
namespace
{

template <class Each>
void for_each_setting(const connection_options& options, Each each)
{
    auto limit = [&](std::string_view name, std::chrono::milliseconds value) {
        if (value.count() > 0) each(name, std::to_string(value.count()));
    };
    limit("statement_timeout", options.statement_timeout);
    limit("lock_timeout", options.lock_timeout);
    limit("idle_in_transaction_session_timeout", options.idle_in_transaction_session_timeout);
    for (auto& [name, value] : options.settings) each(name, value);
}

// In the startup packet's `options` a backslash stands before backslashes and all that isspace() in C.
std::string escaped(std::string_view value)
{
    std::string text;
    for (char c : value) {
        if (std::string_view(" \t\n\v\f\r\\").find(c) != std::string_view::npos) text += '\\';
        text += c;
    }
    return text;
}

// As E'…', which means the same whatever standard_conforming_strings is.
std::string literal(std::string_view value)
{
    std::string text = "E'";
    for (char c : value) {
        if (c == '\'' || c == '\\') text += c;
        text += c;
    }
    return text + "'";
}

} // namespace

std::string startup_options(const connection_options& options, std::string given)
{
    if (options.pooler != pooler_mode::none) return given;
    for_each_setting(options, [&](std::string_view name, std::string_view value) {
        if (!given.empty()) given += ' ';
        given.append("-c ").append(name).append("=").append(escaped(value));
    });
    return given;
}

// By set_config, because SET takes a list ("a, b") for one name if it is quoted.
std::string settings_statement(const connection_options& options, bool for_transaction)
{
    std::string sql;
    for_each_setting(options, [&](std::string_view name, std::string_view value) {
        sql.append(sql.empty() ? "select " : ", ").append("pg_catalog.set_config(").append(literal(name));
        sql.append(", ").append(literal(value)).append(for_transaction ? ", true)" : ", false)");
    });
    return sql;
}

} // namespace pgcoro::detail
