#include <pgcoro/types/network.hpp>

#include <algorithm>
#include <string>

namespace pgcoro
{
namespace
{

using boost::asio::ip::address;
using boost::asio::ip::address_v4;
using boost::asio::ip::address_v6;

// PGSQL_AF_INET and PGSQL_AF_INET6 of PostgreSQL's utils/inet.h.
constexpr std::uint8_t family_v4 = 2;
constexpr std::uint8_t family_v6 = 3;

template <class Network>
Network decode_network(field_view f)
{
    decoder in(f.bytes());
    auto family = in.number<std::uint8_t>();
    auto prefix = in.number<std::uint8_t>();
    in.number<std::uint8_t>(); // is it a cidr? The column's type tells
    auto size = in.number<std::uint8_t>();
    auto read = [&](auto bytes) {
        if (size != bytes.size() || prefix > size * 8) throw_mapping_error("a malformed network address");
        std::ranges::copy(in.take(bytes.size()), bytes.begin());
        return bytes;
    };
    Network v;
    v.prefix = prefix;
    if (family == family_v4)
        v.address = address_v4(read(address_v4::bytes_type()));
    else if (family == family_v6)
        v.address = address_v6(read(address_v6::bytes_type()));
    else
        throw_mapping_error("a network address that is neither IPv4 nor IPv6");
    in.finish();
    return v;
}

void encode_network(const address& a, std::uint8_t prefix, bool is_cidr, encoder& out)
{
    auto write = [&](std::uint8_t family, const auto& bytes) {
        if (prefix > bytes.size() * 8)
            throw_mapping_error("a prefix of " + std::to_string(prefix) + " bits is longer than the address");
        out.number(family);
        out.number(prefix);
        out.number(static_cast<std::uint8_t>(is_cidr));
        out.number(static_cast<std::uint8_t>(bytes.size()));
        out.bytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    };
    if (a.is_v4()) return write(family_v4, a.to_v4().to_bytes());
    if (a.to_v6().scope_id() != 0)
        throw_mapping_error("an IPv6 address with a scope, which PostgreSQL cannot hold");
    write(family_v6, a.to_v6().to_bytes());
}

std::uint8_t full_prefix(const address& a) noexcept { return a.is_v4() ? 32 : 128; }

} // namespace

inet codec<inet>::decode(field_view f) { return decode_network<inet>(f); }

void codec<inet>::encode(const inet& v, encoder& out) { encode_network(v.address, v.prefix, false, out); }

cidr codec<cidr>::decode(field_view f) { return decode_network<cidr>(f); }

void codec<cidr>::encode(const cidr& v, encoder& out) { encode_network(v.address, v.prefix, true, out); }

address codec<address>::decode(field_view f)
{
    auto v = decode_network<inet>(f);
    if (v.prefix != full_prefix(v.address))
        throw_mapping_error("the address is of a network, not of a host: use pgcoro::inet");
    return v.address;
}

void codec<address>::encode(const address& v, encoder& out) { encode_network(v, full_prefix(v), false, out); }

void detail::decode_bytes(field_view f, std::uint8_t* to, std::size_t count)
{
    auto bytes = f.bytes();
    if (bytes.size() != count) throw_mapping_error("the value has " + std::to_string(count) + " bytes");
    std::ranges::copy(bytes, to);
}

} // namespace pgcoro
