#include <pgcoro/types/bits.hpp>

#include <limits>

namespace pgcoro
{

std::size_t detail::read_bit_count(decoder& in)
{
    auto count = in.number<std::int32_t>();
    if (count < 0 || (static_cast<std::size_t>(count) + 7) / 8 != in.remaining())
        throw_mapping_error("a bit string of another length than it says");
    return static_cast<std::size_t>(count);
}

void detail::throw_bit_count(std::size_t found, std::size_t wanted)
{
    throw_mapping_error("a bit string of " + std::to_string(found) + " bits, not of " +
                        std::to_string(wanted));
}

bit_string codec<bit_string>::decode(field_view f)
{
    decoder in(f.bytes());
    auto count = detail::read_bit_count(in);
    auto bytes = in.take(in.remaining());
    bit_string v;
    v.bits.reserve(count);
    for (std::size_t i = 0; i < count; ++i) v.bits.push_back(detail::bit_at(bytes, i));
    return v;
}

void codec<bit_string>::encode(const bit_string& v, encoder& out)
{
    if (v.bits.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
        throw_mapping_error("a bit string of more than 2^31 - 1 bits");
    detail::encode_bits(
        v.bits.size(), [&](std::size_t i) { return v.bits[i]; }, out);
}

} // namespace pgcoro
