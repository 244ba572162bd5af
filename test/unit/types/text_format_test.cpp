#include <pgcoro/types/literal.hpp>

#include "bytes.hpp"
#include "samples.hpp"

#include <boost/test/unit_test.hpp>

using namespace pgcoro;

BOOST_AUTO_TEST_SUITE(text_format)

BOOST_AUTO_TEST_CASE(a_value_is_printed_as_postgresql_prints_it)
{
    for (const auto& sample : test::samples) {
        BOOST_TEST_CONTEXT(type_name(sample.type) << " " << sample.text)
        {
            std::string text;
            BOOST_TEST(append_text(sample.type, test::from_hex(sample.hex), text));
            BOOST_TEST(text == sample.text);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_type_that_is_not_known_appends_nothing)
{
    std::string text = "before";
    BOOST_TEST(!append_text(600, std::string(16, '\0'), text)); // point
    BOOST_TEST(!append_text(oids::first_user_defined, "abc", text));
    // An array of points, of which the bracket was written before the element was found unknown.
    BOOST_TEST(!append_text(1017,
                            test::from_hex("0000000100000000000002580000000100000001"
                                           "0000001000000000000000000000000000000000"),
                            text));
    BOOST_TEST(text == "before");
}

BOOST_AUTO_TEST_CASE(
    bytes_that_end_too_early_are_an_error_and_never_a_value_for_types_of_fixed_or_told_length)
{
    for (const auto& sample : test::samples) {
        bool any_length =
            sample.type == oids::text || sample.type == oids::varchar || sample.type == oids::bpchar ||
            sample.type == oids::name || sample.type == oids::json || sample.type == oids::jsonb ||
            sample.type == oids::bytea || sample.type == oids::macaddr || sample.type == oids::macaddr8;
        if (any_length) continue;
        auto bytes = test::from_hex(sample.hex);
        for (std::size_t n = 0; n < bytes.size(); ++n) {
            // A shorter integer is one still.
            if (n != 0 && (n == 2 || n == 4) &&
                (sample.type == oids::int8 || sample.type == oids::int4 || sample.type == oids::oid_ ||
                 sample.type == oids::xid8 || sample.type == oids::float8))
                continue;
            BOOST_TEST_CONTEXT(type_name(sample.type) << " " << sample.text << " cut to " << n)
            {
                std::string text;
                BOOST_CHECK_THROW(append_text(sample.type, std::string_view(bytes).substr(0, n), text),
                                  mapping_error);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(records_nested_without_end_are_an_error)
{
    std::string bytes = test::from_hex("00000000"); // a record of no attributes
    for (int depth = 0; depth < 1000; ++depth) {
        encoder::buffer around;
        encoder out(around);
        out.number(std::int32_t{1});
        out.number(oids::record);
        out.element([&] { out.bytes(bytes); });
        bytes.assign(around.begin(), around.end());
    }
    std::string text;
    BOOST_CHECK_EXCEPTION(append_text(oids::record, bytes, text), mapping_error,
                          test::says("nested too deeply"));
}

BOOST_AUTO_TEST_CASE(array_elements_are_quoted_where_the_literal_would_read_them_otherwise)
{
    auto quoted = [](std::string_view element) {
        std::string text;
        detail::append_array_element(element, text);
        return text;
    };
    BOOST_TEST(quoted("plain") == "plain");
    BOOST_TEST(quoted("") == R"("")");
    BOOST_TEST(quoted("Null") == R"("Null")");
    BOOST_TEST(quoted("nulls") == "nulls");
    BOOST_TEST(quoted("a\"b\\c") == R"("a\"b\\c")");
    BOOST_TEST(quoted("a\tb") == "\"a\tb\"");
    BOOST_TEST(quoted("a,b") == R"("a,b")");
}

BOOST_AUTO_TEST_CASE(record_attributes_are_quoted_by_doubling)
{
    std::string text;
    detail::append_record_attribute("a\"b\\c", text);
    BOOST_TEST(text == R"("a""b\\c")");
}

BOOST_AUTO_TEST_SUITE_END()
