// Values as they stand in Redis: a letter that says how, then the bytes, compressed if that was worth it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pgcoro::detail
{

std::string pack(std::string_view value, std::size_t compress_above, int level);

// Nothing for what is damaged, or would become more than `most` bytes. Takes bytes of any origin, and no more
// memory than that.
std::optional<std::string> unpack(std::string_view packed, std::size_t most);

} // namespace pgcoro::detail
