#include "cache/redis/packing.hpp"

#include <zstd.h>

namespace pgcoro::detail
{

namespace
{

constexpr char plain = 'p';
constexpr char compressed = 'z';

} // namespace

std::string pack(std::string_view value, std::size_t compress_above, int level)
{
    if (value.size() > compress_above) {
        std::string packed(1 + ZSTD_compressBound(value.size()), compressed);
        auto size = ZSTD_compress(packed.data() + 1, packed.size() - 1, value.data(), value.size(), level);
        if (!ZSTD_isError(size) && size < value.size()) {
            packed.resize(1 + size);
            return packed;
        }
    }
    return plain + std::string(value);
}

std::optional<std::string> unpack(std::string_view packed, std::size_t most)
{
    if (packed.empty()) return std::nullopt;
    auto bytes = packed.substr(1);
    if (packed.front() == plain)
        return bytes.size() <= most ? std::optional(std::string(bytes)) : std::nullopt;
    if (packed.front() != compressed) return std::nullopt;
    auto size = ZSTD_getFrameContentSize(bytes.data(), bytes.size()); // as it claims; errors are huge numbers
    if (size > most) return std::nullopt;
    std::string value(static_cast<std::size_t>(size), '\0');
    auto got = ZSTD_decompress(value.data(), value.size(), bytes.data(), bytes.size());
    if (ZSTD_isError(got) || got != value.size()) return std::nullopt;
    return value;
}

} // namespace pgcoro::detail
