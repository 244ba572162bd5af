#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/codec.hpp>

#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{

template <>
struct codec<bool>
{
    static constexpr oid type = oids::boolean;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::boolean; }
    static bool decode(field_view f)
    {
        if (f.size != 1) throw_mapping_error("a boolean has one byte");
        return *f.data != 0;
    }
    static void encode(bool v, encoder& out) { out.number(static_cast<std::uint8_t>(v)); }
};

namespace detail
{

template <class T>
concept integer =
    std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
    !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

// The smallest PostgreSQL type that holds every value of T; bigint for 64 unsigned bits, range-checked.
template <integer T>
constexpr oid integer_type() noexcept
{
    constexpr auto bits = std::numeric_limits<T>::digits;
    return bits <= 15 ? oids::int2 : bits <= 31 ? oids::int4 : oids::int8;
}

[[noreturn]] void throw_out_of_range(long long value, long long least, unsigned long long most);

} // namespace detail

/// Integers: from and to smallint, integer and bigint, whichever the column is. A value that the C++ type
/// cannot hold is a `mapping_error`, as is an unsigned one beyond bigint. Columns of type oid, xid and xid8,
/// which are unsigned, are read, too.
template <detail::integer T>
struct codec<T>
{
    static constexpr oid type = detail::integer_type<T>();
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept
    {
        return t == oids::int8 || t == oids::int4 || t == oids::int2 || t == oids::oid_ || t == oids::xid ||
               t == oids::xid8;
    }

    static T decode(field_view f)
    {
        std::int64_t wide = 0;
        switch (f.size) {
        case 8:
            wide = read_number<std::int64_t>(f.data);
            if (f.type == oids::xid8 && wide < 0) [[unlikely]]
                throw_mapping_error("a transaction id beyond bigint's range");
            break;
        case 4:
            wide = f.type == oids::oid_ || f.type == oids::xid
                       ? static_cast<std::int64_t>(read_number<std::uint32_t>(f.data))
                       : read_number<std::int32_t>(f.data);
            break;
        case 2:
            wide = read_number<std::int16_t>(f.data);
            break;
        default:
            throw_mapping_error("an integer has 2, 4 or 8 bytes");
        }
        if constexpr (!std::same_as<T, std::int64_t>)
            if (!std::in_range<T>(wide))
                detail::throw_out_of_range(wide, static_cast<long long>(std::numeric_limits<T>::min()),
                                           static_cast<unsigned long long>(std::numeric_limits<T>::max()));
        return static_cast<T>(wide);
    }

    static void encode(T v, encoder& out)
    {
        if constexpr (type == oids::int2)
            out.number(static_cast<std::int16_t>(v));
        else if constexpr (type == oids::int4)
            out.number(static_cast<std::int32_t>(v));
        else {
            if (!std::in_range<std::int64_t>(v))
                throw_mapping_error("the value " + std::to_string(v) + " is out of bigint's range");
            out.number(static_cast<std::int64_t>(v));
        }
    }
};

/// Floating point: from real and double precision. A double precision value into `float` is a
/// `mapping_error` unless the column is real, because digits would be lost silently.
template <std::floating_point T>
requires(sizeof(T) <= 8) struct codec<T>
{
    static constexpr oid type = sizeof(T) == 4 ? oids::float4 : oids::float8;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept
    {
        return t == oids::float4 || (sizeof(T) == 8 && t == oids::float8);
    }

    static T decode(field_view f)
    {
        if (f.size == 4) return std::bit_cast<float>(read_number<std::uint32_t>(f.data));
        if constexpr (sizeof(T) == 8)
            if (f.size == 8) return std::bit_cast<double>(read_number<std::uint64_t>(f.data));
        throw_mapping_error("a floating-point number has " + std::to_string(sizeof(T)) + " bytes");
    }

    static void encode(T v, encoder& out)
    {
        out.number(std::bit_cast<std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>(v));
    }
};

