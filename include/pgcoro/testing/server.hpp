#pragma once

#include <pgcoro/export.hpp>

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace PGCORO_API pgcoro
{
namespace testing
{

class server;

/// How a private server is set up. Every field has a default that suits tests.
struct server_options
{
    /// Makes the new server a replica of this one, which must run, on the same machine: copied by
    /// `pg_basebackup`, then a hot standby that streams from it. It begins with the settings of the primary;
    /// `settings` go on top, for instance `recovery_min_apply_delay` for a replica that lags. `superuser` and
    /// `password` are ignored: a replica has the primary's roles. Null (default): a new, empty server. Need
    /// not outlive the constructor.
    const server* replica_of = nullptr;

    /// Lines of `postgresql.conf`, name to value, unquoted; they override those that tests usually want
    /// (no fsync, short deadlock_timeout, UTC, English messages ...).
    std::map<std::string, std::string> settings;

    /// Lines of `pg_hba.conf` that come before the server's own.
    std::vector<std::string> hba;

    /// The authentication method of the server's own `pg_hba.conf` lines, for the Unix socket and for TCP
    /// alike: `trust`, `scram-sha-256`, `md5` ... Empty (default): `scram-sha-256` over TCP, and `trust` on
    /// the socket, which only the user of this process, the user the server runs as, and root can reach.
    /// `trust` opens the server to every user of the machine as long as `tcp` is true: a superuser runs
    /// programs (`COPY ... TO PROGRAM`) as the server's user.
    std::string auth;

    /// The name of the database superuser, and the user in `uri()`.
    std::string superuser = "postgres";

    /// The superuser's password. Empty (default): a random one; none with the method `trust`.
    std::string password;

    /// Listen on 127.0.0.1, and on ::1 where there is one. Without it only on the Unix socket.
    bool tcp = true;

    /// The folder of `initdb`, `postgres` and `psql`. Empty (default): `PGCORO_PG_BIN` of the environment,
    /// else what `pg_config` says, else the newest of `/usr/lib/postgresql/*/bin`, else `PATH`.
    std::filesystem::path bin_dir;

    /// Whom to run the server as when this process is root, which PostgreSQL refuses. Empty (default):
    /// `postgres` if there is such a user, else `nobody`. Ignored for an ordinary user.
    std::string run_as;

    /// Where the server's own folder is made. It must be short (a Unix socket's path is at most 107
    /// characters) and the user the server runs as must be allowed to write there.
    std::filesystem::path parent = "/tmp";

    /// How long a start may take, crash recovery included.
    std::chrono::seconds start_timeout{60};

    /// How long a stop may take.
    std::chrono::seconds stop_timeout{60};
};

/// How `server::stop` treats those who are connected; the words are PostgreSQL's.
enum class shutdown {
    smart,     ///< wait until all have left
    fast,      ///< abort their transactions, checkpoint, leave nothing to recover
    immediate, ///< drop everything; the next start recovers
};

/// A PostgreSQL server of one's own, in a temporary folder, for tests and demonstrations.
///
/// It runs as long as this object lives. It is stopped and its folder removed also when this process crashes
/// or is killed: a small process of its own watches over that. Several may run side by side.
///
/// @par Blocking
/// All functions block the calling thread. Call them from a coroutine only where that is meant.
/// @par Errors
/// `std::runtime_error` (or `std::system_error`) that says what was tried and what the server or the tool
/// answered; `std::logic_error` for a call that makes no sense in the present state.
/// @par Thread safety
/// Distinct objects: safe. One object: one thread at a time.
/// @par Platform
/// Linux.
class server
{
public:
    /// Makes the folder and a new database cluster in it and starts the server; returns when it accepts
    /// connections.
    explicit server(server_options options = {});

    server(server&&) noexcept;
    server& operator=(server&&) noexcept;

    /// Stops the server at once and removes its folder.
    ~server();

    /// Returns a connection URI for the Unix socket. `database` is inserted unchanged. The URI contains the
    /// superuser's password only if `server_options::auth` is given.
    std::string uri(std::string_view database = "postgres") const;

    /// Returns a connection URI for 127.0.0.1. The URI contains the superuser's password if there is one: do
    /// not pass it in a program's arguments, which every user of the machine can read. Throws
    /// `std::logic_error` without `server_options::tcp`.
    std::string tcp_uri(std::string_view database = "postgres") const;

    /// Returns the superuser's password; an empty string if the superuser has no password.
    const std::string& password() const noexcept;

    /// The folder (mode 0700) that holds the Unix socket: what libpq calls `host`.
    const std::filesystem::path& socket_dir() const noexcept;

    /// The port, chosen by the system; the same for as long as this object lives.
    std::uint16_t port() const noexcept;

    /// The server's own folder; its data is in `data` there.
    const std::filesystem::path& folder() const noexcept;

    /// The folder of the PostgreSQL programs in use.
    const std::filesystem::path& bin_dir() const noexcept;

    /// The process id of the postmaster; 0 when it is stopped.
    pid_t pid() const noexcept;

    /// True while the server's process lives, paused or not.
    bool running() const;

    /// Starts the server, on the same folder and port; returns when it accepts connections. Throws
    /// `std::logic_error` if it runs.
    void start();

    /// Stops the server and waits for its end. What was paused is resumed first. Does nothing if it does not
    /// run.
    void stop(shutdown mode = shutdown::fast);

    /// `stop` and `start`.
    void restart(shutdown mode = shutdown::fast);

    /// Kills all the server's processes with SIGKILL, as a power cut would. `start` recovers the data.
    void kill();

    /// Freezes all the server's processes with SIGSTOP: connections stay open, nothing answers. With several
    /// processes this is not atomic; the postmaster goes first, so that none is added.
    void pause();

    /// Ends `pause()`, and every `pause(backend)`.
    void resume();

    /// Freezes one backend (`pg_backend_pid()`). Throws `std::invalid_argument` if it is none of this
    /// server's.
    void pause(pid_t backend);

    /// Ends `pause(backend)`.
    void resume(pid_t backend);

    /// Is it a standby now? Asks the server, as all that follow do.
    bool in_recovery() const;

    /// Makes a standby a primary; returns when it takes writes. Throws when it is none.
    void promote();

    /// Makes it a standby of another server: at once if it runs (a primary is restarted for that), else from
    /// its next start. What it wrote that the other one never got must not exist: stop a primary with
    /// `shutdown::fast` before another one is promoted, and it can follow that.
    void follow(const server& primary);

    /// A standby stops applying what it receives, or goes on with it.
    void pause_replay();
    void resume_replay();

    /// Waits until this standby has applied all that `primary` has written by now; a minute at most.
    void catch_up_with(const server& primary) const;

    /// The text of the server's log so far, over all its starts.
    std::string log() const;

    /// Runs SQL as the superuser with PostgreSQL's own `psql`, over the Unix socket, outside of the layer
    /// under test: for set-up and for looking at results. Several statements are run one by one. Returns the
    /// rows, a line each, columns separated by `|`, without the last line break. Throws `std::runtime_error`
    /// with what psql printed to stderr at the first error; so it does after a minute.
    std::string psql(std::string_view sql, std::string_view database = "postgres") const;

private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

} // namespace testing
} // namespace pgcoro
