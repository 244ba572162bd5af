#include "integration/support/haproxy.hpp"

namespace test
{

namespace
{

std::string listener(const std::string& role, std::uint16_t port, const std::vector<haproxy::server>& behind,
                     int check_ms)
{
    auto text = "listen " + role + "\n    bind 127.0.0.1:" + std::to_string(port) +
                "\n    option httpchk GET /" + role + "\n    http-check expect status 200\n" +
                "    default-server inter " + std::to_string(check_ms) +
                "ms fall 2 rise 1 on-marked-down shutdown-sessions\n";
    for (auto& s : behind)
        text += "    server s" + std::to_string(s.port) + " 127.0.0.1:" + std::to_string(s.port) +
                " check port " + std::to_string(s.role_port) + '\n';
    return text;
}

} // namespace

haproxy::haproxy(const std::vector<server>& behind, int check_ms)
    : program_("HAProxy")
{
    auto file = program_.write("cfg", "global\n    noreuseport\ndefaults\n    mode tcp\n"
                                      "    timeout connect 2s\n    timeout check 1s\n"
                                      "    timeout client 30m\n    timeout server 30m\n" +
                                          listener("primary", primary_.number(), behind, check_ms) +
                                          listener("replica", replicas_.number(), behind, check_ms));
    program_.start({test::installed("haproxy").string(), "-db", "-f", file},
                   [this] { return listens(to_primary()) && listens(to_replicas()); });
}

} // namespace test
