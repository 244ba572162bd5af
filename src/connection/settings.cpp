#include "connection/settings.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace pgcoro::detail
{
namespace
{

struct limit
{
    std::string_view name;
    timeout_option connection_options::*member;
};

constexpr std::array limits{
    limit{"statement_timeout", &connection_options::statement_timeout},
    limit{"lock_timeout", &connection_options::lock_timeout},
    limit{"idle_in_transaction_session_timeout", &connection_options::idle_in_transaction_session_timeout}};

using setting = std::pair<std::string, std::string>;

constexpr std::string_view session_mark = "pgcoro.session";

bool names(const connection_options& options, std::string_view name)
{
    return std::ranges::any_of(options.settings, [&](auto& s) { return lower_name(s.first) == name; });
}

std::vector<setting> asked_for(const connection_options& options)
{
    std::vector<setting> all;
    for (auto& l : limits) {
        auto& value = options.*l.member;
        if (value.is_chosen() && value.count() > 0) all.emplace_back(l.name, std::to_string(value.count()));
    }
    all.insert(all.end(), options.settings.begin(), options.settings.end());
    return all;
}

// Is the server to be asked what is in force?
bool is_open(const connection_options& options, const limit& l)
{
    return !(options.*l.member).is_chosen() || names(options, l.name);
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

// By set_config, because SET takes a list ("a, b") for one name if it is quoted.
std::string set_config(const std::vector<setting>& all, bool for_transaction)
{
    std::string sql;
    for (auto& [name, value] : all) {
        sql.append(sql.empty() ? "select " : ", ").append("pg_catalog.set_config(").append(escaped_literal(name));
        sql.append(", ").append(escaped_literal(value)).append(for_transaction ? ", true)" : ", false)");
    }
    return sql;
}

const server_limit* find(const std::vector<server_limit>& told, std::string_view name)
{
    auto it = std::ranges::find(told, name, &server_limit::name);
    return it == told.end() ? nullptr : &*it;
}

} // namespace

std::string lower_name(std::string_view name)
{
    std::string text(name);
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

std::string escaped_literal(std::string_view value)
{
    std::string text = "E'";
    for (char c : value) {
        if (c == '\'' || c == '\\') text += c;
        text += c;
    }
    return text + "'";
}

bool is_setting_name(std::string_view name)
{
    auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    auto fits = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '$'; };
    return !name.empty() && letter(name[0]) && std::ranges::all_of(name, fits);
}

std::vector<std::pair<std::string, std::string>> settings_in(std::string_view text)
{
    // As the server splits them: by blanks, but for those behind a backslash.
    std::vector<std::string> words;
    bool in_word = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (std::string_view(" \t\n\v\f\r").find(text[i]) != std::string_view::npos) {
            in_word = false;
            continue;
        }
        if (!std::exchange(in_word, true)) words.emplace_back();
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        words.back() += text[i];
    }
    std::vector<setting> found;
    for (std::size_t i = 0; i < words.size(); ++i) {
        std::string_view word = words[i];
        if (word == "-c" && i + 1 < words.size())
            word = words[++i];
        else if (word.starts_with("-c") || word.starts_with("--"))
            word.remove_prefix(2);
        else
            continue;
        auto equals = word.find('=');
        if (equals == word.npos) continue;
        auto set = lower_name(word.substr(0, equals));
        std::ranges::replace(set, '-', '_');
        found.emplace_back(std::move(set), word.substr(equals + 1));
    }
    return found;
}

std::string unlisted_settings_in(std::string_view startup_options)
{
    std::string text;
    for (auto& [name, value] : settings_in(startup_options)) {
        bool unlisted = name.find('.') != name.npos || name == "role";
        if (unlisted && name != session_mark) text.append(name).append("=").append(value).append("\n");
    }
    return text;
}

std::string setting_in(std::string_view text, std::string_view name)
{
    std::string found;
    for (auto& [set, value] : settings_in(text))
        if (set == name) found = value;
    return found;
}

std::string startup_options(const connection_options& options, std::string given)
{
    if (options.pooler != pooler_mode::none) return given;
    auto add = [&](std::string_view name, std::string_view value) {
        if (!given.empty()) given += ' ';
        given.append("-c ").append(name).append("=").append(escaped(value));
    };
    if (std::ranges::any_of(limits, [&](auto& l) { return is_open(options, l); })) add(session_mark, "on");
    for (auto& [name, value] : asked_for(options)) add(name, value);
    return given;
}

std::string settings_statement(const connection_options& options, bool for_transaction)
{
    return set_config(asked_for(options), for_transaction);
}

std::string login_statement(const connection_options& options)
{
    std::string named;
    std::string defaults;
    for (auto& l : limits) {
        if (!is_open(options, l)) continue;
        named.append(named.empty() ? "" : ", ").append(escaped_literal(l.name));
        defaults.append(" when ").append(escaped_literal(l.name)).append(" then ");
        defaults.append(escaped_literal(std::to_string((options.*l.member).count())));
    }
    bool for_transaction = options.pooler == pooler_mode::transaction;
    std::string sql;
    // In transaction mode they are made for nothing but what is asked here.
    bool makes = options.pooler == pooler_mode::session || (for_transaction && !named.empty());
    if (makes) sql = settings_statement(options, for_transaction);
    if (named.empty()) return sql;
    if (!sql.empty()) sql += "; ";
    std::string condition = "source = 'default'";
    if (options.pooler == pooler_mode::none)
        condition.append(" and pg_catalog.current_setting(")
            .append(escaped_literal(session_mark))
            .append(", true) = 'on'");
    sql.append("select name, setting, case when ")
        .append(condition)
        .append(" then pg_catalog.set_config(name, case name")
        .append(defaults)
        .append(" end, ")
        .append(for_transaction ? "true" : "false")
        .append(") end from pg_catalog.pg_settings where name in (")
        .append(named)
        .append(")");
    return sql;
}

connection_options in_force(connection_options options, const std::vector<server_limit>& told)
{
    for (auto& l : limits) {
        auto* said = find(told, l.name);
        if (!said) continue;
        auto& value = options.*l.member;
        long long count = value.count();
        if (!said->applied)
            std::from_chars(said->value.data(), said->value.data() + said->value.size(), count);
        value = std::chrono::milliseconds(count);
    }
    return options;
}

std::string statement_after_reset(const connection_options& options, const std::vector<server_limit>& told)
{
    if (options.pooler == pooler_mode::transaction) return {};
    std::vector<setting> all;
    if (options.pooler == pooler_mode::session) all = asked_for(options);
    for (auto& l : limits) {
        auto* said = find(told, l.name);
        if (said && said->applied) all.emplace_back(l.name, std::to_string((options.*l.member).count()));
    }
    return set_config(all, false);
}

} // namespace pgcoro::detail
