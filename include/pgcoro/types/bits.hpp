#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/codec.hpp>

#include <bitset>
#include <string>
#include <string_view>
#include <vector>

namespace PGCORO_API pgcoro
{

/// A bit string of any length: PostgreSQL's bit(n) and bit varying. The first bit is the leftmost in
/// PostgreSQL's text.
struct bit_string
{
    std::vector<bool> bits;

    friend bool operator==(const bit_string&, const bit_string&) = default;
};

namespace detail
{

// Reads the header, checks it against the bytes, and leaves these in `in`.
std::size_t read_bit_count(decoder& in);

[[noreturn]] void throw_bit_count(std::size_t found, std::size_t wanted);

// The i-th bit from the left.
inline bool bit_at(std::string_view bytes, std::size_t i) noexcept
{
    return (static_cast<unsigned char>(bytes[i / 8]) >> (7 - i % 8) & 1u) != 0;
}

// Writes n bits, of which `bit(i)` is the i-th from the left.
template <class Bit>
void encode_bits(std::size_t n, Bit&& bit, encoder& out)
{
    out.number(static_cast<std::int32_t>(n));
    unsigned byte = 0;
    for (std::size_t i = 0; i < n; ++i) {
        byte = byte << 1 | static_cast<unsigned>(bit(i));
        if (i % 8 == 7 || i + 1 == n) {
            out.number(static_cast<std::uint8_t>(byte << (7 - i % 8)));
            byte = 0;
        }
    }
}

} // namespace detail

template <>
struct codec<bit_string>
{
    static constexpr oid type = oids::varbit;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::bit || t == oids::varbit; }
    static bit_string decode(field_view f);
    static void encode(const bit_string& v, encoder& out);
};

/// bit(N). Bit N-1 of the bitset is the leftmost in PostgreSQL, as it is in the bitset's own text. Another
/// length is a `mapping_error`.
template <std::size_t N>
struct codec<std::bitset<N>>
{
    static constexpr oid type = oids::bit;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::bit || t == oids::varbit; }
    static std::bitset<N> decode(field_view f)
    {
        decoder in(f.bytes());
        if (auto count = detail::read_bit_count(in); count != N) detail::throw_bit_count(count, N);
        auto bytes = in.take(in.remaining());
        std::bitset<N> v;
        for (std::size_t i = 0; i < N; ++i) v[N - 1 - i] = detail::bit_at(bytes, i);
        return v;
    }
    static void encode(const std::bitset<N>& v, encoder& out)
    {
        detail::encode_bits(
            N, [&](std::size_t i) { return v[N - 1 - i]; }, out);
    }
};

} // namespace pgcoro
