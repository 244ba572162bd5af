#include <pgcoro/connection/local_settings.hpp>

#include "connection/settings.hpp"

#include <algorithm>
#include <stdexcept>

namespace pgcoro
{

namespace
{

[[noreturn]] void refuse(std::string_view name, const std::string& why)
{
    throw std::invalid_argument("pgcoro: the setting '" + std::string(name) + "' of with(): " + why);
}

} // namespace

std::string_view local_setting::not_null(const char* value)
{
    if (!value) throw std::invalid_argument("pgcoro: the value of a setting of with() is a null pointer");
    return value;
}

std::string local_setting::value() const
{
    switch (kind_) {
    case kind::number:
        return std::to_string(number_);
    case kind::unsigned_number:
        return std::to_string(static_cast<std::uint64_t>(number_));
    case kind::text:
    case kind::none:
        break;
    }
    return std::string(text_);
}

local_settings::local_settings(local_setting first, local_setting second, local_setting third, local_setting fourth,
                               local_setting fifth, local_setting sixth, local_setting seventh, local_setting eighth)
{
    for (auto& each : {first, second, third, fourth, fifth, sixth, seventh, eighth})
        if (each.kind_ != local_setting::kind::none) add(each);
}

local_settings& local_settings::add(local_setting added)
{
    constexpr std::string_view ours = "pgcoro.";
    if (!detail::is_setting_name(added.name_))
        refuse(added.name_, "a name has letters, digits, '_', '.' and '$' only, and begins with a letter or '_'");
    entry made{detail::lower_name(added.name_), added.value()};
    if (made.name.starts_with(ours)) refuse(made.name, "the library uses names that begin with \"pgcoro.\" itself");
    if (find(made.name)) refuse(made.name, "it is there already");
    // libpq would end the value at the NUL, and so make another tenant's name of it.
    if (made.value.find('\0') != std::string::npos) refuse(made.name, "its value has a NUL character");
    entries_.push_back(std::move(made));
    return *this;
}

const std::string* local_settings::find(std::string_view name) const
{
    auto it = std::ranges::find(entries_, detail::lower_name(name), &entry::name);
    return it == entries_.end() ? nullptr : &it->value;
}

std::string local_settings::key() const
{
    std::string bytes;
    for (auto& e : entries_) bytes.append(e.name).append(1, '\0').append(e.value).append(1, '\0');
    return bytes;
}

} // namespace pgcoro
