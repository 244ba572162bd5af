#pragma once

#include "process.hpp"

#include <filesystem>
#include <optional>

namespace pgcoro::testing
{

/// Sees to it that nothing of a server outlives its owner, however the owner ends.
///
/// A shell of its own, in a session of its own, waits at the end of a pipe whose other end only this process
/// holds. When that closes, by the destructor or because this process is gone, it ends every process that has
/// the server's data folder as its working directory (all of PostgreSQL's do) and removes the server's
/// folder.
class supervisor
{
public:
    /// Takes charge of `folder` (its `data` is the data folder), as `user` if given.
    supervisor(const std::filesystem::path& folder, const std::optional<identity>& user);
    supervisor(const supervisor&) = delete;
    supervisor& operator=(const supervisor&) = delete;

    /// Ends the server, removes the folder, waits for both.
    ~supervisor();

private:
    unique_fd lifeline_;
    pid_t process_;
};

} // namespace pgcoro::testing
