#include "cache/flight.hpp"

#include <pgcoro/error/error.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using pgcoro::detail::flight;

namespace
{

constexpr int callers = 16;

struct noted
{
    std::string text;
    bool of_leader = false;
};

// Joins, adds `note` to the error, and keeps the error's text.
template <class Error>
asio::awaitable<void> join_and_add_note(flight<int>& shared, std::atomic<int>& arrived, noted& into, std::string note)
{
    auto work = [&]() -> asio::awaitable<flight<int>::value> {
        while (arrived < callers) co_await asio::post(asio::use_awaitable);
        throw Error("no connection");
    };
    ++arrived;
    try {
        co_await shared.join(work, into.of_leader);
    } catch (pgcoro::error& e) {
        e.add_note(note);
        into.text = e.what();
    }
}

template <class Error>
void check_each_has_its_own()
{
    flight<int> shared;
    std::atomic<int> arrived = 0;
    std::vector<noted> all(callers);
    std::vector<std::thread> threads; // each runs its own I/O context
    for (int i = 0; i < callers; ++i)
        threads.emplace_back([&, i] {
            asio::io_context io;
            auto& into = all[static_cast<std::size_t>(i)];
            auto joining = join_and_add_note<Error>(shared, arrived, into, "caller " + std::to_string(i));
            asio::co_spawn(io, std::move(joining), [](const std::exception_ptr&) {});
            io.run();
        });
    for (auto& t : threads) t.join();
    int leaders = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
        BOOST_TEST(all[i].text == "no connection\n  caller " + std::to_string(i));
        leaders += all[i].of_leader;
    }
    BOOST_TEST(leaders == 1);
}

} // namespace

BOOST_AUTO_TEST_SUITE(single_flight)

BOOST_AUTO_TEST_CASE(each_caller_has_an_error_of_its_own)
{
    check_each_has_its_own<pgcoro::pool_timeout>();
    check_each_has_its_own<pgcoro::commit_unknown>();
    check_each_has_its_own<pgcoro::error>();
}

BOOST_AUTO_TEST_SUITE_END()
