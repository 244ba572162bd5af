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

std::string_view to_string(span_of s) noexcept
{
    switch (s) {
    case span_of::statement:
        return "statement";
    case span_of::pipeline:
        return "pipeline";
    case span_of::acquire:
        return "acquire";
    case span_of::connect:
        return "connect";
    case span_of::transaction:
        return "transaction";
    case span_of::attempt:
        return "attempt";
    }
    return "unknown";
}

} // namespace pgcoro
