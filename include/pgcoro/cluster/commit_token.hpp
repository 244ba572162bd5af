#pragma once

#include <pgcoro/export.hpp>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// How far a server's log had got when a write was committed: what a reader must have seen to see that write.
/// It travels as text, for instance in an HTTP header or a cookie. A value.
///
/// It is a position in PostgreSQL's log, valid within one database cluster. A failover under asynchronous
/// replication may lose a write; its token then says nothing about what was lost.
class commit_token
{
public:
    /// Nothing was written: any replica will do.
    constexpr commit_token() noexcept = default;
    /// A position as a number.
    constexpr explicit commit_token(std::uint64_t position) noexcept
        : position_(position)
    {}

    /// A write took place, and its position could not be found out: only the primary will do.
    static constexpr commit_token primary_only() noexcept { return commit_token(UINT64_MAX); }

    /// From PostgreSQL's own form, "16/B374D848", as text() gives it; empty gives the default value. Throws
    /// `std::invalid_argument` for anything else: it comes from outside.
    static commit_token from_text(std::string_view text);

    /// Up to 17 characters of 0–9, A–F and "/".
    std::string text() const;

    constexpr std::uint64_t position() const noexcept { return position_; }

    friend constexpr auto operator<=>(const commit_token&, const commit_token&) noexcept = default;

private:
    std::uint64_t position_ = 0;
};

} // namespace pgcoro
