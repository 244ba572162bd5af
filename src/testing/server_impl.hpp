// A private server from the inside.
#pragma once

#include "process.hpp"
#include "reserved_port.hpp"
#include "supervisor.hpp"

#include <pgcoro/testing/server.hpp>

#include <ios>

namespace pgcoro::testing
{

void write_file(const std::filesystem::path& path, const std::string& text,
                std::ios::openmode mode = std::ios::trunc);

/// A line of postgresql.conf.
std::string setting_line(const std::string& name, const std::string& value);

struct server::impl
{
    explicit impl(server_options given);
    ~impl();

    command program(const char* name, std::vector<std::string> arguments) const;
    void make_cluster();
    void copy(const impl& primary);
    void must_succeed(const char* name, const outcome& result) const;
    void write_configuration();
    void start();
    void wait_until_ready();
    bool ready() const;
    std::vector<pid_t> processes() const;
    bool gone();
    std::string uri(const std::string& host, std::string_view database) const;
    // How a standby reaches this server, as primary_conninfo has it.
    std::string conninfo() const;
    // Makes the server a standby of that one, from its next start on.
    void become_standby_of(const impl& primary);

    server_options options;
    std::filesystem::path bin;
    std::optional<identity> user;
    reserved_port port;
    std::filesystem::path folder;
    std::filesystem::path data;
    supervisor watch; // from here on the folder is cleaned up
    pid_t postmaster = 0;
};

} // namespace pgcoro::testing
