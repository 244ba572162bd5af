#pragma once

#include <pgcoro/export.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace PGCORO_API pgcoro
{

namespace detail
{

// An integer that is not a character: its decimal digits are the setting's value.
template <class T>
concept setting_number = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> &&
    !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

} // namespace detail

/// A name and a value for `local_settings`, as an element of its braces. Refers to the texts that it is constructed from,
/// so do not store one.
class local_setting
{
public:
    /// `value` is what SET takes: "tenant_7", "5s", "on".
    constexpr local_setting(std::string_view name, std::string_view value) noexcept
        : name_(name)
        , text_(value)
    {}
    /// The same for a string literal. Throws `std::invalid_argument` if `value` is null.
    local_setting(std::string_view name, const char* value)
        : name_(name)
        , text_(not_null(value))
    {}
    local_setting(std::string_view name, const std::string& value) noexcept
        : local_setting(name, std::string_view(value))
    {}
    /// An integer, such as the number of a tenant.
    template <detail::setting_number T>
    constexpr local_setting(std::string_view name, T value) noexcept
        : name_(name)
        , number_(static_cast<std::int64_t>(value))
        , kind_(std::unsigned_integral<T> ? kind::unsigned_number : kind::number)
    {}
    /// "on" or "off".
    constexpr local_setting(std::string_view name, std::same_as<bool> auto value) noexcept
        : local_setting(name, std::string_view(value ? "on" : "off"))
    {}

private:
    friend class local_settings;
    enum class kind : std::uint8_t { none, text, number, unsigned_number };

    constexpr local_setting() noexcept
        : kind_(kind::none)
    {}

    static std::string_view not_null(const char* value);
    std::string value() const;

    std::string_view name_;
    std::string_view text_;
    std::int64_t number_ = 0;
    kind kind_ = kind::text;
};

/// Settings of the server that hold for one statement: the argument of `pool::with` and of its namesakes.
///
/// ```cpp
/// pgcoro::local_settings tenant{{"app.tenant", 7}, {"search_path", "tenant_7"}, {"role", "app_reader"}};
/// auto rows = co_await pool.with(tenant).query("select id, owner from account");
/// ```
/// The server makes the settings in the order of the list: `role` last, if settings before it need the rights of the
/// role that logged in. Names are those of SET, `role` and `session_authorization` included, and names with a dot of
/// your own. Upper and lower case are the same name, as on the server.
///
/// Names and values travel as parameters and never become part of a statement's text.
///
/// @par Errors
/// `std::invalid_argument` for a name that no setting can have, a name that is there already, a name that begins with
/// "pgcoro.", which the library uses itself, and a value with a NUL character.
/// @par Thread safety
/// As a standard container: a const object may be used by several threads at once.
/// @par Lifetime
/// Owns names and values.
class local_settings
{
public:
    /// A name in lower case, and its value.
    struct entry
    {
        std::string name;
        std::string value;

        friend bool operator==(const entry&, const entry&) = default;
    };

    /// No settings.
    local_settings() = default;
    /// One to eight settings; add() takes more. These are separate parameters because GCC 12 does not compile a
    /// `std::initializer_list` within a co_await expression.
    local_settings(local_setting first, local_setting second = {}, local_setting third = {}, local_setting fourth = {},
                   local_setting fifth = {}, local_setting sixth = {}, local_setting seventh = {},
                   local_setting eighth = {});

    /// Appends a setting. Throws as the constructor does, and changes nothing then.
    local_settings& add(local_setting added);

    /// Returns true if there are no settings. A statement with no settings runs as without with().
    bool empty() const noexcept { return entries_.empty(); }
    std::size_t size() const noexcept { return entries_.size(); }
    /// Returns the settings, in the order in which the server makes them.
    const std::vector<entry>& entries() const noexcept { return entries_; }
    /// Returns the value of a setting; null if it is not in the list. `name` may be in upper or lower case.
    const std::string* find(std::string_view name) const;

    /// Returns bytes that are equal if and only if the objects are equal: for keys of caches and maps. They contain the
    /// values, and are no hash.
    std::string key() const;

    /// Compares names, values and order.
    friend bool operator==(const local_settings&, const local_settings&) = default;

private:
    std::vector<entry> entries_;
};

} // namespace pgcoro
