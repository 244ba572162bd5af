#include "integration/pooler/bouncer.hpp"

#include <stdexcept>

bouncer::bouncer(const pgcoro::testing::server& behind, const std::string& pool_mode, int size)
    : password_(behind.password())
    , program_("PgBouncer")
{
    auto users = program_.write("users", "\"postgres\" \"" + password_ + "\"\n");
    program_.write("ini", "[databases]\n* = host=127.0.0.1 port=" + std::to_string(behind.port()) +
                              "\n[pgbouncer]\n" + "pool_mode = " + pool_mode +
                              "\ndefault_pool_size = " + std::to_string(size) +
                              "\nlisten_addr = 127.0.0.1\nlisten_port = " + std::to_string(port_.number()) +
                              "\nunix_socket_dir = " + program_.folder().string() +
                              "\nauth_type = scram-sha-256\nauth_file = " + users +
                              "\nmax_client_conn = 200\nserver_login_retry = 1\n");
    start();
}

std::string bouncer::uri() const
{
    return "postgresql://postgres:" + password_ + "@127.0.0.1:" + std::to_string(port_.number()) +
           "/postgres";
}

void bouncer::restart()
{
    program_.stop();
    start();
}

void bouncer::start()
{
    auto program = test::installed("pgbouncer");
    if (program.empty()) throw std::runtime_error("no PgBouncer found: apt-get install pgbouncer");
    program_.start({program.string(), (program_.folder() / "ini").string()},
                   [this] { return test::listens(port_.number()); });
}
