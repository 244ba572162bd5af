#include <pgcoro/types/multiprecision.hpp>

#include "bytes.hpp"

#include <boost/test/unit_test.hpp>

using namespace pgcoro;
using boost::multiprecision::cpp_dec_float_50;
using boost::multiprecision::cpp_int;
using boost::multiprecision::int128_t;
using test::says;

namespace
{

template <class T>
T from(std::string_view text)
{
    auto bytes = test::encoded(numeric(text));
    return codec<T>::decode(test::view(oids::numeric, bytes));
}

} // namespace

BOOST_AUTO_TEST_SUITE(multiprecision)

BOOST_AUTO_TEST_CASE(decimals_calculate_exactly)
{
    auto sum = from<cpp_dec_float_50>("0.10") + from<cpp_dec_float_50>("0.20");
    BOOST_TEST((numeric::from_binary(test::encoded(cpp_dec_float_50(sum))) == numeric("0.3")));
    for (auto text :
         {"0", "-1.5", "1e40", "1e-40", "12345678901234567890.123456789", "NaN", "Infinity", "-Infinity"})
        BOOST_TEST(numeric::from_binary(test::encoded(from<cpp_dec_float_50>(text))).str() ==
                   numeric(text).str());
}

BOOST_AUTO_TEST_CASE(a_decimal_with_too_many_digits_is_an_error)
{
    BOOST_CHECK_EXCEPTION(from<cpp_dec_float_50>(std::string(51, '1')), mapping_error,
                          says("51 significant digits, and the C++ type 50"));
}

BOOST_AUTO_TEST_CASE(a_quotient_without_end_is_rounded)
{
    cpp_dec_float_50 third = cpp_dec_float_50(1) / 3;
    BOOST_TEST(numeric::from_binary(test::encoded(third)).str() == "0." + std::string(50, '3'));
}

BOOST_AUTO_TEST_CASE(whole_numbers_of_any_length_come_back)
{
    auto text = "-" + std::string(200, '7');
    BOOST_TEST(from<cpp_int>(text).str() == text);
    BOOST_TEST(numeric::from_binary(test::encoded(from<cpp_int>(text))).str() == text);
    BOOST_TEST((from<cpp_int>("12.00") == 12));
    BOOST_CHECK_THROW(from<cpp_int>("12.5"), mapping_error);
    BOOST_CHECK_THROW(from<cpp_int>("NaN"), mapping_error);
}

BOOST_AUTO_TEST_CASE(a_whole_number_beyond_the_type_is_an_error)
{
    BOOST_TEST(from<int128_t>("170141183460469231731687303715884105727").str() ==
               "170141183460469231731687303715884105727");
    BOOST_CHECK_EXCEPTION(from<int128_t>("1e40"), mapping_error, says("range"));
}

BOOST_AUTO_TEST_SUITE_END()
