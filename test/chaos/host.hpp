#pragma once

#include "weather.hpp"

#include "integration/resolver.hpp"

#include <pgcoro/testing/server.hpp>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace chaos
{

/// A small file system of its own that a server keeps its WAL on, so that it can be full. It lasts as long as
/// this object, which must go before the server.
class small_disk
{
public:
    /// In place of the folder, with what is in it. The server must not run.
    explicit small_disk(std::filesystem::path folder);
    small_disk(const small_disk&) = delete;
    small_disk& operator=(const small_disk&) = delete;
    ~small_disk();

    /// May this process mount at all? To be asked first before there are threads: from then on the process
    /// has mounts of its own, which end with it.
    static bool possible();

    void fill();
    void make_room();

private:
    std::filesystem::path folder_;
};

/// One of the two places where a server runs: a name that leads to an address, there a proxy, and behind it
/// whichever server is there by now.
class host
{
public:
    /// `weather` must outlive it.
    host(std::string name, pgcoro::testing::server_options options, std::atomic<weather>& now,
         std::uint32_t seed);

    /// "name:port", as the layer is told.
    std::string address() const;
    const std::string& name() const noexcept { return name_; }
    std::uint16_t port() const noexcept { return first_.port(); }
    pgcoro::testing::server& server() { return *server_; }
    const pgcoro::testing::server& server() const { return *server_; }
    /// Empty when a server could not be set up here.
    std::string log() const { return server_ ? server_->log() : ""; }
    /// Null where nothing can be mounted.
    small_disk* disk() { return disk_ ? &*disk_ : nullptr; }

    /// The server that was here goes for good, and a new one comes.
    void replace(pgcoro::testing::server_options options);
    /// The name leads to the other of its two addresses, and the one until now resets who still talks there.
    void move();
    /// Starts the server if it does not run, until it answers.
    void bring_back();

private:
    // Returns where the new server listens.
    test::server_socket place(pgcoro::testing::server_options options);

    std::string name_;
    std::optional<pgcoro::testing::server> server_;
    std::optional<small_disk> disk_;
    std::atomic<int> at_ = 0; ///< which of the two
    test::proxy first_;
    test::proxy second_;
    named_address found_;
};

} // namespace chaos
