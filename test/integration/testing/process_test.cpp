#include "testing/process.hpp"

#include <boost/test/unit_test.hpp>

#include <array>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

BOOST_AUTO_TEST_SUITE(testing_process)

// The list of /proc is read entry by entry, and a process may be gone between the opening and the reading of
// its entry. How often that is hit is a matter of chance: about once in a hundred rounds.
BOOST_AUTO_TEST_CASE(processes_that_end_while_they_are_looked_at_are_no_error)
{
    std::jthread short_lives([](std::stop_token stopped) {
        while (!stopped.stop_requested()) {
            std::array<pid_t, 8> children{};
            for (auto& child : children)
                if ((child = ::fork()) == 0) ::_exit(0);
            for (auto child : children)
                if (child > 0) ::waitpid(child, nullptr, 0);
        }
    });
    for (int round = 0; round < 1'000; ++round)
        BOOST_REQUIRE_NO_THROW(pgcoro::testing::children_of(::getpid()));
}

BOOST_AUTO_TEST_SUITE_END()
