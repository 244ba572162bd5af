#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/types/codec.hpp>

#include <boost/asio/ip/address.hpp>

#include <array>
#include <compare>
#include <cstdint>

namespace PGCORO_API pgcoro
{

/// A host's address with its network's prefix length: PostgreSQL's inet.
struct inet
{
    boost::asio::ip::address address;
    std::uint8_t prefix = 32; ///< bits; at most 32 for IPv4, 128 for IPv6

    friend bool operator==(const inet&, const inet&) = default;
};

/// A network: PostgreSQL's cidr. The server refuses one with bits set behind the prefix.
struct cidr
{
    boost::asio::ip::address address;
    std::uint8_t prefix = 32; ///< bits; at most 32 for IPv4, 128 for IPv6

    friend bool operator==(const cidr&, const cidr&) = default;
};

/// macaddr: six bytes.
struct macaddr
{
    std::array<std::uint8_t, 6> bytes{};

    friend auto operator<=>(const macaddr&, const macaddr&) = default;
};

/// macaddr8: eight bytes.
struct macaddr8
{
    std::array<std::uint8_t, 8> bytes{};

    friend auto operator<=>(const macaddr8&, const macaddr8&) = default;
};

/// Reads cidr, too.
template <>
struct codec<inet>
{
    static constexpr oid type = oids::inet;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::inet || t == oids::cidr; }
    static inet decode(field_view f);
    static void encode(const inet& v, encoder& out);
};

template <>
struct codec<cidr>
{
    static constexpr oid type = oids::cidr;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::cidr; }
    static cidr decode(field_view f);
    static void encode(const cidr& v, encoder& out);
};

/// An inet of one host: one with a shorter prefix is a `mapping_error`, as is an IPv6 scope, which PostgreSQL
/// cannot hold.
template <>
struct codec<boost::asio::ip::address>
{
    static constexpr oid type = oids::inet;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == oids::inet || t == oids::cidr; }
    static boost::asio::ip::address decode(field_view f);
    static void encode(const boost::asio::ip::address& v, encoder& out);
};

namespace detail
{

void decode_bytes(field_view f, std::uint8_t* to, std::size_t count);

template <class Address, oid Type>
struct mac_codec
{
    static constexpr oid type = Type;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) noexcept { return t == Type; }
    static Address decode(field_view f)
    {
        Address v;
        decode_bytes(f, v.bytes.data(), v.bytes.size());
        return v;
    }
    static void encode(const Address& v, encoder& out)
    {
        out.bytes({reinterpret_cast<const char*>(v.bytes.data()), v.bytes.size()});
    }
};

} // namespace detail

template <>
struct codec<macaddr> : detail::mac_codec<macaddr, oids::macaddr>
{};

template <>
struct codec<macaddr8> : detail::mac_codec<macaddr8, oids::macaddr8>
{};

} // namespace pgcoro
