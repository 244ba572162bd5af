// Callers that read accounts and move money, each at its own pace.
#pragma once

#include "bank.hpp"

#include <cstdint>

struct load_figures
{
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
};

// Until cancelled. Four of five calls read.
boost::asio::awaitable<void> call_over_and_over(bank& of, int accounts, unsigned seed, load_figures& figures);
