#pragma once

#include <pgcoro/types/codec.hpp>

#include <boost/algorithm/hex.hpp>

#include <iterator>
#include <string>
#include <string_view>

/// The wire's bytes in hexadecimal, as `encode(x_send(…), 'hex')` has PostgreSQL show them.
namespace test
{

inline std::string from_hex(std::string_view hex)
{
    std::string bytes;
    boost::algorithm::unhex(hex, std::back_inserter(bytes));
    return bytes;
}

inline pgcoro::field_view view(pgcoro::oid type, std::string_view bytes)
{
    return {bytes.data(), static_cast<int>(bytes.size()), type};
}

/// Reads T from the bytes of a value of that type.
template <class T>
T decode(pgcoro::oid type, std::string_view hex)
{
    auto bytes = from_hex(hex);
    return pgcoro::codec<T>::decode(view(type, bytes));
}

template <class T>
std::string encoded(const T& value)
{
    pgcoro::encoder::buffer bytes;
    pgcoro::encoder out(bytes);
    pgcoro::codec<T>::encode(value, out);
    return {bytes.begin(), bytes.end()};
}

template <class T>
std::string encoded_hex(const T& value)
{
    std::string hex;
    boost::algorithm::hex_lower(encoded(value), std::back_inserter(hex));
    return hex;
}

/// What comes back when the server echoes a binary parameter.
template <class T>
T round_trip(const T& value)
{
    static_assert(pgcoro::codec<T>::parameter_format == pgcoro::format::binary);
    auto bytes = encoded(value);
    return pgcoro::codec<T>::decode(view(pgcoro::codec<T>::type, bytes));
}

/// For BOOST_CHECK_EXCEPTION: does the error say this?
inline auto says(std::string_view part)
{
    return [part](const pgcoro::error& e) {
        return std::string_view(e.what()).find(part) != std::string_view::npos;
    };
}

} // namespace test
