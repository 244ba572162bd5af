// What somebody may have put where a cache's second level looks: a value, or nothing.
#include "cache/shared_value.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace pgcoro::detail;
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    auto value = from_bytes(bytes);
    if (!value) return 0;
    // What was read is written as it was, but for what PostgreSQL's results cannot hold apart.
    auto again = to_bytes(*value);
    if (!again || !from_bytes(*again)) std::abort();
    return 0;
}
