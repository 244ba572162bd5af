#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/literal.hpp>
#include <pgcoro/types/scalars.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace PGCORO_API pgcoro
{

/// A range: int4range is `range<std::int32_t>`, tstzrange `range<std::chrono::sys_time<…>>` and so on; any
/// other type with a codec is a range type of your own. The server brings ranges over integers and dates into
/// the form [lower, upper).
template <class T>
struct range
{
    std::optional<T> lower;      ///< nothing: without bound
    std::optional<T> upper;      ///< nothing: without bound
    bool lower_inclusive = true; ///< of no meaning without bound
    bool upper_inclusive = false;
    bool is_empty = false; ///< holds no value at all, whatever the bounds say

    /// The range that holds nothing.
    static range empty()
    {
        range r;
        r.is_empty = true;
        return r;
    }

    bool contains(const T& value) const
    {
        if (is_empty) return false;
        if (lower && (value < *lower || (!lower_inclusive && !(*lower < value)))) return false;
        if (upper && (*upper < value || (!upper_inclusive && !(value < *upper)))) return false;
        return true;
    }

    friend bool operator==(const range& a, const range& b)
    {
        if (a.is_empty || b.is_empty) return a.is_empty == b.is_empty;
        return a.lower == b.lower && a.upper == b.upper &&
               (!a.lower || a.lower_inclusive == b.lower_inclusive) &&
               (!a.upper || a.upper_inclusive == b.upper_inclusive);
    }
};

/// A multirange (PostgreSQL 14 and later). The server puts its ranges in order and joins those that touch.
template <class T>
struct multirange
{
    std::vector<range<T>> ranges;

    friend bool operator==(const multirange&, const multirange&) = default;
};

namespace detail
{

// A range taken apart. A bound is NULL where there is none.
struct range_parts
{
    field_view lower;
    field_view upper;
    bool lower_inclusive = false;
    bool upper_inclusive = false;
    bool is_empty = false;
};

// Reads one to the end of the bytes; the bounds are given `bound` as their type.
range_parts read_range(std::string_view bytes, oid bound);

// The byte in front of a range.
std::uint8_t range_flags(bool is_empty, bool lower, bool lower_inclusive, bool upper,
                         bool upper_inclusive) noexcept;

// How many ranges follow: no more than there can be.
std::size_t read_multirange_count(decoder& in);

template <class T>
range<T> decode_range(std::string_view bytes, oid bound)
{
    auto parts = read_range(bytes, bound);
    range<T> made;
    made.is_empty = parts.is_empty;
    made.lower_inclusive = parts.lower_inclusive;
    made.upper_inclusive = parts.upper_inclusive;
    if (!parts.lower.is_null()) made.lower = decode_part<T>(parts.lower);
    if (!parts.upper.is_null()) made.upper = decode_part<T>(parts.upper);
    return made;
}

// The range's header says nothing of its bounds' type: the range's own does, when it is built in.
template <class T>
constexpr oid bound_type(oid range) noexcept
{
    auto bound = bound_of(range);
    return bound != oids::infer ? bound : codec<T>::type;
}

template <class T>
void encode_range(const range<T>& v, encoder& out)
{
    auto lower = !is_null(v.lower);
    auto upper = !is_null(v.upper);
    out.number(range_flags(v.is_empty, lower, v.lower_inclusive, upper, v.upper_inclusive));
    if (v.is_empty) return;
    if (lower) out.element([&] { codec<T>::encode(*v.lower, out); });
    if (upper) out.element([&] { codec<T>::encode(*v.upper, out); });
}

template <class T>
void append_range_literal(const range<T>& v, std::string& text)
{
    if (v.is_empty) {
        text += "empty";
        return;
    }
    auto bound = [&](const std::optional<T>& b) {
        if (is_null(b)) return;
        std::string written;
        append_text_of(*b, written);
        append_range_bound(written, text);
    };
    text += !is_null(v.lower) && v.lower_inclusive ? '[' : '(';
    bound(v.lower);
    text += ',';
    bound(v.upper);
    text += !is_null(v.upper) && v.upper_inclusive ? ']' : ')';
}

} // namespace detail

/// A parameter is binary when T's PostgreSQL type has a built-in range; text whose type the statement infers
/// otherwise. A range of a user's type is read as T without a check of its bounds' type, which the server
/// does not tell.
template <class T>
requires(decodable<T> || encodable<T>) struct codec<range<T>>
{
    static constexpr oid type = range_of(codec<T>::type);
    static constexpr format parameter_format = type == oids::infer ? format::text : format::binary;

    static constexpr bool accepts(oid t) noexcept requires decodable<T>
    {
        auto bound = bound_of(t);
        if (bound == oids::infer) return is_user_defined(t);
        return range_of(bound) == t && codec<T>::accepts(bound);
    }
    static range<T> decode(field_view f) requires decodable<T>
    {
        return detail::decode_range<T>(f.bytes(), detail::bound_type<T>(f.type));
    }
    static void encode(const range<T>& v, encoder& out) requires encodable<T>
    {
        if constexpr (type != oids::infer) {
            detail::encode_range(v, out);
        } else {
            std::string text;
            detail::append_range_literal(v, text);
            detail::encode_text(text, out);
        }
    }
};

template <class T>
inline constexpr bool refers_to_result<range<T>> = refers_to_result<T>;
template <class T>
inline constexpr bool refers_to_result<multirange<T>> = refers_to_result<T>;

/// As its ranges.
template <class T>
requires(decodable<T> || encodable<T>) struct codec<multirange<T>>
{
    static constexpr oid type = multirange_of(codec<T>::type);
    static constexpr format parameter_format = type == oids::infer ? format::text : format::binary;

    static constexpr bool accepts(oid t) noexcept requires decodable<T>
    {
        auto bound = bound_of(t);
        if (bound == oids::infer) return is_user_defined(t);
        return multirange_of(bound) == t && codec<T>::accepts(bound);
    }
    static multirange<T> decode(field_view f) requires decodable<T>
    {
        decoder in(f.bytes());
        auto count = detail::read_multirange_count(in);
        multirange<T> made;
        made.ranges.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            auto bytes = in.element(oids::infer).bytes(); // no bytes, as of NULL, are no range either
            made.ranges.push_back(detail::decode_range<T>(bytes, detail::bound_type<T>(f.type)));
        }
        in.finish();
        return made;
    }
    static void encode(const multirange<T>& v, encoder& out) requires encodable<T>
    {
        if constexpr (type != oids::infer) {
            out.number(static_cast<std::int32_t>(v.ranges.size()));
            for (const auto& r : v.ranges) out.element([&] { detail::encode_range(r, out); });
        } else {
            std::string text = "{";
            for (const auto& r : v.ranges) {
                if (text.size() > 1) text += ',';
                detail::append_range_literal(r, text);
            }
            text += '}';
            detail::encode_text(text, out);
        }
    }
};

} // namespace pgcoro
