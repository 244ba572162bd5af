#include <pgcoro/types/arrays.hpp>
#include <pgcoro/types/chrono.hpp>
#include <pgcoro/types/composites.hpp>
#include <pgcoro/types/enums.hpp>
#include <pgcoro/types/numeric.hpp>

#include "bytes.hpp"

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <boost/test/unit_test.hpp>

using namespace pgcoro;
using test::decode;
using test::encoded;
using test::says;

namespace
{

struct address
{
    std::string street;
    std::optional<int> number;

    friend bool operator==(const address&, const address&) = default;
};

struct described_address
{
    std::string street;
    std::optional<int> number;

    friend bool operator==(const described_address&, const described_address&) = default;
};
BOOST_DESCRIBE_STRUCT(described_address, (), (street, number))

enum class mood { sad, ok, happy };
BOOST_DESCRIBE_ENUM(mood, sad, ok, happy)

struct person
{
    address home;
    std::vector<int> lucky;
    mood feels = mood::ok;
    std::chrono::sys_days born;
    std::optional<numeric> size;
};

// As a server that has types of users' making numbers them.
constexpr oid address_type = 16631;
constexpr oid mood_type = 16622;

} // namespace

template <>
inline constexpr bool pgcoro::is_composite<address> = true;
template <>
inline constexpr bool pgcoro::is_composite<described_address> = true;
template <>
inline constexpr bool pgcoro::is_composite<person> = true;

BOOST_AUTO_TEST_SUITE(composites)

BOOST_AUTO_TEST_CASE(a_composite_is_a_struct)
{
    auto hex = "0000000200000019000000074d61696e205374000000170000000400000005";
    BOOST_TEST((decode<address>(address_type, hex) == address{"Main St", 5}));
    BOOST_TEST((decode<described_address>(address_type, hex) == described_address{"Main St", 5}));
    auto with_null = "0000000200000019000000074d61696e20537400000017ffffffff";
    BOOST_TEST((decode<address>(address_type, with_null) == address{"Main St", std::nullopt}));
    BOOST_TEST(
        (decode<described_address>(address_type, with_null) == described_address{"Main St", std::nullopt}));
}

BOOST_AUTO_TEST_CASE(a_composite_in_an_array_may_be_null)
{
    auto hex =
        "0000000100000001000040f700000002000000010000001f0000000200000019000000074d61696e20537400000017"
        "0000000400000005ffffffff";
    using addresses = std::vector<std::optional<address>>;
    BOOST_TEST(
        (decode<addresses>(oids::first_user_defined, hex) == addresses{address{"Main St", 5}, std::nullopt}));
    BOOST_TEST(encoded(addresses{address{"Main St", 5}, std::nullopt}) == R"x({"(\"Main St\",5)",NULL})x");
}

BOOST_AUTO_TEST_CASE(a_composite_is_sent_as_a_literal)
{
    BOOST_TEST(codec<address>::type == oids::infer);
    BOOST_TEST(encoded(address{"Main St", 5}) == R"(("Main St",5))");
    BOOST_TEST(encoded(described_address{"a\"b\\c", std::nullopt}) == R"(("a""b\\c",))");
    BOOST_TEST(encoded(address{"", std::nullopt}) == R"(("",))");
    BOOST_TEST(encoded(std::tuple<std::optional<int>, std::string>{std::nullopt, "x"}) == "(,x)");
    using namespace std::chrono;
    person p{{"Main St", 5}, {1, 2}, mood::happy, sys_days(2024y / February / 29), numeric("1.80")};
    BOOST_TEST(encoded(p) == R"x(("(""Main St"",5)","{1,2}",happy,2024-02-29,1.80))x");
}

BOOST_AUTO_TEST_CASE(a_record_is_a_tuple)
{
    using record = std::tuple<int, std::string, std::optional<std::int64_t>>;
    auto hex = "0000000300000017000000040000000100000019000000036120620000001400000008ffffffffffffffff";
    BOOST_TEST((decode<record>(oids::record, hex) == record{1, "a b", -1}));
    BOOST_TEST(codec<record>::accepts(oids::record));
    BOOST_TEST(!codec<record>::accepts(oids::text));
}

BOOST_AUTO_TEST_CASE(attributes_that_do_not_fit_are_errors_that_say_which)
{
    auto hex = "0000000200000019000000074d61696e205374000000170000000400000005";
    using one = std::tuple<std::string>;
    using swapped = std::tuple<int, std::string>;
    BOOST_CHECK_EXCEPTION(decode<one>(address_type, hex), mapping_error, says("2 attributes, not of 1"));
    BOOST_CHECK_EXCEPTION(decode<swapped>(address_type, hex), mapping_error,
                          says("attribute 1: text does not fit"));
    using strict = std::tuple<std::string, int>;
    BOOST_CHECK_EXCEPTION(
        decode<strict>(address_type, "0000000200000019000000074d61696e20537400000017ffffffff"), mapping_error,
        says("attribute 2: NULL"));
}

BOOST_AUTO_TEST_CASE(malformed_composites_are_errors)
{
    for (auto hex : {"", "00000002", "ffffffff", "0000000200000019", "0000000200000019ffffffff",
                     "0000000200000019000000074d61696e205374000000170000000400000005ff"}) {
        BOOST_TEST_INFO(hex);
        BOOST_CHECK_THROW(decode<address>(address_type, hex), mapping_error);
        BOOST_TEST_INFO(hex);
        BOOST_CHECK_THROW(decode<described_address>(address_type, hex), mapping_error);
    }
}

BOOST_AUTO_TEST_CASE(an_enum_is_its_label)
{
    BOOST_CHECK(decode<mood>(mood_type, "6861707079") == mood::happy);
    BOOST_TEST(encoded(mood::sad) == "sad");
    BOOST_CHECK_EXCEPTION(decode<mood>(mood_type, "676c6164"), mapping_error,
                          says("\"glad\" is no enumerator"));
    BOOST_CHECK_EXCEPTION(encoded(static_cast<mood>(7)), mapping_error, says("7 is no enumerator"));
    BOOST_TEST(codec<mood>::accepts(oids::text));
    BOOST_TEST(!codec<mood>::accepts(oids::int4));
}

BOOST_AUTO_TEST_CASE(arrays_of_enums_go_as_literals_and_come_as_binary)
{
    using moods = std::vector<mood>;
    BOOST_TEST(encoded(moods{mood::sad, mood::happy}) == "{sad,happy}");
    BOOST_CHECK((decode<moods>(oids::first_user_defined,
                               "0000000100000000000040ee000000020000000100000003736164000000056861707079") ==
                 moods{mood::sad, mood::happy}));
}

BOOST_AUTO_TEST_SUITE_END()
