#pragma once

#include <filesystem>

namespace pgcoro::testing
{

/// The folder that holds `postgres`, `initdb` and `psql`; see `server_options::bin_dir`, which is `wanted`.
/// Throws `std::runtime_error` that says where it looked and what to install.
std::filesystem::path find_binaries(const std::filesystem::path& wanted);

} // namespace pgcoro::testing
