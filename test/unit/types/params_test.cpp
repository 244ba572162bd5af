#include <pgcoro/types/arrays.hpp>
#include <pgcoro/types/composites.hpp>
#include <pgcoro/types/params.hpp>
#include <pgcoro/types/ranges.hpp>
#include <pgcoro/types/raw.hpp>

#include "bytes.hpp"

#include <boost/test/unit_test.hpp>

using namespace pgcoro;
using test::says;

namespace
{

std::string_view bytes_of(const params& p, std::size_t i)
{
    return {p.data() + p[i].offset, static_cast<std::size_t>(p[i].size)};
}

} // namespace

BOOST_AUTO_TEST_SUITE(parameters)

BOOST_AUTO_TEST_CASE(each_argument_is_one_parameter_in_order)
{
    auto p = params::of(7, "text", std::string("more"), std::optional<bool>(true), std::vector<int>{1});
    BOOST_TEST(p.size() == 5u);
    BOOST_TEST(p[0].type == oids::int4);
    BOOST_CHECK(p[0].in == format::binary);
    BOOST_TEST(bytes_of(p, 0) == std::string_view("\0\0\0\7", 4));
    BOOST_TEST(p[1].type == oids::infer);
    BOOST_CHECK(p[1].in == format::text);
    BOOST_TEST(bytes_of(p, 1) == "text");
    BOOST_TEST(bytes_of(p, 2) == "more");
    BOOST_TEST(p[3].type == oids::boolean);
    BOOST_TEST(p[4].type == array_of(oids::int4));
}

BOOST_AUTO_TEST_CASE(text_ends_in_a_nul_because_libpq_reads_up_to_it)
{
    auto p = params::of("ab", "cd");
    BOOST_TEST(std::string_view(p.data() + p[0].offset) == "ab");
    BOOST_TEST(std::string_view(p.data() + p[1].offset) == "cd");
}

BOOST_AUTO_TEST_CASE(a_value_of_1_gib_is_refused)
{
    std::size_t gib = std::size_t(1) << 30;
    BOOST_CHECK_NO_THROW(pgcoro::detail::check_value_size(gib - 1));
    BOOST_CHECK_THROW(pgcoro::detail::check_value_size(gib), pgcoro::mapping_error);
    BOOST_CHECK_THROW(pgcoro::detail::check_value_size(3 * gib), pgcoro::mapping_error);
}

BOOST_AUTO_TEST_CASE(null_char_pointer_is_null)
{
    const char* none = nullptr;
    char* also_none = nullptr;
    std::optional<const char*> engaged(none);
    char written[] = "text";
    char* some = written;
    auto p = params::of(none, also_none, engaged, some, std::optional<const char*>("more"));
    for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(p[i].size == -1);
    BOOST_TEST(bytes_of(p, 3) == "text");
    BOOST_TEST(bytes_of(p, 4) == "more");
}

BOOST_AUTO_TEST_CASE(null_char_pointer_is_null_in_arrays_and_composites)
{
    const char* none = nullptr;
    std::array<const char*, 2> pointers{"a", none};
    auto p = params::of(std::vector<const char*>{"a", none}, std::span<const char* const>(pointers),
                        std::tuple<int, const char*, int>{1, none, 2},
                        range<const char*>{.lower = none, .upper = "b"},
                        multirange<const char*>{{{.lower = "a", .upper = none}}});
    BOOST_TEST(bytes_of(p, 0) == "{a,NULL}");
    BOOST_TEST(bytes_of(p, 1) == "{a,NULL}");
    BOOST_TEST(bytes_of(p, 2) == "(1,,2)");
    BOOST_TEST(bytes_of(p, 3) == "(,b)");
    BOOST_TEST(bytes_of(p, 4) == "{[a,)}");
}

BOOST_AUTO_TEST_CASE(null_can_be_said_in_three_ways)
{
    auto p = params::of(nullptr, std::nullopt, std::optional<int>());
    for (std::size_t i = 0; i < p.size(); ++i) BOOST_TEST(p[i].size == -1);
    BOOST_TEST(p[0].type == oids::infer);
    BOOST_TEST(p[2].type == oids::int4);
}

BOOST_AUTO_TEST_CASE(an_empty_value_is_not_null)
{
    auto p = params::of("", std::vector<std::byte>());
    BOOST_TEST(p[0].size == 0);
    BOOST_TEST(p[1].size == 0);
}

BOOST_AUTO_TEST_CASE(a_value_that_does_not_fit_is_an_error_that_names_the_parameter)
{
    BOOST_CHECK_EXCEPTION(params::of(1, std::string("a\0", 2)), mapping_error,
                          says("parameter $2: text with a NUL"));
}

BOOST_AUTO_TEST_CASE(there_can_be_65535_parameters_and_no_more)
{
    params p;
    for (int i = 0; i < 65535; ++i) p.add(i);
    BOOST_TEST(p.size() == 65535u);
    BOOST_CHECK_EXCEPTION(p.add(0), mapping_error, says("65535"));
}

BOOST_AUTO_TEST_CASE(a_raw_value_is_declared_as_the_type_it_came_with)
{
    auto point = test::decode<raw>(600, "00000000000000000000000000000001");
    BOOST_TEST(point.type == 600u);
    auto p = params::of(point, std::optional<int>(3));
    BOOST_TEST(p[0].type == 600u);
    BOOST_CHECK(p[0].in == format::binary);
    BOOST_TEST(bytes_of(p, 0) == test::from_hex("00000000000000000000000000000001"));
}

BOOST_AUTO_TEST_SUITE_END()