namespace detail
{

// Text types of the server's own, and types of users whose binary format may be text (enums, citext,
// domains).
constexpr bool accepts_text(oid t) noexcept
{
    switch (t) {
    case oids::text:
    case oids::varchar:
    case oids::bpchar:
    case oids::name:
    case oids::json:
    case oids::jsonb:
    case oids::xml:
    case oids::unknown:
        return true;
    default:
        return is_user_defined(t);
    }
}

// UTF-8 without NUL?
bool is_text(std::string_view bytes);

// The text in a field; jsonb's version byte is dropped, and a user's type that is no UTF-8 text refused.
std::string_view decode_text(field_view f);

// Throws on a NUL, which PostgreSQL's text cannot hold.
void encode_text(std::string_view v, encoder& out);

template <class T>
struct text_codec
{
    // Sent as text of no declared type: the server infers it, so a string fits a date, a uuid, an enum …
    static constexpr oid type = oids::infer;
    static constexpr format parameter_format = format::text;
    static constexpr bool accepts(oid t) noexcept { return accepts_text(t); }
    static T decode(field_view f) { return T(decode_text(f)); }
    static void encode(std::string_view v, encoder& out) { encode_text(v, out); }
};

} // namespace detail

/// Text, varchar, char(n), name, json, xml, enums and citext. As a parameter it is of whatever type the
/// statement makes it. An embedded NUL is a `mapping_error`.
template <>
struct codec<std::string> : detail::text_codec<std::string>
{};

/// As `std::string`. Read from a result, it refers into it.
template <>
struct codec<std::string_view> : detail::text_codec<std::string_view>
{};

template <>
inline constexpr bool refers_to_result<std::string_view> = true;

/// One byte: the type "char", and text of exactly one byte. As a parameter it is text.
template <>
struct codec<char>
{
    static constexpr oid type = oids::infer;
    static constexpr format parameter_format = format::text;
    static constexpr bool accepts(oid t) noexcept { return t == oids::char_ || detail::accepts_text(t); }
    static char decode(field_view f)
    {
        if (f.size != 1) throw_mapping_error("the text is not of one byte: use std::string");
        return *f.data;
    }
    static void encode(char v, encoder& out) { detail::encode_text({&v, 1}, out); }
};

/// As a parameter only; a null pointer is NULL.
template <>
struct codec<const char*>
{
    static constexpr oid type = oids::infer;
    static constexpr format parameter_format = format::text;
    static void encode(const char* v, encoder& out)
    {
        if (!v) throw_mapping_error("a null pointer is no text");
        detail::encode_text(v, out);
    }
};

/// As `const char*`.
template <>
struct codec<char*> : codec<const char*>
{};

/// bytea. As a parameter only; for reading there is `std::vector<std::byte>`.
template <>
struct codec<std::span<const std::byte>>
{
    static constexpr oid type = oids::bytea;
    static constexpr format parameter_format = format::binary;
    static void encode(std::span<const std::byte> v, encoder& out)
    {
        out.bytes({reinterpret_cast<const char*>(v.data()), v.size()});
    }
};

/// bytea, both ways. Columns of types nobody knows can be read as their raw bytes, too.
template <>
struct codec<std::vector<std::byte>>
{
    static constexpr oid type = oids::bytea;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::bytea || is_user_defined(t); }
    static std::vector<std::byte> decode(field_view f);
    static void encode(const std::vector<std::byte>& v, encoder& out);
};

/// NULL is `nullopt`.
template <class T>
requires(decodable<T> || encodable<T>) struct codec<std::optional<T>>
{
    static constexpr oid type = codec<T>::type;
    static constexpr format parameter_format = codec<T>::parameter_format;
    static constexpr bool accepts(oid t) noexcept requires decodable<T> { return codec<T>::accepts(t); }
    static std::optional<T> decode(field_view f) requires decodable<T>
    {
        if (f.is_null()) return std::nullopt;
        return codec<T>::decode(f);
    }
    static void encode(const std::optional<T>& v, encoder& out) { codec<T>::encode(*v, out); }
};

template <class T>
inline constexpr bool refers_to_result<std::optional<T>> = refers_to_result<T>;

namespace detail
{

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

// Is it NULL as a parameter: an empty optional, or a null pointer?
template <class T>
constexpr bool is_null(const T& value) noexcept
{
    if constexpr (is_optional<T>)
        return !value || is_null(*value);
    else if constexpr (std::is_pointer_v<T>)
        return !value;
    else
        return false;
}

} // namespace detail

} // namespace pgcoro
