// A private server from the inside.
#pragma once

#include "private_folder.hpp"
#include "process.hpp"
#include "reserved_port.hpp"
#include "supervisor.hpp"

#include <pgcoro/testing/server.hpp>

namespace pgcoro::testing
{

/// A line of postgresql.conf.
std::string setting_line(const std::string& name, const std::string& value);

struct server::impl
{
    explicit impl(server_options given);
    ~impl();

    command program(const char* name, std::vector<std::string> arguments) const;
    command client(const char* name, std::vector<std::string> arguments) const;
    void make_cluster();
    void copy(const impl& primary);
    void must_succeed(const char* name, const outcome& result) const;
    void write_configuration();
    void start();
    void wait_until_ready();
    bool ready() const;
    std::vector<pid_t> processes() const;
    bool gone();
    // Without a password, which no process may have in its arguments.
    std::string uri(const std::string& host, std::string_view database) const;
    std::string with_password(std::string uri) const;
    // How a standby reaches this server.
    std::string conninfo() const;
    std::string primary_conninfo() const;
    bool socket_asks_for_password() const { return !options.auth.empty(); }
    // Makes the server a standby of that one, from its next start on.
    void become_standby_of(const impl& primary);

    server_options options;
    std::filesystem::path bin;
    reserved_port port;
    private_folder files;
    const std::filesystem::path& folder; // of `files`
    std::filesystem::path data;
    supervisor watch; // from here on the folder is cleaned up
    pid_t postmaster = 0;
};

} // namespace pgcoro::testing
