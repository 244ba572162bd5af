#include "connection/copy_watch.hpp"

#include <boost/test/unit_test.hpp>

using pgcoro::detail::copy_watch;
using pgcoro::detail::steady_time;
using namespace std::chrono_literals;

namespace
{

constexpr bool exact = true;
constexpr bool encrypted = false;
const steady_time start{1h};
const steady_time later = start + 2 * copy_watch::quiet;

} // namespace

BOOST_AUTO_TEST_SUITE(copy_watch_tests)

BOOST_AUTO_TEST_CASE(silence_is_no_error)
{
    copy_watch w;
    BOOST_TEST(!w.is_error_likely(later));
}

BOOST_AUTO_TEST_CASE(bytes_without_a_notice_are_an_error_after_a_while)
{
    copy_watch w;
    w.arrived(200, exact, start);
    BOOST_TEST(!w.is_error_likely(start));
    BOOST_TEST(w.is_error_likely(later));
}

BOOST_AUTO_TEST_CASE(notices_are_no_error)
{
    copy_watch w;
    for (int i = 0; i < 1000; ++i) {
        w.explained(100);
        w.arrived(100, exact, start);
    }
    BOOST_TEST(!w.is_error_likely(later));
}

BOOST_AUTO_TEST_CASE(a_notice_in_pieces_is_no_error)
{
    copy_watch w;
    w.arrived(60, exact, start);
    w.explained(100);
    w.arrived(40, exact, start);
    BOOST_TEST(!w.is_error_likely(later));
}

BOOST_AUTO_TEST_CASE(an_error_behind_a_notice_is_seen)
{
    copy_watch w;
    w.explained(100);
    w.arrived(150, exact, start);
    BOOST_TEST(w.is_error_likely(later));
}

BOOST_AUTO_TEST_CASE(bytes_that_libpq_read_unseen_hide_no_later_error)
{
    copy_watch w;
    w.explained(100);
    w.arrived(0, exact, start);
    BOOST_TEST(!w.is_error_likely(later));
    w.arrived(50, exact, start);
    BOOST_TEST(w.is_error_likely(later));
}

BOOST_AUTO_TEST_CASE(under_tls_a_notice_explains_what_arrived)
{
    copy_watch w;
    w.explained(100);
    w.arrived(180, encrypted, start);
    BOOST_TEST(!w.is_error_likely(later));
    w.arrived(30, encrypted, start);
    BOOST_TEST(w.is_error_likely(later));
}

BOOST_AUTO_TEST_SUITE_END()
