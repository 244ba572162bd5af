#pragma once

#include <pgcoro/types/codec.hpp>

#include <string>
#include <string_view>

/// What the text form and the JSON form of values share.
namespace pgcoro::detail
{

// Records may hold records, and arrays of them: deeper than this, the bytes are taken for hostile.
inline constexpr int most_nesting = 64;

// "2024-02-29", the separator, "12:00:00.5", the zone, and " BC" where it is; or "infinity".
void append_timestamp(field_view f, char separator, std::string_view zone, std::string& text);

} // namespace pgcoro::detail
