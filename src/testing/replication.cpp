// Primaries and standbys: how one becomes the other.
#include "server_impl.hpp"

#include <stdexcept>
#include <thread>

namespace pgcoro::testing
{

namespace
{

using namespace std::chrono_literals;

/// A value of a connection string.
std::string quoted(const std::string& value)
{
    std::string text = "'";
    for (const char c : value) {
        if (c == '\'' || c == '\\') text += '\\';
        text += c;
    }
    return text + "'";
}

/// Asks until the answer is true, for a minute.
void wait_until(const server& asked, const std::string& sql, const std::string& what)
{
    const auto deadline = std::chrono::steady_clock::now() + 1min;
    while (asked.psql(sql) != "t") {
        if (std::chrono::steady_clock::now() > deadline) {
            throw std::runtime_error("the standby on port " + std::to_string(asked.port()) + " has not " +
                                     what + " after a minute");
        }
        std::this_thread::sleep_for(5ms);
    }
}

} // namespace

std::string server::impl::conninfo() const
{
    return "host=" + quoted(folder.string()) + " port=" + std::to_string(port.number()) +
           " user=" + quoted(options.superuser);
}

std::string server::impl::primary_conninfo() const
{
    if (!socket_asks_for_password() || options.password.empty()) return conninfo();
    return conninfo() + " password=" + quoted(options.password);
}

void server::impl::copy(const impl& primary)
{
    const command tool = client("pg_basebackup", {"-D", data.string(), "-d", primary.conninfo(), "-X",
                                                  "stream", "-c", "fast", "--no-sync", "-w"});
    must_succeed("pg_basebackup", run(tool, {}, 120s));
}

void server::impl::become_standby_of(const impl& primary)
{
    files.append("data/postgresql.conf", setting_line("primary_conninfo", primary.primary_conninfo()));
    files.write("data/standby.signal", {});
}

bool server::in_recovery() const { return psql("select pg_is_in_recovery()") == "t"; }

void server::promote()
{
    if (!in_recovery()) throw std::logic_error("the server is no standby: there is nothing to promote");
    // It does not wait itself: a query that lasts may be cancelled for what is still to be replayed.
    psql("select pg_promote(false)");
    wait_until(*this, "select not pg_is_in_recovery()", "been promoted");
}

void server::follow(const server& primary)
{
    const bool restarts = running() && !in_recovery();
    if (restarts) stop();
    if (running()) {
        // A running standby needs no signal file: it has one.
        impl_->files.append("data/postgresql.conf",
                            setting_line("primary_conninfo", primary.impl_->primary_conninfo()));
        psql("select pg_reload_conf()");
        return;
    }
    impl_->become_standby_of(*primary.impl_);
    if (restarts) start();
}

void server::pause_replay()
{
    psql("select pg_wal_replay_pause()");
    wait_until(*this, "select pg_is_wal_replay_paused()", "been told to pause");
    // Since 14 one can ask whether it does, too.
    if (psql("select current_setting('server_version_num')::int >= 140000") == "t")
        wait_until(*this, "select pg_get_wal_replay_pause_state() = 'paused'", "paused its replay");
}

void server::resume_replay() { psql("select pg_wal_replay_resume()"); }

void server::catch_up_with(const server& primary) const
{
    const std::string written = primary.psql("select pg_current_wal_lsn()");
    wait_until(*this, "select pg_last_wal_replay_lsn() >= '" + written + "'",
               "applied what the primary wrote up to " + written);
}

} // namespace pgcoro::testing
