/// numeric as Boost.Multiprecision's numbers, to calculate with. Not part of types.hpp, because it is large.
#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/numeric.hpp>

#include <boost/multiprecision/cpp_dec_float.hpp>
#include <boost/multiprecision/cpp_int.hpp>

#include <algorithm>
#include <ios>
#include <limits>
#include <string>

namespace PGCORO_API pgcoro
{
namespace detail
{

[[noreturn]] inline void throw_digits(int found, int most)
{
    throw_mapping_error("the number has " + std::to_string(found) + " significant digits, and the C++ type " +
                        std::to_string(most));
}

} // namespace detail

/// A decimal of D digits, `cpp_dec_float_50` for one. A number with more digits is a `mapping_error`. Sent,
/// it is rounded to D digits, and has no zeros at its end: PostgreSQL's scale of it ("1.50") is lost.
template <unsigned D, class Exponent, class Allocator, boost::multiprecision::expression_template_option Et>
struct codec<boost::multiprecision::number<boost::multiprecision::cpp_dec_float<D, Exponent, Allocator>, Et>>
    : codec<numeric>
{
    using decimal =
        boost::multiprecision::number<boost::multiprecision::cpp_dec_float<D, Exponent, Allocator>, Et>;

    static decimal decode(field_view f)
    {
        using limits = std::numeric_limits<decimal>;
        auto v = codec<numeric>::decode(f);
        if (v.is_nan()) return limits::quiet_NaN();
        if (v.is_infinite()) return v.is_negative() ? decimal(-limits::infinity()) : limits::infinity();
        if (auto digits = v.significant_digits(); digits > limits::digits10)
            detail::throw_digits(digits, limits::digits10);
        return decimal(v.str());
    }

    static void encode(const decimal& v, encoder& out)
    {
        using boost::multiprecision::isinf;
        using boost::multiprecision::isnan;
        std::string text;
        if (isnan(v))
            text = "NaN";
        else if (isinf(v))
            text = v < 0 ? "-Infinity" : "Infinity";
        else {
            text = v.str(std::numeric_limits<decimal>::digits10 - 1, std::ios_base::scientific); // 1.2300e+05
            auto exponent = text.find('e');
            auto end = text.find_last_not_of('0', exponent - 1) + 1;
            text.erase(end, exponent - end);
        }
        codec<numeric>::encode(numeric(std::string_view(text)), out);
    }
};

/// A whole number: one with digits behind the point is a `mapping_error`, as is one beyond the type's range,
/// where it has one (`int128_t`).
template <std::size_t Least, std::size_t Most, boost::multiprecision::cpp_integer_type Sign,
          boost::multiprecision::cpp_int_check_type Check, class Allocator,
          boost::multiprecision::expression_template_option Et>
struct codec<boost::multiprecision::number<
    boost::multiprecision::cpp_int_backend<Least, Most, Sign, Check, Allocator>, Et>> : codec<numeric>
{
    using integer = boost::multiprecision::number<
        boost::multiprecision::cpp_int_backend<Least, Most, Sign, Check, Allocator>, Et>;

    static integer decode(field_view f)
    {
        auto v = codec<numeric>::decode(f);
        auto text = v.str();
        auto point = std::min(text.find('.'), text.size());
        if (v.is_nan() || v.is_infinite() || text.find_first_not_of(".0", point) != text.npos)
            throw_mapping_error("the number is no whole number");
        text.erase(point);
        boost::multiprecision::cpp_int wide(text);
        if constexpr (std::numeric_limits<integer>::is_bounded)
            if (wide < std::numeric_limits<integer>::min() || wide > std::numeric_limits<integer>::max())
                throw_mapping_error("the number is out of the C++ type's range");
        return integer(wide);
    }

    static void encode(const integer& v, encoder& out)
    {
        codec<numeric>::encode(numeric(std::string_view(v.str())), out);
    }
};

} // namespace pgcoro
