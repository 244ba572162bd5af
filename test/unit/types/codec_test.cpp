#include <pgcoro/types/types.hpp>

#include "bytes.hpp"

#include <boost/test/unit_test.hpp>

namespace
{

struct money
{
    std::int64_t cents = 0;
    friend bool operator==(const money&, const money&) = default;
};

} // namespace

// The example of codec.hpp.
template <>
struct pgcoro::codec<money>
{
    static constexpr oid type = oids::int8;
    static constexpr format parameter_format = format::binary;
    static constexpr bool accepts(oid t) { return t == oids::int8; }
    static money decode(field_view f) { return {codec<std::int64_t>::decode(f)}; }
    static void encode(const money& m, encoder& out) { codec<std::int64_t>::encode(m.cents, out); }
};

using namespace pgcoro;

BOOST_AUTO_TEST_SUITE(codecs)

BOOST_AUTO_TEST_CASE(a_users_type_travels_alone_and_inside_others)
{
    static_assert(decodable<money> && encodable<money>);
    BOOST_TEST((test::round_trip(money{500}) == money{500}));
    using monies = std::vector<std::optional<money>>;
    BOOST_TEST(codec<monies>::type == array_of(oids::int8));
    BOOST_TEST((test::round_trip(monies{money{1}, std::nullopt}) == monies{money{1}, std::nullopt}));
    BOOST_TEST(test::encoded(std::tuple(money{1}, std::string("a"))) == "(1,a)");
}

BOOST_AUTO_TEST_CASE(a_users_type_is_a_member_of_rows)
{
    struct account
    {
        int id;
        money balance;
    };
    std::array columns{column{"id", oids::int4}, column{"balance", oids::int8}};
    auto id = test::from_hex("00000001");
    auto cents = test::from_hex("00000000000001f4");
    auto made = row_mapper<account>(columns)(
        [&](std::size_t i) { return i == 0 ? test::view(oids::int4, id) : test::view(oids::int8, cents); });
    BOOST_TEST(made.balance.cents == 500);
}

BOOST_AUTO_TEST_CASE(a_decoder_gives_no_more_than_there_is)
{
    auto bytes = test::from_hex("0000000501");
    decoder in(bytes);
    BOOST_CHECK_THROW(in.element(oids::text), mapping_error);
    decoder again(bytes);
    BOOST_TEST(again.number<std::int32_t>() == 5);
    BOOST_CHECK_THROW(again.number<std::int16_t>(), mapping_error);
    BOOST_CHECK_THROW(again.finish(), mapping_error);
    BOOST_TEST(again.take(1) == "\1");
    BOOST_CHECK_NO_THROW(again.finish());
}

BOOST_AUTO_TEST_SUITE_END()
