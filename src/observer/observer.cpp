#include <pgcoro/observer/observer.hpp>

namespace pgcoro
{

observer::~observer() = default;

std::string_view to_string(close_reason r) noexcept
{
    switch (r) {
    case close_reason::broken:
        return "broken";
    case close_reason::expired:
        return "expired";
    case close_reason::idle:
        return "idle";
    case close_reason::overflow:
        return "overflow";
    case close_reason::not_cleaned:
        return "not cleaned";
    case close_reason::evicted:
        return "evicted";
    case close_reason::pool_closed:
        return "pool closed";
    }
    return "unknown";
}

} // namespace pgcoro
