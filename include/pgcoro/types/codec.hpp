#pragma once

#include <pgcoro/detail/short_vector.hpp>
#include <pgcoro/error/error.hpp>
#include <pgcoro/export.hpp>
#include <pgcoro/types/oid.hpp>

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// A value as it came from the server, in PostgreSQL's binary format. Valid as long as its result.
struct field_view
{
    const char* data = nullptr;
    int size = -1; ///< bytes; -1 for SQL NULL
    oid type = oids::infer;

    bool is_null() const noexcept { return size < 0; }
    std::string_view bytes() const noexcept { return {data, size < 0 ? 0u : static_cast<std::size_t>(size)}; }
};

/// Throws `mapping_error`: a codec's way to say that a value does not fit. The layer adds column and types.
[[noreturn]] void throw_mapping_error(const std::string& why);

namespace detail
{

// From this machine's byte order to the network's, and back.
template <std::integral T>
constexpr T network_order(T value) noexcept
{
    if constexpr (sizeof(T) == 1 || std::endian::native == std::endian::big)
        return value;
    else if constexpr (sizeof(T) == 2)
        return static_cast<T>(__builtin_bswap16(static_cast<std::uint16_t>(value)));
    else if constexpr (sizeof(T) == 4)
        return static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
    else
        return static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(value)));
}

// Throws mapping_error for a value that PostgreSQL cannot hold: its sizes are 31 bits, and its values less than 1 GiB.
void check_value_size(std::size_t bytes);

} // namespace detail

/// Reads a number in network byte order. The caller has checked that the bytes are there.
template <std::integral T>
T read_number(const char* from) noexcept
{
    T value;
    std::memcpy(&value, from, sizeof(T));
    return detail::network_order(value);
}

/// Takes a value of several parts from hostile bytes, checking each step.
class decoder
{
public:
    explicit decoder(std::string_view bytes) noexcept
        : rest_(bytes)
    {}

    std::size_t remaining() const noexcept { return rest_.size(); }

    /// The next number; throws `mapping_error` when too few bytes are left.
    template <class T>
    T number()
    {
        return read_number<T>(take(sizeof(T)).data());
    }

    /// The next n bytes; throws `mapping_error` when fewer are left.
    std::string_view take(std::size_t n)
    {
        if (n > rest_.size()) throw_mapping_error("the value ends too early");
        auto part = rest_.substr(0, n);
        rest_.remove_prefix(n);
        return part;
    }

    /// An element as arrays, ranges and composites hold them: its length (-1 for NULL), then its bytes.
    field_view element(oid type)
    {
        auto size = number<std::int32_t>();
        if (size < -1) throw_mapping_error("an element has a negative length");
        if (size == -1) return {nullptr, -1, type};
        return {take(static_cast<std::size_t>(size)).data(), size, type};
    }

    /// Throws `mapping_error` unless all was read.
    void finish() const
    {
        if (!rest_.empty()) throw_mapping_error("bytes are left behind the value");
    }

private:
    std::string_view rest_;
};

/// Where a codec writes a value's binary format to.
class encoder
{
public:
    using buffer = detail::short_vector<char, 96>;

    explicit encoder(buffer& out) noexcept
        : out_(out)
    {}

    /// A number in network byte order.
    template <std::integral T>
    void number(T value)
    {
        value = detail::network_order(value);
        std::memcpy(out_.extend(sizeof(T)), &value, sizeof(T));
    }

    void bytes(std::string_view value) { out_.append(value.data(), value.size()); }

    /// What `write` writes, with its length in front, as arrays, ranges and composites hold their elements.
    template <class Write>
    void element(Write&& write)
    {
        auto start = out_.size();
        number(std::int32_t{0});
        write();
        detail::check_value_size(out_.size() - start - 4);
        auto size = detail::network_order(static_cast<std::int32_t>(out_.size() - start - 4));
        std::memcpy(out_.data() + start, &size, sizeof(size));
    }

    /// NULL as an element.
    void null_element() { number(std::int32_t{-1}); }

private:
    buffer& out_;
};

/// How a parameter's bytes are to be read by the server.
enum class format { text = 0, binary = 1 };

/// How a C++ type travels. Specialise it for a type of your own:
///
/// ```cpp
/// template <>
/// struct pgcoro::codec<money>
/// {
///     static constexpr oid type = oids::int8;                  // what a parameter is declared as
///     static constexpr format parameter_format = format::binary;
///     static constexpr bool accepts(oid t) { return t == oids::int8; } // columns it can be read from
///     static money decode(field_view f) { return {codec<std::int64_t>::decode(f)}; }
///     static void encode(const money& m, encoder& out) { codec<std::int64_t>::encode(m.cents, out); }
/// };
/// ```
/// `decode` never sees NULL; a size that does not fit ends in `throw_mapping_error`, as does anything
/// else that is wrong with the bytes: they may come from a broken server. Stateless, so thread-safe.
template <class T>
struct codec;

/// True for a type whose decoded value refers to the bytes of its result instead of copying them, such as
/// `std::string_view`. Set it to true for such a type of your own: the compiler then refuses the type wherever
/// the result would be destroyed before its value can be read.
template <class T>
inline constexpr bool refers_to_result = false;

/// A type that can be read from a column.
template <class T>
concept decodable = requires(field_view f, oid t)
{
    {
        codec<T>::decode(f)
        } -> std::convertible_to<T>;
    {
        codec<T>::accepts(t)
        } -> std::convertible_to<bool>;
};

/// A type that can be sent as a parameter.
template <class T>
concept encodable = requires(const T& v, encoder& e)
{
    {
        codec<T>::type
        } -> std::convertible_to<oid>;
    {
        codec<T>::parameter_format
        } -> std::convertible_to<format>;
    codec<T>::encode(v, e);
};

} // namespace pgcoro
