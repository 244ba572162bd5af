// Runs a program through the library and through the reference, and compares them after each operation.
#pragma once

#include "storm/program.hpp"

#include <pgcoro/connection/options.hpp>
#include <pgcoro/testing/server.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace storm
{

/// Two databases with the same contents.
class databases
{
public:
    /// Creates them: storm_library_N and storm_reference_N. Both get their contents with each program.
    databases(const pgcoro::testing::server& server, int number);

    const std::string& library() const noexcept { return library_; }
    const std::string& reference() const noexcept { return reference_; }
    const pgcoro::testing::server& server() const noexcept { return server_; }

private:
    const pgcoro::testing::server& server_;
    std::string library_;
    std::string reference_;
};

struct difference
{
    std::size_t at = 0; ///< in the program; its size for what was found at the end
    std::string what;
};

/// Returns the first difference, if any. `connection` leads to the library's database.
std::optional<difference> run(const program& p, const databases& on,
                              const pgcoro::connection_options& connection);

/// Leaves out operations as long as the program still shows that difference. Each attempt runs up to `tries`
/// times.
program shrink(program p, const std::string& what, const databases& on,
               const pgcoro::connection_options& connection, int tries, std::chrono::seconds limit);

/// How often operations ended in which way, to see that a storm tries what it is to try.
std::string tally();

} // namespace storm
