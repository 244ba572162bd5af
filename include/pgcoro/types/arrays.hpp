#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/literal.hpp>
#include <pgcoro/types/scalars.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace PGCORO_API pgcoro
{
namespace detail
{

inline constexpr std::size_t most_dimensions = 6; // MAXDIM of PostgreSQL's array.h

// What stands in front of an array's elements.
struct array_header
{
    struct dimension
    {
        std::size_t size;
        std::int32_t lower_bound;
    };
    std::array<dimension, most_dimensions> dimensions{};
    std::size_t depth = 0; // 0: an empty array
    oid element = oids::infer;
};

// Reads it and checks that as many elements as it says can be in what follows.
array_header read_array_header(decoder& in);

[[noreturn]] void throw_array_depth(std::size_t found, std::size_t wanted);
[[noreturn]] void throw_array_size(std::size_t found, std::size_t wanted);
[[noreturn]] void throw_ragged_array();

// Containers that are an array's dimension, and what is behind the last one.
template <class T>
struct array_shape
{
    using element = T;
    static constexpr std::size_t depth = 0;
};

template <class T>
struct array_dimension
{
    using element = typename array_shape<T>::element;
    static constexpr std::size_t depth = array_shape<T>::depth + 1;
    static_assert(depth <= most_dimensions, "PostgreSQL's arrays have at most six dimensions");
};

template <class T>
requires(!std::same_as<T, std::byte>) // that is bytea
    struct array_shape<std::vector<T>> : array_dimension<T>
{};
template <class T, std::size_t N>
struct array_shape<std::array<T, N>> : array_dimension<T>
{};
template <class T, std::size_t N>
requires(!std::same_as<std::remove_const_t<T>, std::byte>) struct array_shape<std::span<T, N>>
    : array_dimension<std::remove_const_t<T>>
{};

template <class C>
using array_element = typename array_shape<C>::element;

// `index` counts the elements over all dimensions, for the error's sake.
template <class C>
C decode_dimension(decoder& in, const array_header& header, std::size_t level, std::size_t& index)
{
    if constexpr (array_shape<C>::depth == 0) {
        ++index;
        try {
            return decode_part<C>(in.element(header.element));
        } catch (const mapping_error& e) {
            throw_in_part("element", index, e);
        }
    } else {
        using inner = typename C::value_type;
        auto size = header.dimensions[level].size;
        C made;
        if constexpr (requires { made.reserve(size); }) {
            made.reserve(size);
            for (std::size_t i = 0; i < size; ++i)
                made.push_back(decode_dimension<inner>(in, header, level + 1, index));
        } else {
            if (size != made.size()) throw_array_size(size, made.size());
            for (auto& place : made) place = decode_dimension<inner>(in, header, level + 1, index);
        }
        return made;
    }
}

template <class C>
C decode_array(field_view f)
{
    decoder in(f.bytes());
    auto header = read_array_header(in);
    if (!accepts_part<array_element<C>>(header.element)) throw_part_type(header.element);
    if (header.depth != 0 && header.depth != array_shape<C>::depth)
        throw_array_depth(header.depth, array_shape<C>::depth);
    std::size_t index = 0;
    auto made = decode_dimension<C>(in, header, 0, index); // no dimensions have sizes of 0
    in.finish();
    return made;
}

using array_sizes = std::array<std::size_t, most_dimensions>;

// The sizes along the first element of each dimension.
template <class C>
void measure(const C& values, array_sizes& sizes, std::size_t level)
{
    sizes[level] = values.size();
    if constexpr (array_shape<C>::depth > 1)
        if (!values.empty()) measure(values[0], sizes, level + 1);
}

// Calls `write` for each element; throws where a dimension has not the size it has elsewhere.
template <class C, class Write>
void for_each_element(const C& values, const array_sizes& sizes, std::size_t level, Write&& write)
{
    if (values.size() != sizes[level]) throw_ragged_array();
    for (const auto& value : values) {
        if constexpr (array_shape<C>::depth > 1)
            for_each_element(value, sizes, level + 1, write);
        else
            write(value);
    }
}

void encode_array_header(std::span<const std::size_t> sizes, oid element, encoder& out);

template <class C>
void encode_binary_array(const C& values, encoder& out)
{
    using element = array_element<C>;
    array_sizes sizes{};
    measure(values, sizes, 0);
    encode_array_header({sizes.data(), array_shape<C>::depth}, codec<element>::type, out);
    for_each_element(values, sizes, 0, [&](const element& value) {
        if (is_null(value))
            out.null_element();
        else
            out.element([&] { codec<element>::encode(value, out); });
    });
}

// Where the element type's OID is known to the server only: the array's text form.
template <class C>
void append_array_literal(const C& values, const array_sizes& sizes, std::size_t level, std::string& text)
{
    if (values.size() != sizes[level]) throw_ragged_array();
    text += '{';
    bool first = true;
    for (const auto& value : values) {
        if (!first) text += ',';
        first = false;
        if constexpr (array_shape<C>::depth > 1) {
            append_array_literal(value, sizes, level + 1, text);
        } else if (is_null(value)) {
            text += "NULL";
        } else {
            std::string element;
            append_text_of<typename C::value_type>(value, element);
            append_array_element(element, text);
        }
    }
    text += '}';
}

template <class C>
void encode_array_literal(const C& values, encoder& out)
{
    array_sizes sizes{};
    measure(values, sizes, 0);
    std::string text;
    bool empty = false;
    for (std::size_t i = 0; i < array_shape<C>::depth; ++i) empty = empty || sizes[i] == 0;
    if (empty) {
        for_each_element(values, sizes, 0, [](const auto&) {}); // it may be empty here and not there
        text = "{}";
    } else {
        append_array_literal(values, sizes, 0, text);
    }
    encode_text(text, out);
}

template <class C>
struct array_codec
{
    using element = array_element<C>;
    static constexpr oid type = array_of(codec<element>::type);
    static constexpr format parameter_format = type == oids::infer ? format::text : format::binary;

    static constexpr bool accepts(oid t) noexcept requires decodable<element>
    {
        auto of = element_of(t);
        return of != oids::infer ? codec<element>::accepts(of) : is_user_defined(t);
    }
    static void encode(const C& values, encoder& out) requires encodable<element>
    {
        if constexpr (type == oids::infer)
            encode_array_literal(values, out);
        else
            encode_binary_array(values, out);
    }
};

template <class C>
struct readable_array_codec : array_codec<C>
{
    static C decode(field_view f) requires decodable<array_element<C>> { return decode_array<C>(f); }
};

template <class C>
concept array_container = array_shape<C>::depth >
0 && (decodable<array_element<C>> || encodable<array_element<C>>);

} // namespace detail

/// An array; `std::vector<std::vector<T>>` one of two dimensions, and so on. NULL elements are
/// `std::optional`, a NULL into any other type is a `mapping_error`, as are another number of dimensions and
/// rows of unequal length. Lower bounds other than 1 are ignored; an empty array fits any number of
/// dimensions. As a parameter it is binary when T has a built-in PostgreSQL type; otherwise (strings, enums,
/// composites) text whose type the statement infers: `$1::text[]` where nothing else says what it is.
template <class T>
requires detail::array_container<std::vector<T>>
struct codec<std::vector<T>> : detail::readable_array_codec<std::vector<T>>
{};

/// An array of exactly N elements; otherwise as `std::vector`.
template <class T, std::size_t N>
requires detail::array_container<std::array<T, N>>
struct codec<std::array<T, N>> : detail::readable_array_codec<std::array<T, N>>
{};

template <class T>
inline constexpr bool refers_to_result<std::vector<T>> = refers_to_result<T>;
template <class T, std::size_t N>
inline constexpr bool refers_to_result<std::array<T, N>> = refers_to_result<T>;

/// As a parameter only.
template <class T, std::size_t N>
requires detail::array_container<std::span<T, N>>
struct codec<std::span<T, N>> : detail::array_codec<std::span<T, N>>
{};

} // namespace pgcoro
