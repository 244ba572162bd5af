// Pool options from the environment and from JSON: one table of them for both.
#include <pgcoro/pool/options.hpp>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <variant>

#include <unistd.h>

namespace pgcoro
{
namespace
{

using std::chrono::milliseconds;

template <class T>
using of_pool = T pool_options::*;
template <class T>
using of_connection = T connection_options::*;

// An option, by its name in the struct and in the environment. Its type says how it is read.
struct named_option
{
    const char* name;
    const char* variable;
    std::variant<of_pool<std::size_t>, of_pool<milliseconds>, of_pool<double>, of_pool<std::string>,
                 of_pool<pre_ping>, of_pool<reset_mode>, of_connection<milliseconds>,
                 of_connection<timeout_option>, of_connection<std::size_t>, of_connection<pooler_mode>,
                 of_connection<cancel_encryption>>
        member;
};

const named_option known_options[] = {
    {"name", "POOL_NAME", &pool_options::name},
    {"size", "POOL_SIZE", &pool_options::size},
    {"max_overflow", "POOL_MAX_OVERFLOW", &pool_options::max_overflow},
    {"overflow_linger", "POOL_OVERFLOW_LINGER", &pool_options::overflow_linger},
    {"acquire_timeout", "POOL_TIMEOUT", &pool_options::acquire_timeout},
    {"recycle_after", "POOL_RECYCLE", &pool_options::recycle_after},
    {"recycle_jitter", "POOL_RECYCLE_JITTER", &pool_options::recycle_jitter},
    {"idle_timeout", "POOL_IDLE_TIMEOUT", &pool_options::idle_timeout},
    {"pre_ping", "POOL_PRE_PING", &pool_options::pre_ping},
    {"alive_bypass", "POOL_ALIVE_BYPASS", &pool_options::alive_bypass},
    {"ping_after", "POOL_PING_AFTER", &pool_options::ping_after},
    {"ping_timeout", "POOL_PING_TIMEOUT", &pool_options::ping_timeout},
    {"keepalive", "POOL_KEEPALIVE", &pool_options::keepalive},
    {"max_connecting", "POOL_MAX_CONNECTING", &pool_options::max_connecting},
    {"max_waiters", "POOL_MAX_WAITERS", &pool_options::max_waiters},
    {"cleanup_timeout", "POOL_CLEANUP_TIMEOUT", &pool_options::cleanup_timeout},
    {"reset", "POOL_RESET", &pool_options::reset},
    {"leak_threshold", "POOL_LEAK_THRESHOLD", &pool_options::leak_threshold},
    {"report_transactions_after", "POOL_REPORT_TRANSACTIONS_AFTER", &pool_options::report_transactions_after},
    {"connect_timeout", "POOL_CONNECT_TIMEOUT", &connection_options::connect_timeout},
    {"statement_timeout", "POOL_STATEMENT_TIMEOUT", &connection_options::statement_timeout},
    {"lock_timeout", "POOL_LOCK_TIMEOUT", &connection_options::lock_timeout},
    {"idle_in_transaction_session_timeout", "POOL_IDLE_IN_TRANSACTION_SESSION_TIMEOUT",
     &connection_options::idle_in_transaction_session_timeout},
    {"response_grace", "POOL_RESPONSE_GRACE", &connection_options::response_grace},
    {"statement_cache_size", "POOL_STATEMENT_CACHE_SIZE", &connection_options::statement_cache_size},
    {"pooler", "POOL_POOLER", &connection_options::pooler},
    {"cancel_encryption", "POOL_CANCEL_ENCRYPTION", &connection_options::cancel_encryption},
};

[[noreturn]] void refuse(const std::string& what, std::string_view value, const std::string& range)
{
    throw std::invalid_argument(what + " is '" + std::string(value) + "' and must be " + range);
}

std::size_t read_count(const std::string& what, std::string_view text)
{
    std::size_t n = 0;
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (ec != std::errc() || end != text.data() + text.size())
        refuse(what, text, "a whole number, 0 or more");
    return n;
}

double read_number(const std::string& what, std::string_view text, const std::string& range)
{
    double n = 0;
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (ec != std::errc() || end != text.data() + text.size()) refuse(what, text, range);
    return n;
}

milliseconds read_duration(const std::string& what, std::string_view text)
{
    const std::string range = "a number of seconds, or have one of the units ms, s, min, h: 500ms, 30s, 5min";
    auto unit = text.find_first_not_of("0123456789.");
    auto number = read_number(what, text.substr(0, unit), range);
    auto name = unit == text.npos ? "s" : text.substr(unit);
    double factor = name == "ms" ? 1 : name == "s" ? 1e3 : name == "min" ? 60e3 : name == "h" ? 3'600e3 : 0;
    constexpr double longest = 3'600e3 * 24 * 365;
    if (factor == 0 || number * factor > longest) refuse(what, text, range + ", up to one year");
    return milliseconds(std::llround(number * factor));
}

pre_ping read_pre_ping(const std::string& what, std::string_view text)
{
    if (text == "always") return pre_ping::always;
    if (text == "when_idle") return pre_ping::when_idle;
    if (text == "never") return pre_ping::never;
    refuse(what, text, "always, when_idle or never");
}

reset_mode read_reset_mode(const std::string& what, std::string_view text)
{
    if (text == "automatic") return reset_mode::automatic;
    if (text == "always") return reset_mode::always;
    if (text == "never") return reset_mode::never;
    refuse(what, text, "automatic, always or never");
}

pooler_mode read_pooler_mode(const std::string& what, std::string_view text)
{
    for (auto m : {pooler_mode::none, pooler_mode::session, pooler_mode::transaction})
        if (text == to_string(m)) return m;
    refuse(what, text, "none, session or transaction");
}

cancel_encryption read_cancel_encryption(const std::string& what, std::string_view text)
{
    for (auto e : {cancel_encryption::prefer, cancel_encryption::require})
        if (text == to_string(e)) return e;
    refuse(what, text, "prefer or require");
}

void set(pool_options& options, const named_option& option, const std::string& what, std::string_view text)
{
    struct reader
    {
        pool_options& options;
        const std::string& what;
        std::string_view text;

        void operator()(of_pool<std::size_t> m) const { options.*m = read_count(what, text); }
        void operator()(of_pool<milliseconds> m) const { options.*m = read_duration(what, text); }
        void operator()(of_pool<double> m) const { options.*m = read_number(what, text, "a number"); }
        void operator()(of_pool<std::string> m) const { options.*m = text; }
        void operator()(of_pool<pre_ping> m) const { options.*m = read_pre_ping(what, text); }
        void operator()(of_pool<reset_mode> m) const { options.*m = read_reset_mode(what, text); }
        void operator()(of_connection<milliseconds> m) const
        {
            options.connection.*m = read_duration(what, text);
        }
        void operator()(of_connection<timeout_option> m) const
        {
            options.connection.*m = read_duration(what, text);
        }
        void operator()(of_connection<std::size_t> m) const
        {
            options.connection.*m = read_count(what, text);
        }
        void operator()(of_connection<pooler_mode> m) const
        {
            options.connection.*m = read_pooler_mode(what, text);
        }
        void operator()(of_connection<cancel_encryption> m) const
        {
            options.connection.*m = read_cancel_encryption(what, text);
        }
    };
    std::visit(reader{options, what, text}, option.member);
}

std::string text_of(const boost::json::value& value)
{
    if (value.is_string()) return std::string(value.get_string());
    if (!value.is_double()) return boost::json::serialize(value);
    std::array<char, 512> digits; // without an exponent, which serialize() likes to write
    auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value.get_double(),
                             std::chars_format::fixed);
    return {digits.data(), end.ptr};
}

// A misspelt variable would be ignored otherwise, and its option keep the default.
void refuse_unknown_variables()
{
    for (auto** entry = ::environ; entry && *entry; ++entry) {
        std::string_view name(*entry);
        name = name.substr(0, name.find('='));
        if (!name.starts_with("POOL_")) continue;
        if (std::ranges::find(known_options, name, &named_option::variable) != std::end(known_options))
            continue;
        std::string all;
        for (auto& option : known_options) all.append(all.empty() ? "" : ", ").append(option.variable);
        throw std::invalid_argument("environment variable " + std::string(name) +
                                    " is not known; those that begin with POOL_ are " + all);
    }
}

// Which variable gave the option that validate() refuses? It names the option behind the last '.' before " is
// ".
std::string variable_of(std::string_view refusal)
{
    auto name = refusal.substr(0, refusal.find(" is "));
    name = name.substr(name.rfind('.') == name.npos ? 0 : name.rfind('.') + 1);
    auto* option = std::ranges::find(known_options, name, &named_option::name);
    if (option == std::end(known_options)) return {};
    auto* text = std::getenv(option->variable);
    return text && *text ? option->variable : "";
}

} // namespace

