#include <pgcoro/testing/server.hpp>

#include "binaries.hpp"
#include "secret.hpp"
#include "server_impl.hpp"

#include <locale.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace pgcoro::testing
{

namespace
{

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::string percent_encoded(const std::string& text)
{
    constexpr const char* digits = "0123456789ABCDEF";
    std::string result;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) || std::string_view("-._~/").find(c) != std::string_view::npos) {
            result += c;
        } else {
            result += {'%', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return result;
}

/// The options with the superuser that the server will have: a replica's is the primary's, because a replica
/// is a copy of the primary, roles included.
server_options completed(server_options options, const server_options* primary)
{
    if (primary) {
        options.superuser = primary->superuser;
        options.password = primary->password;
    } else if (options.password.empty() && options.auth != "trust") {
        options.password = random_password();
    }
    return options;
}

const char* encoding_locale()
{
    const locale_t found = ::newlocale(LC_ALL_MASK, "C.UTF-8", nullptr);
    if (!found) return "C";
    ::freelocale(found);
    return "C.UTF-8";
}

/// Fast to start and to stop, quick to find a deadlock; durability is of no use to a folder that is thrown
/// away.
const std::map<std::string, std::string> test_settings = {
    {"fsync", "off"},
    {"full_page_writes", "off"},
    {"synchronous_commit", "on"},
    {"deadlock_timeout", "50ms"},
    {"max_connections", "120"},
    {"shared_buffers", "32MB"},
    {"dynamic_shared_memory_type", "mmap"}, // in the data folder: nothing in /dev/shm outlives a crash
    {"autovacuum_max_workers", "1"},
    {"wal_level", "replica"},
    {"max_wal_senders", "10"},
    {"max_replication_slots", "4"},
    {"wal_keep_size", "256MB"},              // a standby that was away for a while finds what it missed
    {"wal_retrieve_retry_interval", "50ms"}, // and comes back soon
    {"logging_collector", "off"},
    {"log_destination", "stderr"},
    {"log_line_prefix", "%m [%p] %q%u@%d "},
    {"lc_messages", "C"},
    {"timezone", "UTC"},
    {"log_timezone", "UTC"},
    {"jit", "off"},
};

} // namespace

std::string setting_line(const std::string& name, const std::string& value)
{
    std::string line = name + " = '";
    for (const char c : value) {
        if (c == '\'' || c == '\\') line += c; // doubled
        line += c;
    }
    return line + "'\n";
}

server::impl::impl(server_options given)
    : options(completed(given, given.replica_of ? &given.replica_of->impl_->options : nullptr))
    , bin(find_binaries(options.bin_dir))
    , files(options.parent, unprivileged_user(options.run_as))
    , folder(files.path())
    , data(files.data())
    , watch(folder, files.user())
{
    const std::string socket = (folder / (".s.PGSQL." + std::to_string(port.number()))).string();
    if (socket.size() > 107) {
        throw std::runtime_error("the path of the Unix socket would be too long (107 at most): " + socket +
                                 "; choose a shorter server_options::parent");
    }
    const server* primary = std::exchange(options.replica_of, nullptr); // it need not outlive this
    if (primary)
        copy(*primary->impl_);
    else
        make_cluster();
    write_configuration();
    if (primary) become_standby_of(*primary->impl_);
}

server::impl::~impl()
{
    if (postmaster == 0) return;
    // The data is thrown away: no time for a checkpoint. The supervisor ends who does not go by himself.
    for (const pid_t process : processes()) ::kill(process, SIGCONT);
    ::kill(postmaster, SIGQUIT);
    if (!wait_for(postmaster, 10s)) {
        ::kill(postmaster, SIGKILL);
        wait_for(postmaster, 10s);
    }
}

/// One of PostgreSQL's programs, working in the data folder, where the supervisor finds it.
command server::impl::program(const char* name, std::vector<std::string> arguments) const
{
    command result;
    result.argv = std::move(arguments);
    result.argv.insert(result.argv.begin(), (bin / name).string());
    // Not ours: PG* and locale variables of this process would change what the programs do.
    result.environment = {"LC_ALL=C", "HOME=" + folder.string(), "PGCONNECT_TIMEOUT=30"};
    for (const char* variable : {"PATH", "LD_LIBRARY_PATH"}) {
        if (const char* value = std::getenv(variable))
            result.environment.push_back(std::string(variable) + "=" + value);
    }
    result.user = files.user();
    result.cwd = data;
    return result;
}

/// A program that connects to the server. Only its own user, and root, can read its environment.
command server::impl::client(const char* name, std::vector<std::string> arguments) const
{
    command result = program(name, std::move(arguments));
    if (!options.password.empty()) result.environment.push_back("PGPASSWORD=" + options.password);
    return result;
}

void server::impl::make_cluster()
{
    // The password is hashed for SCRAM. The lines of pg_hba.conf are replaced before the server starts.
    const char* method = options.password.empty() ? "trust" : "scram-sha-256";
    std::vector<std::string> arguments = {"-D",
                                          data.string(),
                                          "-U",
                                          options.superuser,
                                          "-E",
                                          "UTF8",
                                          "-A",
                                          method,
                                          std::string("--locale=") + encoding_locale(),
                                          "--no-sync"};
    if (!options.password.empty()) arguments.push_back("--pwfile=/dev/stdin");
    const outcome result = run(program("initdb", std::move(arguments)), options.password + "\n", 120s);
    must_succeed("initdb", result);
}

void server::impl::must_succeed(const char* name, const outcome& result) const
{
    if (result.succeeded()) return;
    throw std::runtime_error((bin / name).string() + (result.timed_out ? " did not end" : " failed") +
                             " in " + data.string() + ":\n" + tail(result.out + result.err));
}

void server::impl::write_configuration()
{
    auto settings = options.settings;
    settings.insert({{"port", std::to_string(port.number())},
                     {"unix_socket_directories", folder.string()},
                     {"listen_addresses", options.tcp ? port.addresses() : ""}});
    settings.insert(test_settings.begin(), test_settings.end());
    std::string text = "\n";
    for (const auto& [name, value] : settings) text += setting_line(name, value);
    files.append("data/postgresql.conf", text);

    std::string hba;
    for (const std::string& line : options.hba) hba += line + "\n";
    // By default the folder's mode guards the socket: nobody else can reach it.
    const std::string local = options.auth.empty() ? "trust" : options.auth;
    const std::string network = options.auth.empty() ? "scram-sha-256" : options.auth;
    for (const char* who : {"local all all ", "local replication all "}) hba += who + local + "\n";
    for (const char* address : {"127.0.0.1/32", "::1/128"}) {
        for (const char* database : {"all", "replication"})
            hba += std::string("host ") + database + " all " + address + " " + network + "\n";
    }
    files.write("data/pg_hba.conf", hba);
}

void server::impl::start()
{
    if (postmaster != 0 && !gone()) throw std::logic_error("the server runs already");
    command postgres = program("postgres", {"-D", data.string()});
    postgres.log = folder / "log";
    postmaster = spawn(postgres);
    wait_until_ready();
}

void server::impl::wait_until_ready()
{
    const auto deadline = std::chrono::steady_clock::now() + options.start_timeout;
    while (!ready()) {
        const bool over = gone();
        if (over || std::chrono::steady_clock::now() > deadline) {
            const std::string seconds = std::to_string(options.start_timeout.count());
            throw std::runtime_error(
                (bin / "postgres").string() +
                (over ? " ended at its start" : " was not ready after " + seconds + " s") +
                "; the end of its log:\n" + tail(files.read("log")));
        }
        std::this_thread::sleep_for(5ms);
    }
}

/// What pg_ctl looks at: the first line of postmaster.pid is the process, the eighth its state.
bool server::impl::ready() const
{
    std::istringstream lines(files.read("data/postmaster.pid"));
    std::string line;
    for (int number = 1; std::getline(lines, line); ++number) {
        if (number == 1 && line != std::to_string(postmaster)) return false;
        if (number == 8) return trimmed(line) == "ready";
    }
    return false;
}

/// The postmaster and its children.
std::vector<pid_t> server::impl::processes() const
{
    std::vector<pid_t> result = {postmaster};
    const auto children = children_of(postmaster);
    result.insert(result.end(), children.begin(), children.end());
    return result;
}

/// True if the postmaster has ended, by whomever.
bool server::impl::gone()
{
    if (postmaster != 0 && reaped(postmaster)) postmaster = 0;
    return postmaster == 0;
}

std::string server::impl::uri(const std::string& host, std::string_view database) const
{
    return "postgresql:///" + std::string(database) + "?host=" + percent_encoded(host) +
           "&port=" + std::to_string(port.number()) + "&user=" + percent_encoded(options.superuser);
}

std::string server::impl::with_password(std::string uri) const
{
    if (options.password.empty()) return uri;
    return uri + "&password=" + percent_encoded(options.password);
}

server::server(server_options options)
    : impl_(std::make_unique<impl>(std::move(options)))
{
    impl_->start();
}
server::server(server&&) noexcept = default;
server& server::operator=(server&&) noexcept = default;
server::~server() = default;

std::string server::uri(std::string_view database) const
{
    std::string uri = impl_->uri(impl_->folder.string(), database);
    return impl_->socket_asks_for_password() ? impl_->with_password(std::move(uri)) : uri;
}

std::string server::tcp_uri(std::string_view database) const
{
    if (!impl_->options.tcp) throw std::logic_error("the server was started without server_options::tcp");
    return impl_->with_password(impl_->uri("127.0.0.1", database));
}

const fs::path& server::socket_dir() const noexcept { return impl_->folder; }
std::uint16_t server::port() const noexcept { return impl_->port.number(); }
const std::string& server::password() const noexcept { return impl_->options.password; }
const fs::path& server::folder() const noexcept { return impl_->folder; }
const fs::path& server::bin_dir() const noexcept { return impl_->bin; }
pid_t server::pid() const noexcept { return impl_->postmaster; }
bool server::running() const { return !impl_->gone(); }
void server::start() { impl_->start(); }

void server::stop(shutdown mode)
{
    if (impl_->gone()) return;
    resume();
    const int signal = mode == shutdown::smart ? SIGTERM : mode == shutdown::fast ? SIGINT : SIGQUIT;
    ::kill(impl_->postmaster, signal);
    if (!wait_for(impl_->postmaster, impl_->options.stop_timeout)) {
        throw std::runtime_error("the server did not stop within " +
                                 std::to_string(impl_->options.stop_timeout.count()) +
                                 " s; the end of its log:\n" + tail(log()));
    }
    impl_->postmaster = 0;
}

void server::restart(shutdown mode)
{
    stop(mode);
    start();
}

void server::kill()
{
    if (impl_->gone()) return;
    ::kill(impl_->postmaster, SIGSTOP); // starts no more processes while we count them
    const auto processes = impl_->processes();
    for (const pid_t process : processes) ::kill(process, SIGKILL);
    while (!impl_->gone()) std::this_thread::sleep_for(1ms);
    // A backend that is still attached to the shared memory would forbid the next start.
    for (const pid_t process : processes) {
        while (alive(process)) std::this_thread::sleep_for(1ms);
    }
}

void server::pause()
{
    if (impl_->gone()) throw std::logic_error("the server does not run: nothing to pause");
    ::kill(impl_->postmaster, SIGSTOP);
    for (const pid_t process : impl_->processes()) ::kill(process, SIGSTOP);
}

void server::resume()
{
    if (impl_->gone()) throw std::logic_error("the server does not run: nothing to resume");
    for (const pid_t process : impl_->processes()) ::kill(process, SIGCONT);
}

void server::pause(pid_t backend)
{
    for (const pid_t process : children_of(impl_->postmaster)) {
        if (process == backend && ::kill(backend, SIGSTOP) == 0) return;
    }
    throw std::invalid_argument("process " + std::to_string(backend) + " is not a backend of this server");
}

void server::resume(pid_t backend)
{
    for (const pid_t process : children_of(impl_->postmaster)) {
        if (process == backend && ::kill(backend, SIGCONT) == 0) return;
    }
    throw std::invalid_argument("process " + std::to_string(backend) + " is not a backend of this server");
}

std::string server::log() const { return impl_->files.read("log"); }

std::string server::psql(std::string_view sql, std::string_view database) const
{
    const command tool = impl_->client("psql", {"-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-f",
                                                "-", "-d", impl_->uri(impl_->folder.string(), database)});
    const outcome result = run(tool, sql, 60s);
    if (!result.succeeded()) {
        throw std::runtime_error((result.timed_out ? "psql did not end within a minute: " : "psql failed: ") +
                                 trimmed(result.err) + "\nwhile running: " + std::string(sql));
    }
    return trimmed(result.out);
}

} // namespace pgcoro::testing
