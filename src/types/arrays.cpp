#include <pgcoro/types/arrays.hpp>

#include <algorithm>

namespace pgcoro::detail
{

array_header read_array_header(decoder& in)
{
    array_header header;
    auto depth = in.number<std::uint32_t>();
    in.number<std::uint32_t>(); // are there NULLs? The elements tell
    header.element = in.number<oid>();
    if (depth > most_dimensions) throw_mapping_error("an array of more than six dimensions");
    header.depth = depth;
    if (depth == 0) return header;

    std::uint64_t elements = 1;
    for (std::size_t i = 0; i < depth; ++i) {
        auto size = in.number<std::uint32_t>();
        header.dimensions[i] = {size, in.number<std::int32_t>()};
        // No factor is 0, so the product bounds each of them; two factors of 32 bits fit in 64.
        if (size == 0) throw_mapping_error("an array with a dimension of no elements");
        elements *= size;
        if (elements > in.remaining()) throw_mapping_error("an array shorter than its dimensions");
    }
    constexpr std::size_t least_element = sizeof(std::int32_t); // its length
    if (elements > in.remaining() / least_element)
        throw_mapping_error("an array shorter than its dimensions");
    return header;
}

void throw_array_depth(std::size_t found, std::size_t wanted)
{
    throw_mapping_error("an array of " + std::to_string(found) + " dimensions, not of " +
                        std::to_string(wanted));
}

void throw_array_size(std::size_t found, std::size_t wanted)
{
    throw_mapping_error("an array of " + std::to_string(found) + " elements, not of " +
                        std::to_string(wanted));
}

void throw_ragged_array() { throw_mapping_error("the rows of a multidimensional array differ in length"); }

void encode_array_header(std::span<const std::size_t> sizes, oid element, encoder& out)
{
    bool empty = std::find(sizes.begin(), sizes.end(), 0u) != sizes.end();
    out.number(static_cast<std::int32_t>(empty ? 0 : sizes.size()));
    out.number(std::int32_t{0}); // are there NULLs? The server looks for itself
    out.number(element);
    if (empty) return;
    for (auto size : sizes) {
        if (size > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
            throw_mapping_error("an array of more elements than PostgreSQL can hold");
        out.number(static_cast<std::int32_t>(size));
        out.number(std::int32_t{1});
    }
}

} // namespace pgcoro::detail
