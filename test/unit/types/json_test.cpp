#include <pgcoro/types/chrono.hpp>
#include <pgcoro/types/json.hpp>

#include "bytes.hpp"
#include "samples.hpp"

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/test/unit_test.hpp>

#include <limits>
#include <map>

using namespace pgcoro;
namespace json = boost::json;
using test::says;

namespace
{

enum class theme { light, dark };
BOOST_DESCRIBE_ENUM(theme, light, dark)

struct font
{
    std::string family;
    std::optional<int> size;
    friend bool operator==(const font&, const font&) = default;
};
BOOST_DESCRIBE_STRUCT(font, (), (family, size))

struct settings
{
    theme colours = theme::light;
    std::vector<font> fonts;
    std::optional<std::string> nick;
    friend bool operator==(const settings&, const settings&) = default;
};
BOOST_DESCRIBE_STRUCT(settings, (), (colours, fonts, nick))

using scores = std::map<std::string, int>;

template <class T>
T from(oid type, std::string text)
{
    if (type == oids::jsonb) text.insert(0, 1, '\1');
    return codec<T>::decode(test::view(type, text));
}

json::value converted(oid type, std::string_view hex)
{
    auto bytes = test::from_hex(hex);
    return to_json(test::view(type, bytes));
}

} // namespace

template <>
inline constexpr bool pgcoro::is_json<settings> = true;
template <>
inline constexpr bool pgcoro::is_json<scores> = true;

BOOST_AUTO_TEST_SUITE(json_values)

BOOST_AUTO_TEST_CASE(json_and_jsonb_are_values)
{
    json::value expected{{"a", {1, nullptr}}};
    BOOST_TEST((from<json::value>(oids::json, R"({"a": [1, null]})") == expected));
    BOOST_TEST((from<json::value>(oids::jsonb, R"({"a": [1, null]})") == expected));
    BOOST_TEST((test::round_trip(expected) == expected));
}

BOOST_AUTO_TEST_CASE(number_beyond_a_double_is_an_error)
{
    for (auto text : {"1e400", "-1e400", R"({"x": 1e400})", R"([1, {"x": [2e308]}])"})
        for (auto type : {oids::json, oids::jsonb}) {
            BOOST_TEST_INFO(text);
            BOOST_CHECK_EXCEPTION(from<json::value>(type, text), mapping_error,
                                  says("beyond the range of a double"));
            auto bytes = (type == oids::jsonb ? "\1" : "") + std::string(text);
            BOOST_CHECK_THROW(to_json(test::view(type, bytes)), mapping_error);
        }
    BOOST_CHECK_THROW(test::encoded(json::value(std::numeric_limits<double>::infinity())), mapping_error);
    BOOST_CHECK_THROW(test::encoded(json::value(std::numeric_limits<double>::quiet_NaN())), mapping_error);
}

BOOST_AUTO_TEST_CASE(char_bytes_are_written_as_the_server_writes_them)
{
    BOOST_TEST(converted(oids::char_, "61") == "a");
    BOOST_TEST(converted(oids::char_, "00") == "");
    BOOST_TEST(converted(oids::char_, "80") == "\\200");
    BOOST_TEST(converted(oids::char_, "ff") == "\\377");
    BOOST_CHECK_THROW(converted(oids::char_, "6162"), mapping_error);
}

BOOST_AUTO_TEST_CASE(unknown_built_in_types_are_hexadecimal)
{
    constexpr oid pg_lsn = 3220;
    BOOST_TEST(converted(pg_lsn, "6162636465666768") == "\\x6162636465666768");
    BOOST_TEST(converted(oids::first_user_defined, "6162") == "ab");
    BOOST_TEST(converted(oids::void_, "") == "");
}

