#include "connection/settings_transaction.hpp"

namespace pgcoro::detail
{

namespace
{

std::string parameter(std::size_t n) { return "$" + std::to_string(n); }
std::string saved(std::size_t n) { return "'pgcoro.saved_" + std::to_string(n) + "'"; }

// One call of the list, which the server evaluates from left to right.
void append_set(std::string& sql, const std::string& name, const std::string& value)
{
    sql.append(sql.empty() ? "select " : ", ")
        .append("pg_catalog.set_config(")
        .append(name)
        .append(", ")
        .append(value)
        .append(", true)");
}

void append_settings(std::string& sql, std::size_t count)
{
    for (std::size_t i = 0; i < count; ++i) append_set(sql, parameter(2 * i + 1), parameter(2 * i + 2));
}

} // namespace

std::string set_local_statement(std::size_t count)
{
    std::string sql;
    append_settings(sql, count);
    return sql;
}

std::string save_and_set_local_statement(std::size_t count)
{
    std::string sql;
    // A setting with a dot that was never made has no value. After its transaction the server shows it as empty, too.
    for (std::size_t i = 0; i < count; ++i)
        append_set(sql, saved(i + 1), "coalesce(pg_catalog.current_setting(" + parameter(2 * i + 1) + ", true), '')");
    append_settings(sql, count);
    return sql;
}

std::string restore_statement(std::size_t count)
{
    std::string sql;
    for (auto i = count; i > 0; --i)
        append_set(sql, parameter(i), "pg_catalog.current_setting(" + saved(i) + ")");
    return sql;
}

params names_and_values(const local_settings& settings)
{
    params all;
    for (auto& e : settings.entries()) {
        all.add(e.name);
        all.add(e.value);
    }
    return all;
}

params names_of(const local_settings& settings)
{
    params all;
    for (auto& e : settings.entries()) all.add(e.name);
    return all;
}

settings_transaction::settings_transaction(const std::string& of_options, const local_settings& settings)
    : args_(names_and_values(settings))
{
    prologue_.before.push_back(companion::prepared("begin"));
    if (!of_options.empty()) prologue_.before.push_back({of_options});
    prologue_.before.push_back(companion::prepared(set_local_statement(settings.size()), args_));
    prologue_.commit = commit_place::after_sync;
}

settings_in_transaction::settings_in_transaction(prologue& of, const local_settings& settings)
    : set_(names_and_values(settings))
    , restore_(names_of(settings))
{
    of.before.push_back(companion::prepared(save_and_set_local_statement(settings.size()), set_));
    of.behind = companion::prepared(restore_statement(settings.size()), restore_);
}

} // namespace pgcoro::detail