pool_options pool_options::from_env()
{
    refuse_unknown_variables();
    pool_options options;
    options.connection = connection_options::from_env();
    for (auto& option : known_options)
        if (auto* text = std::getenv(option.variable); text && *text)
            set(options, option, std::string("environment variable ") + option.variable, text);
    try {
        options.validate();
    } catch (const std::invalid_argument& e) {
        auto variable = variable_of(e.what());
        if (variable.empty()) throw;
        throw std::invalid_argument("environment variable " + variable + ": " + e.what());
    }
    return options;
}

pool_options pool_options::from_json(const boost::json::object& json)
{
    pool_options options;
    for (auto& [key, value] : json) {
        auto what = "pool option \"" + std::string(key) + "\"";
        if (key == "url") {
            if (!value.is_string()) throw std::invalid_argument(what + " must be a string");
            options.connection.parameters = connection_options::from_uri(value.get_string()).parameters;
        } else if (key == "settings") {
            if (!value.is_object())
                throw std::invalid_argument(what + " must be an object of server settings");
            for (auto& [name, setting] : value.get_object())
                options.connection.settings.insert_or_assign(std::string(name), text_of(setting));
        } else if (auto* option =
                       std::ranges::find(known_options, std::string_view(key), &named_option::name);
                   option != std::end(known_options)) {
            set(options, *option, what, text_of(value));
        } else {
            throw std::invalid_argument(what + " is not known");
        }
    }
    options.validate();
    return options;
}

} // namespace pgcoro
