#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/codec.hpp>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace PGCORO_API pgcoro
{

/// PostgreSQL's numeric: a decimal number of any length, NaN or ±infinity, kept as the server has it, digits
/// behind the point included ("1.50" stays "1.50"). It stores and compares; to calculate, convert it, to
/// `std::int64_t`, `double`, or Boost.Multiprecision (`<pgcoro/types/multiprecision.hpp>`).
/// Up to 32 digits need no allocation.
class numeric
{
public:
    /// 0.
    numeric() noexcept = default;
    explicit numeric(std::int64_t value);
    /// From "-12.50", "1e-7", "NaN", "Infinity", "-inf". Throws `mapping_error` for any other text, and
    /// beyond PostgreSQL's limits: 131,072 digits before the point, 16,383 behind it.
    explicit numeric(std::string_view text);

    /// From the binary format. Throws `mapping_error` when it is none.
    static numeric from_binary(std::string_view bytes);
    /// The binary format.
    void to_binary(encoder& out) const;

    /// As PostgreSQL prints it: never in exponents.
    std::string str() const;
    /// Empty unless it is a whole number within the type's range.
    std::optional<std::int64_t> to_int64() const;
    /// The nearest double: ±infinity beyond its range.
    double to_double() const;

    bool is_nan() const noexcept { return kind_ == kind::nan; }
    bool is_infinite() const noexcept
    {
        return kind_ == kind::plus_infinity || kind_ == kind::minus_infinity;
    }
    bool is_negative() const noexcept { return kind_ == kind::negative || kind_ == kind::minus_infinity; }
    /// Digits behind the point, trailing zeros included; 0 for NaN and infinity.
    int scale() const noexcept { return scale_; }
    /// Digits from the first that is not 0 to the last that is not 0: what a type must hold to be exact.
    int significant_digits() const noexcept;

    /// By value, as PostgreSQL orders them: 1.0 is equivalent to 1.00, NaN to NaN, which is above all else.
    friend std::weak_ordering operator<=>(const numeric& a, const numeric& b) noexcept;
    friend bool operator==(const numeric& a, const numeric& b) noexcept { return (a <=> b) == 0; }

private:
    // The values are those of the binary format: NUMERIC_POS and kin in PostgreSQL's numeric.c.
    enum class kind : std::uint16_t {
        positive = 0x0000,
        negative = 0x4000,
        nan = 0xC000,
        plus_infinity = 0xD000,
        minus_infinity = 0xF000,
    };

    void normalise() noexcept;

    kind kind_ = kind::positive;
    std::int16_t weight_ = 0; // of the first group, as a power of 10,000
    std::int16_t scale_ = 0;
    // Groups of four decimal digits; neither the first nor the last is 0.
    detail::short_vector<std::int16_t, 8> groups_;
};

/// Reads numeric and the integer types.
template <>
struct codec<numeric>
{
    static constexpr oid type = oids::numeric;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept
    {
        return t == oids::numeric || t == oids::int8 || t == oids::int4 || t == oids::int2;
    }
    static numeric decode(field_view f);
    static void encode(const numeric& v, encoder& out) { v.to_binary(out); }
};

} // namespace pgcoro
