#pragma once

#include "process.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace pgcoro::testing
{

/// The user that a private program runs as: nobody else than this process's user, or, if that is root, the
/// user named `wanted` (empty: postgres if there is one, else nobody). Throws `std::runtime_error` if this
/// process is root and there is no such user.
std::optional<identity> unprivileged_user(const std::string& wanted = {});

/// A temporary folder (mode 0700) that belongs to the user a private program runs as, with an empty folder
/// `data` in it. It is not removed: a `supervisor` does that.
///
/// When this process is root, it never makes, writes or changes anything below the folder itself: a child
/// that has become `user` does. A symbolic link that the other user puts there therefore leads nowhere that
/// user could not write anyway.
///
/// @par Errors
/// `std::runtime_error` that names the path and the reason.
class private_folder
{
public:
    /// Makes the folder as `user`, who must be allowed to write to `parent`. No user: as this process.
    private_folder(const std::filesystem::path& parent, std::optional<identity> user);

    const std::filesystem::path& path() const noexcept { return path_; }
    std::filesystem::path data() const { return path_ / "data"; }
    const std::optional<identity>& user() const noexcept { return user_; }

    /// Replaces or creates a file (mode 0600). `name` is relative to the folder.
    void write(const std::filesystem::path& name, std::string_view text) const;
    /// Appends to a file, which is created (mode 0600) if it does not exist.
    void append(const std::filesystem::path& name, std::string_view text) const;
    /// Returns the file's text; an empty string if the file does not exist, is no regular file, or does not
    /// belong to the folder's user.
    std::string read(const std::filesystem::path& name) const;

private:
    std::string run_script(const char* script, std::vector<std::string> arguments,
                           std::string_view input) const;

    std::optional<identity> user_;
    std::filesystem::path path_;
};

} // namespace pgcoro::testing
