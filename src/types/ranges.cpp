#include <pgcoro/types/ranges.hpp>

namespace pgcoro::detail
{
namespace
{

// RANGE_EMPTY and kin of PostgreSQL's rangetypes.h.
enum range_flag : std::uint8_t {
    empty = 0x01,
    lower_inclusive = 0x02,
    upper_inclusive = 0x04,
    lower_infinite = 0x08,
    upper_infinite = 0x10,
};
constexpr std::uint8_t all_flags =
    empty | lower_inclusive | upper_inclusive | lower_infinite | upper_infinite;

} // namespace

range_parts read_range(std::string_view bytes, oid bound)
{
    decoder in(bytes);
    auto flags = in.number<std::uint8_t>();
    if ((flags & ~all_flags) != 0) throw_mapping_error("a range with unknown flags");
    range_parts parts;
    parts.is_empty = (flags & empty) != 0;
    parts.lower_inclusive = (flags & lower_inclusive) != 0;
    parts.upper_inclusive = (flags & upper_inclusive) != 0;
    auto read_bound = [&](std::uint8_t infinite) -> field_view {
        if (parts.is_empty || (flags & infinite) != 0) return {nullptr, -1, bound};
        auto f = in.element(bound);
        if (f.is_null()) throw_part_null();
        return f;
    };
    parts.lower = read_bound(lower_infinite);
    parts.upper = read_bound(upper_infinite);
    in.finish();
    return parts;
}

std::uint8_t range_flags(bool is_empty, bool lower, bool includes_lower, bool upper,
                         bool includes_upper) noexcept
{
    if (is_empty) return empty;
    unsigned flags = 0;
    if (!lower)
        flags |= lower_infinite;
    else if (includes_lower)
        flags |= lower_inclusive;
    if (!upper)
        flags |= upper_infinite;
    else if (includes_upper)
        flags |= upper_inclusive;
    return static_cast<std::uint8_t>(flags);
}

std::size_t read_multirange_count(decoder& in)
{
    auto count = in.number<std::uint32_t>();
    constexpr std::size_t least_range = sizeof(std::int32_t) + 1; // its length and its flags
    if (count > in.remaining() / least_range) throw_mapping_error("a multirange shorter than it says");
    return count;
}

} // namespace pgcoro::detail