BOOST_AUTO_TEST_CASE(any_bytes_make_valid_json_or_an_error)
{
    constexpr oid pg_lsn = 3220;
    for (int byte = 0; byte < 256; ++byte)
        for (auto type : {oids::char_, oids::text, oids::name, oids::xml, oids::unknown, oids::first_user_defined,
                          oids::bytea, pg_lsn}) {
            BOOST_TEST_INFO(type << ' ' << byte);
            std::string bytes(1, static_cast<char>(byte));
            try {
                auto written = json::serialize(to_json(test::view(type, bytes)));
                boost::system::error_code failed;
                json::parse(written, failed);
                BOOST_TEST(!failed);
            } catch (const mapping_error&) {
                BOOST_TEST((byte >= 128 || byte == 0));
            }
        }
    std::vector<column> columns{{"\xff", oids::int4}};
    BOOST_CHECK_EXCEPTION(to_json(columns, [](std::size_t) { return field_view{}; }), mapping_error,
                          says("name is not UTF-8"));
}

BOOST_AUTO_TEST_CASE(malformed_json_is_an_error)
{
    for (auto text : {"", "{", "[1,]", "nul", "1 2", "\"\xff\""}) {
        BOOST_TEST_INFO(text);
        BOOST_CHECK_EXCEPTION(from<json::value>(oids::json, text), mapping_error,
                              says("JSON that cannot be read"));
    }
    BOOST_CHECK_THROW(test::decode<json::value>(oids::jsonb, ""), mapping_error);
    BOOST_CHECK_THROW(test::decode<json::value>(oids::jsonb, "025b5d"), mapping_error);
}

BOOST_AUTO_TEST_CASE(json_nested_without_end_is_an_error)
{
    BOOST_CHECK_NO_THROW(from<json::value>(oids::json, std::string(100, '[') + std::string(100, ']')));
    BOOST_CHECK_THROW(from<json::value>(oids::json, std::string(1'000'000, '[')), mapping_error);
}

