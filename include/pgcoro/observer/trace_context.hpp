#pragma once

#include <pgcoro/export.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// Which span of which trace something belongs to, as the header `traceparent` carries it from service to
/// service ("Trace Context", W3C Recommendation, level 1). A value.
struct trace_context
{
    std::array<std::uint8_t, 16> trace_id{};
    std::array<std::uint8_t, 8> span_id{};
    std::uint8_t flags = 0; ///< bit 0: sampled

    static constexpr std::uint8_t sampled_flag = 1;

    /// Neither id is all zeros. The default value is not, and stands for "no trace".
    bool valid() const noexcept;
    /// Does whoever began the trace record it?
    bool sampled() const noexcept { return (flags & sampled_flag) != 0; }

    /// From a header's value, "00-<32 hex digits>-<16 hex digits>-<2 hex digits>"; nothing when it is
    /// malformed, in which case W3C has a service begin a trace of its own. Of a later version what this one
    /// knows is read.
    static std::optional<trace_context> parse(std::string_view traceparent) noexcept;

    /// A new trace, sampled: for where nobody sent a context.
    static trace_context make();

    /// The same trace and flags, and a new span id by chance.
    trace_context child() const;

    /// As the header has it.
    std::string traceparent() const;
    /// The ids in hexadecimal digits.
    std::string trace_id_text() const;
    std::string span_id_text() const;

    friend bool operator==(const trace_context&, const trace_context&) = default;
};

} // namespace pgcoro
