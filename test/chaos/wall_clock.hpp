#pragma once

#include <chrono>
#include <filesystem>
#include <string>

namespace chaos
{

/// A wall clock for servers that can be made to jump, by libfaketime ("apt-get install libfaketime").
class wall_clock
{
public:
    wall_clock();
    wall_clock(const wall_clock&) = delete;
    wall_clock& operator=(const wall_clock&) = delete;
    ~wall_clock();

    /// Is libfaketime there?
    bool possible() const noexcept { return !library_.empty(); }
    /// For `server_options::bin_dir`: PostgreSQL's programs, where the server goes by this clock. Empty if it
    /// is not possible.
    std::filesystem::path programs() const;
    /// From the true time on. The servers see it within a second.
    void jump_to(std::chrono::seconds offset) const;

private:
    std::filesystem::path library_;
    std::filesystem::path folder_;
};

} // namespace chaos