BOOST_AUTO_TEST_CASE(a_described_struct_is_an_object)
{
    settings expected{theme::dark, {{"Serif", 12}, {"Mono", std::nullopt}}, "neo"};
    BOOST_TEST((from<settings>(oids::jsonb, R"({"colours": "dark", "nick": "neo",
        "fonts": [{"family": "Serif", "size": 12}, {"family": "Mono", "size": null}]})") == expected));
    BOOST_TEST((test::round_trip(expected) == expected));
}

BOOST_AUTO_TEST_CASE(optional_members_may_be_missing_and_unknown_ones_are_ignored)
{
    BOOST_TEST(
        (from<settings>(oids::json, R"({"colours": "light", "fonts": [{"family": "Mono"}], "new": 1})") ==
         settings{theme::light, {{"Mono", std::nullopt}}, std::nullopt}));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_an_error_that_names_the_member)
{
    BOOST_CHECK_EXCEPTION(from<settings>(oids::json, R"({"fonts": []})"), mapping_error,
                          says("member \"colours\": it is missing"));
    BOOST_CHECK_EXCEPTION(from<settings>(oids::json, R"({"colours": "pink", "fonts": []})"), mapping_error,
                          says("member \"colours\""));
    BOOST_CHECK_EXCEPTION(from<settings>(oids::json, R"({"colours": "dark", "fonts": [{"family": 1}]})"),
                          mapping_error, says("member \"fonts\": JSON member \"family\""));
    BOOST_CHECK_THROW(from<settings>(oids::json, R"({"colours": "dark", "fonts": {}})"), mapping_error);
    BOOST_CHECK_THROW(from<settings>(oids::json, "[]"), mapping_error);
}

BOOST_AUTO_TEST_CASE(other_types_go_by_boost_json)
{
    scores two{{"a", 1}, {"b", 2}};
    BOOST_TEST((test::round_trip(two) == two));
    BOOST_CHECK_THROW(from<scores>(oids::json, R"({"a": "x"})"), mapping_error);
}

BOOST_AUTO_TEST_CASE(values_become_json_by_their_type)
{
    BOOST_TEST((converted(oids::boolean, "01") == true));
    BOOST_TEST((converted(oids::int2, "ffff") == -1));
    BOOST_TEST((converted(oids::float8, "3fb999999999999a") == 0.1));
    BOOST_TEST((converted(oids::float8, "0000000000000001") == std::numeric_limits<double>::denorm_min()));
    BOOST_TEST((converted(oids::float4, "3dcccccd") == 0.1));
    BOOST_TEST((converted(oids::float8, "fff0000000000000") == "-Infinity"));
    BOOST_TEST((converted(oids::float8, "7ff8000000000000") == "NaN"));
    BOOST_TEST((converted(oids::numeric, "000200000000000200011388") == "1.50"));
    BOOST_TEST((converted(oids::text, "6162") == "ab"));
    BOOST_TEST((converted(oids::jsonb, "015b315d") == json::array{1}));
    BOOST_TEST((converted(oids::timestamptz, "0002b581ede46c01") == "2024-02-29T11:00:00.000001+00:00"));
    BOOST_TEST((converted(oids::timestamp, "0002b582c47fb120") == "2024-02-29T12:00:00.5"));
    BOOST_TEST((converted(oids::timestamp, "7fffffffffffffff") == "infinity"));
    BOOST_TEST((converted(oids::int4range, "18") == "(,)"));
    BOOST_TEST((to_json({nullptr, -1, oids::int4}) == nullptr));
}

BOOST_AUTO_TEST_CASE(arrays_and_records_become_arrays_and_objects)
{
    BOOST_TEST((
        converted(1007, "00000001000000010000001700000003000000010000000400000001ffffffff00000004fffffffd") ==
        json::array{1, nullptr, -3}));
    BOOST_TEST(
        (converted(1007, "00000002000000000000001700000002000000010000000100000001000000040000000100000004"
                         "00000002") == json::parse("[[1],[2]]")));
    BOOST_TEST((converted(1007, "000000000000000000000017") == json::array()));
    BOOST_TEST((converted(oids::record,
                          "00000002000008c90000002100000002000000100000000101000006a40000000c00020000000"
                          "00001000213880000043a0000000400002279") ==
                json::parse(R"({"f1": {"f1": true, "f2": "2.5"}, "f2": "2024-02-29"})")));
}

BOOST_AUTO_TEST_CASE(types_nobody_knows_become_text_or_hexadecimal_digits)
{
    BOOST_TEST((converted(oids::first_user_defined, "6861707079") == "happy"));
    BOOST_TEST((converted(oids::first_user_defined, "0002ff") == "\\x0002ff"));
}

BOOST_AUTO_TEST_CASE(every_sample_becomes_json_that_can_be_written_and_read)
{
    for (const auto& sample : test::samples) {
        BOOST_TEST_INFO(type_name(sample.type) << " " << sample.text);
        auto v = converted(sample.type, sample.hex);
        BOOST_CHECK(json::parse(json::serialize(v)).kind() == v.kind());
    }
}

BOOST_AUTO_TEST_CASE(a_row_becomes_an_object_with_the_columns_names)
{
    std::array columns{column{"id", oids::int4}, column{"name", oids::text}, column{"gone", oids::int8}};
    auto id = test::from_hex("00000007");
    auto field = [&](std::size_t i) -> field_view {
        if (i == 0) return test::view(oids::int4, id);
        if (i == 1) return test::view(oids::text, "neo");
        return {};
    };
    BOOST_TEST((to_json(columns, field) == json::object{{"id", 7}, {"name", "neo"}, {"gone", nullptr}}));
}

BOOST_AUTO_TEST_CASE(a_broken_field_is_an_error_that_names_the_column)
{
    std::array columns{column{"id", oids::int4}};
    BOOST_CHECK_EXCEPTION(to_json(columns, [](std::size_t) { return test::view(oids::int4, "x"); }),
                          mapping_error, says("column 1 (id"));
}

BOOST_AUTO_TEST_SUITE_END()
