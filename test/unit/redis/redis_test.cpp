// Where keys have their place, and what values look like there.
#include "cache/redis/packing.hpp"
#include "cache/redis/ring.hpp"

#include <pgcoro/cache/redis.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>

using namespace pgcoro;
using namespace pgcoro::detail;

namespace
{

constexpr int keys = 20'000;

std::vector<std::string> places(const std::vector<std::string>& names)
{
    hash_ring ring(names);
    std::vector<std::string> all;
    for (int i = 0; i < keys; ++i)
        all.push_back(names[ring.place_of(hash_ring::hash_of("key " + std::to_string(i)))]);
    return all;
}

int moved(const std::vector<std::string>& before, const std::vector<std::string>& after)
{
    int n = 0;
    for (int i = 0; i < keys; ++i)
        n += before[static_cast<std::size_t>(i)] != after[static_cast<std::size_t>(i)];
    return n;
}

std::string compressible() { return std::string(10'000, 'a') + "and an end"; }

} // namespace

BOOST_AUTO_TEST_SUITE(redis_values)

BOOST_AUTO_TEST_CASE(an_instance_more_or_less_moves_its_share_of_the_keys_and_no_others)
{
    auto four = places({"a", "b", "c", "d"});
    auto five = places({"a", "b", "c", "d", "e"});
    auto to_e = std::ranges::count(five, "e");
    BOOST_TEST(moved(four, five) == to_e);
    BOOST_TEST(to_e > keys / 5 * 3 / 4);
    BOOST_TEST(to_e < keys / 5 * 5 / 4);
    auto without_b = places({"a", "c", "d"});
    BOOST_TEST(moved(four, without_b) == std::ranges::count(four, "b"));
}

BOOST_AUTO_TEST_CASE(each_instance_has_about_the_same_share_whatever_the_order_of_the_names)
{
    auto all = places({"10.0.0.1:6379/0", "10.0.0.2:6379/0", "10.0.0.3:6379/0"});
    for (auto* name : {"10.0.0.1:6379/0", "10.0.0.2:6379/0", "10.0.0.3:6379/0"})
        BOOST_TEST(std::ranges::count(all, name) > keys / 3 * 3 / 4);
    BOOST_TEST(moved(all, places({"10.0.0.3:6379/0", "10.0.0.1:6379/0", "10.0.0.2:6379/0"})) == 0);
}

BOOST_AUTO_TEST_CASE(what_is_packed_comes_back_and_is_smaller_where_it_was_worth_it)
{
    auto packed = pack(compressible(), 1'024, 1);
    BOOST_TEST(packed.size() < compressible().size() / 10);
    BOOST_TEST((unpack(packed, 20'000) == compressible()));
    auto small = pack("abc", 1'024, 1);
    BOOST_TEST(small == "pabc");
    BOOST_TEST((unpack(small, 20'000) == "abc"));
    BOOST_TEST((unpack(pack(compressible(), SIZE_MAX, 1), 20'000) == compressible()));
}

BOOST_AUTO_TEST_CASE(damaged_foreign_and_exploding_values_are_nothing)
{
    auto packed = pack(compressible(), 1'024, 1);
    for (std::size_t n = 0; n < packed.size(); ++n)
        BOOST_TEST(!unpack(std::string_view(packed).substr(0, n), 20'000), "cut to " << n);
    BOOST_TEST(!unpack("", 20'000));
    BOOST_TEST(!unpack("xabc", 20'000));
    BOOST_TEST(!unpack("zabc", 20'000));
    BOOST_TEST(!unpack("pabcd", 3));
    BOOST_TEST(!unpack(pack(std::string(50'000'000, 'b'), 0, 1), 1 << 20)); // 5 kB that would be 50 MB
}

BOOST_AUTO_TEST_CASE(options_that_make_no_sense_are_refused_by_name)
{
    boost::asio::io_context io;
    auto refused = [&](auto change, const char* name) {
        redis_options o;
        change(o);
        BOOST_CHECK_EXCEPTION(redis_second_level(io.get_executor(), o), std::invalid_argument,
                              [&](auto& e) { return std::string(e.what()).find(name) != std::string::npos; });
    };
    refused([](auto& o) { o.instances.clear(); }, "instances");
    refused([](auto& o) { o.instances = {{}, {}}; }, "127.0.0.1:6379/0 twice");
    refused([](auto& o) { o.instances[0].database = -1; }, "database");
    refused([](auto& o) { o.timeout = std::chrono::milliseconds(0); }, "timeout");
    refused([](auto& o) { o.open_for = std::chrono::milliseconds(0); }, "open_for");
    refused([](auto& o) { o.failures_to_open = 0; }, "failures_to_open");
    refused([](auto& o) { o.max_connections = 0; }, "max_connections");
    refused([](auto& o) { o.compression_level = 20; }, "compression_level");
    refused([](auto& o) { o.max_value_bytes = 10; }, "max_value_bytes");
}

BOOST_AUTO_TEST_SUITE_END()
