// Text that is valid UTF-8, as JSON, Prometheus and OpenTelemetry demand. Names and messages come from
// callers and from servers, which may send any bytes.
#pragma once

#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

// A character of a text: its bytes, and its number. An invalid sequence has the number of U+FFFD, and as many
// bytes as Unicode's "maximal subpart" (one or more).
struct utf8_character
{
    std::size_t bytes = 1;
    char32_t number = 0xFFFD;
    bool valid = false;
};

inline utf8_character decode_utf8(std::string_view text) noexcept
{
    auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    auto first = byte(0);
    if (first < 0x80) return {1, first, true};
    std::size_t length = first >= 0xC2 && first <= 0xDF ? 2 : first >= 0xE0 && first <= 0xEF ? 3 : 0;
    if (first >= 0xF0 && first <= 0xF4) length = 4;
    if (length == 0) return {};
    // The second byte is what rules out overlong forms, surrogates, and numbers above U+10FFFF.
    unsigned char least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    char32_t number = first & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        if (i >= text.size() || byte(i) < least || byte(i) > most) return {i, 0xFFFD, false};
        number = number << 6 | (byte(i) & 0x3FU);
        least = 0x80;
        most = 0xBF;
    }
    return {length, number, true};
}

inline bool is_valid_utf8(std::string_view text) noexcept
{
    while (!text.empty()) {
        auto c = decode_utf8(text);
        if (!c.valid) return false;
        text.remove_prefix(c.bytes);
    }
    return true;
}

// The text with U+FFFD in place of each invalid sequence.
inline std::string to_utf8(std::string_view text)
{
    std::string made;
    made.reserve(text.size());
    while (!text.empty()) {
        auto c = decode_utf8(text);
        if (c.valid)
            made += text.substr(0, c.bytes);
        else
            made += "\xEF\xBF\xBD";
        text.remove_prefix(c.bytes);
    }
    return made;
}

// Makes all texts in a value valid: a string, a container, or a struct that Boost.Describe knows.
inline void make_valid_utf8(std::string& text)
{
    if (!is_valid_utf8(text)) text = to_utf8(text);
}

template <class T>
void make_valid_utf8(T& value)
{
    if constexpr (boost::describe::has_describe_members<T>::value) {
        using all = boost::describe::describe_members<T, boost::describe::mod_public>;
        boost::mp11::mp_for_each<all>([&](auto member) { make_valid_utf8(value.*member.pointer); });
    } else if constexpr (requires { value.has_value(); }) {
        if (value) make_valid_utf8(*value);
    } else if constexpr (requires { typename T::mapped_type; }) {
        T made;
        for (auto& [key, each] : value) {
            auto name = key;
            make_valid_utf8(name);
            make_valid_utf8(each);
            made.emplace(std::move(name), std::move(each));
        }
        value = std::move(made);
    } else if constexpr (requires { value.begin() != value.end(); }) {
        for (auto& each : value) make_valid_utf8(each);
    }
}

} // namespace pgcoro::detail
