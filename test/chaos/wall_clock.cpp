#include "wall_clock.hpp"

#include <pgcoro/testing/server.hpp>

#include <stdlib.h>

#include <cerrno>
#include <fstream>
#include <system_error>

namespace chaos
{

namespace fs = std::filesystem;

namespace
{

fs::path find_library()
{
    for (const char* root : {"/usr/lib", "/usr/lib64", "/usr/local/lib"}) {
        std::error_code ignored;
        for (auto& entry : fs::directory_iterator(root, ignored)) {
            for (auto folder : {entry.path(), entry.path() / "faketime"}) {
                auto library = folder / "libfaketime.so.1";
                if (fs::exists(library, ignored)) return library;
            }
        }
    }
    return {};
}

} // namespace

wall_clock::wall_clock()
    : library_(find_library())
{
    if (!possible()) return;
    std::string made = (fs::temp_directory_path() / "pgcoro-clock-XXXXXX").string();
    if (!::mkdtemp(made.data()))
        throw std::system_error(errno, std::generic_category(), "cannot make " + made);
    folder_ = made;
    fs::permissions(folder_, fs::perms::others_read | fs::perms::others_exec, fs::perm_options::add);
    jump_to(std::chrono::seconds(0));

    const fs::path real = pgcoro::testing::server().bin_dir();
    for (auto& program : fs::directory_iterator(real))
        if (program.path().filename() != "postgres")
            fs::create_symlink(program.path(), folder_ / program.path().filename());
    auto server = folder_ / "postgres";
    // Only what people call the time; what measures durations goes on. Nothing shared between processes: it
    // would outlive those that are killed.
    std::ofstream(server)
        << "#!/bin/sh\nexec env LD_PRELOAD=" << library_.string()
        << " FAKETIME_TIMESTAMP_FILE=" << (folder_ / "offset").string()
        << " FAKETIME_CACHE_DURATION=1 FAKETIME_DISABLE_SHM=1 FAKETIME_DONT_FAKE_MONOTONIC=1 "
        << (real / "postgres").string() << " \"$@\"\n";
    fs::permissions(server, fs::perms(0755));
}

wall_clock::~wall_clock()
{
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

fs::path wall_clock::programs() const { return folder_; }

void wall_clock::jump_to(std::chrono::seconds offset) const
{
    auto next = folder_ / "offset.next";
    std::ofstream(next) << (offset.count() < 0 ? "" : "+") << offset.count() << "\n";
    fs::permissions(next, fs::perms(0644));
    fs::rename(next, folder_ / "offset"); // as a whole, whoever reads it just now
}

} // namespace chaos
