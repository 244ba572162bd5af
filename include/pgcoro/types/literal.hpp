#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/scalars.hpp>

#include <string>
#include <string_view>

/// Values made of others: what arrays, ranges and composites share, in binary and in PostgreSQL's text form.

namespace PGCORO_API pgcoro
{

/// Appends a value of a built-in type to `text` as PostgreSQL itself prints it (times in UTC, DateStyle ISO,
/// floating point with the fewest digits that read back the same). False, and nothing appended, when the type
/// is not one that the layer knows. Throws `mapping_error` when the bytes are no value of the type.
bool append_text(oid type, std::string_view bytes, std::string& text);

namespace detail
{

[[noreturn]] void throw_part_type(oid found);
[[noreturn]] void throw_part_null();
// "element 3: why"
[[noreturn]] void throw_in_part(const char* kind, std::size_t index, const mapping_error& why);
[[noreturn]] void throw_no_text_form(oid type);

// The server tells a column's domain by its base type, but a domain inside an array or a composite by its own
// number: a user's type is let through, and its bytes decide.
template <decodable T>
constexpr bool accepts_part(oid t) noexcept
{
    return codec<T>::accepts(t) || is_user_defined(t);
}

// An element, bound or attribute, whose type was checked.
template <decodable T>
T decode_part(field_view f)
{
    if constexpr (!is_optional<T>)
        if (f.is_null()) [[unlikely]]
            throw_part_null();
    return codec<T>::decode(f);
}

// Appends what a value (not NULL) is as text.
template <encodable T>
void append_text_of(const T& value, std::string& text)
{
    encoder::buffer bytes;
    encoder out(bytes);
    codec<T>::encode(value, out);
    std::string_view written(bytes.data(), bytes.size());
    if constexpr (codec<T>::parameter_format == format::text)
        text += written;
    else if (!append_text(codec<T>::type, written, text))
        throw_no_text_form(codec<T>::type);
}

// Quoted where PostgreSQL would quote, by the rules of each literal: array_out, record_out, range_out.
void append_array_element(std::string_view element, std::string& text);
void append_record_attribute(std::string_view attribute, std::string& text);
void append_range_bound(std::string_view bound, std::string& text);

} // namespace detail
} // namespace pgcoro
