#include "host.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace chaos
{

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace
{

using clock_type = std::chrono::steady_clock;

// Room for what the servers' settings let them keep, twice.
constexpr const char* disk_size = "size=288m";
constexpr const char* first_address = "127.0.0.1";
constexpr const char* second_address = "127.0.0.2";

bool mount_at(const fs::path& folder) { return ::mount("tmpfs", folder.c_str(), "tmpfs", 0, disk_size) == 0; }

} // namespace

bool small_disk::possible()
{
    static const bool works = [] {
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
            return false;
        std::string folder = (fs::temp_directory_path() / "pgcoro-mount-XXXXXX").string();
        if (!::mkdtemp(folder.data())) return false;
        bool mounted = mount_at(folder);
        if (mounted) ::umount(folder.c_str());
        fs::remove(folder);
        return mounted;
    }();
    return works;
}

small_disk::small_disk(fs::path folder)
    : folder_(std::move(folder))
{
    struct stat owner
    {};
    if (::stat(folder_.c_str(), &owner) != 0)
        throw std::system_error(errno, std::generic_category(), "cannot look at " + folder_.string());
    fs::path aside = folder_;
    aside += ".until_now";
    fs::rename(folder_, aside);
    fs::create_directory(folder_);
    if (!mount_at(folder_))
        throw std::system_error(errno, std::generic_category(), "cannot mount on " + folder_.string());
    fs::copy(aside, folder_, fs::copy_options::recursive);
    fs::remove_all(aside);
    auto give = [&](const fs::path& path, mode_t mode) {
        if (::chown(path.c_str(), owner.st_uid, owner.st_gid) != 0 || ::chmod(path.c_str(), mode) != 0)
            throw std::system_error(errno, std::generic_category(), "cannot give away " + path.string());
    };
    give(folder_, 0700);
    for (auto& e : fs::recursive_directory_iterator(folder_)) give(e.path(), e.is_directory() ? 0700 : 0600);
}

small_disk::~small_disk() { ::umount2(folder_.c_str(), MNT_DETACH); }

void small_disk::fill()
{
    std::ofstream file(folder_ / "filler", std::ios::binary);
    const std::string block(1 << 16, 'x');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
}

void small_disk::make_room() { fs::remove(folder_ / "filler"); }

host::host(std::string name, pgcoro::testing::server_options options, std::atomic<weather>& now,
           std::uint32_t seed)
    : name_(std::move(name))
    , first_(
          place(std::move(options)),
          [this, script = forecast(now, seed)](std::string_view message) mutable {
              return at_ == 0 ? script(message) : test::fault{.what = test::fault::reset};
          },
          first_address)
    , second_(
          test::socket_of(*server_),
          [this, script = forecast(now, seed + 1)](std::string_view message) mutable {
              return at_ == 1 ? script(message) : test::fault{.what = test::fault::reset};
          },
          second_address, first_.port())
    , found_(name_, first_address)
{}

std::string host::address() const { return name_ + ":" + std::to_string(port()); }

test::server_socket host::place(pgcoro::testing::server_options options)
{
    disk_.reset();
    server_.emplace(std::move(options));
    if (small_disk::possible()) {
        server_->stop();
        disk_.emplace(server_->folder() / "data" / "pg_wal");
        server_->start();
    }
    return test::socket_of(*server_);
}

void host::replace(pgcoro::testing::server_options options)
{
    auto where = place(std::move(options));
    first_.lead_to(where);
    second_.lead_to(where);
}

void host::move()
{
    at_ = 1 - at_;
    found_.move_to(at_ == 0 ? first_address : second_address);
}

void host::bring_back()
{
    for (auto until = clock_type::now() + 60s;; std::this_thread::sleep_for(20ms)) {
        try {
            if (!server_->running()) server_->start();
            server_->psql("select 1");
            return;
        } catch (const std::runtime_error&) {
            if (clock_type::now() > until) throw;
        }
    }
}

} // namespace chaos
