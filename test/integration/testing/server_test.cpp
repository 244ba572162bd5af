#include "integration/fixture.hpp"
#include "testing/process.hpp"

#include <pgcoro/testing/server.hpp>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <fcntl.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace pgcoro::testing
{
static std::ostream& operator<<(std::ostream& out, shutdown mode) { return out << static_cast<int>(mode); }
} // namespace pgcoro::testing

namespace
{

namespace fs = std::filesystem;
using pgcoro::testing::alive;
using pgcoro::testing::server;
using pgcoro::testing::server_options;
using pgcoro::testing::shutdown;
using connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;

connection connect(const std::string& uri) { return {PQconnectdb(uri.c_str()), &PQfinish}; }

/// The first value of the next result, or the connection's error.
std::string answer(const connection& conn)
{
    std::string text = PQerrorMessage(conn.get());
    while (PGresult* result = PQgetResult(conn.get())) {
        if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0)
            text = PQgetvalue(result, 0, 0);
        PQclear(result);
    }
    return text;
}

std::string ask(const connection& conn, const char* sql)
{
    PQsendQuery(conn.get(), sql);
    return answer(conn);
}

bool has_answered(const connection& conn)
{
    PQconsumeInput(conn.get());
    return PQisBusy(conn.get()) == 0;
}

/// Waits until something holds; false after a time that is far too long.
template <class Condition>
bool eventually(Condition holds)
{
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!holds()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
}

auto says(const std::string& text)
{
    return [text](const std::exception& e) {
        BOOST_TEST_INFO(e.what());
        return std::string(e.what()).find(text) != std::string::npos;
    };
}

/// A second process of this program that runs nothing but `holds_a_server_until_it_is_killed`.
struct holder
{
    pid_t process = 0;
    std::string folder;
    pid_t postmaster = 0;
    pid_t backend = 0;
};

constexpr const char* holder_test = "testing_server/holds_a_server_until_it_is_killed";

holder start_holder()
{
    const std::string program = fs::read_symlink("/proc/self/exe").string();
    std::vector<std::string> arguments = {program, std::string("--run_test=") + holder_test};
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);

    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    holder result;
    const int problem =
        ::posix_spawn(&result.process, program.c_str(), &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    BOOST_TEST_REQUIRE(problem == 0);

    FILE* lines = ::fdopen(ends[0], "r");
    char line[1024];
    while (result.folder.empty() && std::fgets(line, sizeof line, lines)) {
        char folder[1024];
        int postmaster = 0;
        int backend = 0;
        if (std::sscanf(line, "held: %1023s %d %d", folder, &postmaster, &backend) == 3) {
            result.folder = folder;
            result.postmaster = postmaster;
            result.backend = backend;
        }
    }
    std::fclose(lines);
    return result;
}

boost::test_tools::assertion_result is_root(boost::unit_test::test_unit_id)
{
    boost::test_tools::assertion_result answer(::geteuid() == 0);
    answer.message() << "this process is not root: nobody else's folder is written to";
    return answer;
}

void kill_holder(const holder& held)
{
    ::kill(held.process, SIGKILL);
    ::waitpid(held.process, nullptr, 0);
}

} // namespace

BOOST_AUTO_TEST_SUITE(testing_server)

BOOST_AUTO_TEST_CASE(a_server_answers_over_its_socket_and_over_tcp)
{
    for (const std::string& uri : {shared_server().uri(), shared_server().tcp_uri()}) {
        const connection conn = connect(uri);
        BOOST_TEST(ask(conn, "select current_user || ' in ' || current_database()") ==
                   "postgres in postgres");
    }
}

BOOST_AUTO_TEST_CASE(a_server_without_tcp_listens_on_its_socket_only)
{
    server_options options;
    options.tcp = false;
    const server own(options);
    BOOST_TEST(own.psql("show listen_addresses") == "");
    BOOST_CHECK_THROW(own.tcp_uri(), std::logic_error);
}

BOOST_AUTO_TEST_CASE(settings_given_override_those_for_tests)
{
    server_options options;
    options.settings = {{"deadlock_timeout", "1234ms"}, {"application_name", "it's mine"}};
    const server own(options);
    BOOST_TEST(own.psql("show deadlock_timeout; show application_name; show fsync") == "1234ms\npsql\noff");
    BOOST_TEST(own.psql("select reset_val from pg_settings where name = 'deadlock_timeout'") == "1234");
    BOOST_TEST(ask(connect(own.uri()), "show application_name") == "it's mine");
}

BOOST_AUTO_TEST_CASE(a_server_never_runs_as_root)
{
    struct stat process
    {};
    BOOST_TEST_REQUIRE(::stat(("/proc/" + std::to_string(shared_server().pid())).c_str(), &process) == 0);
    BOOST_TEST(process.st_uid != 0U);
}

BOOST_AUTO_TEST_CASE(servers_live_side_by_side)
{
    const server one;
    const server other;
    one.psql("create table mine (n int)");
    BOOST_TEST(one.port() != other.port());
    BOOST_TEST(other.psql("select to_regclass('mine') is null") == "t");
}

BOOST_DATA_TEST_CASE(a_stopped_server_starts_again_with_its_data_and_its_port,
                     boost::unit_test::data::make({shutdown::smart, shutdown::fast, shutdown::immediate}),
                     mode)
{
    server own;
    own.psql("create table kept as select 42 as n");
    const auto port = own.port();
    const auto before = own.pid();

    own.stop(mode);
    BOOST_TEST(!own.running());
    BOOST_TEST(own.pid() == 0);
    BOOST_TEST(!alive(before));
    BOOST_CHECK_EXCEPTION(own.psql("select 1"), std::runtime_error, says(std::to_string(port)));
    own.stop(mode); // nothing left to do

    own.start();
    BOOST_TEST(own.port() == port);
    BOOST_TEST(own.pid() != before);
    BOOST_TEST(own.psql("select n from kept") == "42");
    BOOST_CHECK_THROW(own.start(), std::logic_error);
}

BOOST_AUTO_TEST_CASE(a_fast_restart_ends_the_connections)
{
    server own;
    const connection conn = connect(own.uri());
    own.restart();
    ask(conn, "select 1");
    BOOST_TEST(PQstatus(conn.get()) == CONNECTION_BAD);
    BOOST_TEST(own.psql("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(a_crash_keeps_what_was_committed_and_nothing_else)
{
    server own;
    own.psql("create table account as select 100 as cents");
    const connection conn = connect(own.uri());
    ask(conn, "begin; update account set cents = 0");
    const auto before = own.pid();

    own.kill();
    BOOST_TEST(!alive(before));
    own.start();
    BOOST_TEST(own.psql("select cents from account") == "100");
    BOOST_TEST(own.log().find("automatic recovery in progress") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_paused_server_answers_once_it_is_resumed)
{
    server own;
    const connection conn = connect(own.uri());
    own.pause();
    PQsendQuery(conn.get(), "select 'awake'");
    std::this_thread::sleep_for(
        std::chrono::milliseconds(100)); // time enough for an answer, were it not paused
    BOOST_TEST(!has_answered(conn));
    BOOST_TEST(own.running());
    own.resume();
    BOOST_TEST(answer(conn) == "awake");
}

BOOST_AUTO_TEST_CASE(a_paused_backend_is_silent_while_the_others_answer)
{
    server& shared = shared_server();
    const connection paused = connect(shared.uri());
    const connection other = connect(shared.uri());
    shared.pause(PQbackendPID(paused.get()));
    PQsendQuery(paused.get(), "select 'awake'");
    BOOST_TEST(ask(other, "select 'here' from pg_sleep(0.1)") == "here");
    BOOST_TEST(!has_answered(paused));
    shared.resume(PQbackendPID(paused.get()));
    BOOST_TEST(answer(paused) == "awake");
}

BOOST_AUTO_TEST_CASE(a_process_that_is_no_backend_cannot_be_paused)
{
    BOOST_CHECK_EXCEPTION(shared_server().pause(::getpid()), std::invalid_argument,
                          says(std::to_string(::getpid())));
    BOOST_CHECK_THROW(shared_server().resume(::getpid()), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(a_paused_server_can_be_stopped)
{
    server own;
    own.pause();
    own.stop();
    BOOST_TEST(!own.running());
    BOOST_CHECK_THROW(own.pause(), std::logic_error);
    BOOST_CHECK_THROW(own.resume(), std::logic_error);
}

BOOST_AUTO_TEST_CASE(a_server_that_somebody_else_killed_is_noticed)
{
    server own;
    ::kill(own.pid(), SIGKILL);
    BOOST_TEST(eventually([&] { return !own.running(); }));
}

BOOST_AUTO_TEST_CASE(psql_returns_rows_and_throws_what_the_server_said)
{
    const server& shared = shared_server();
    BOOST_TEST(shared.psql("select n, 'x' from generate_series(1, 2) n") == "1|x\n2|x");
    BOOST_CHECK_EXCEPTION(shared.psql("select 1; select 1 / 0"), std::runtime_error,
                          says("division by zero"));
    BOOST_CHECK_EXCEPTION(shared.psql("select 1", "nowhere"), std::runtime_error,
                          says("\"nowhere\" does not exist"));
}

BOOST_AUTO_TEST_CASE(explicit_scram_asks_on_socket_and_tcp)
{
    server_options options;
    options.auth = "scram-sha-256";
    options.password = "it's secret";
    const server own(options);
    BOOST_TEST(own.psql("select 1") == "1");
    for (const std::string& uri : {own.uri(), own.tcp_uri()}) {
        BOOST_TEST(PQstatus(connect(uri).get()) == CONNECTION_OK);
        BOOST_TEST(PQstatus(connect(uri + "&password=wrong").get()) == CONNECTION_BAD);
    }
}

BOOST_AUTO_TEST_CASE(explicit_trust_asks_nobody)
{
    server_options options;
    options.auth = "trust";
    const server own(options);
    BOOST_TEST(own.password() == "");
    BOOST_TEST(own.tcp_uri().find("password") == std::string::npos);
    BOOST_TEST(ask(connect(own.tcp_uri()), "select 1") == "1");
}

BOOST_AUTO_TEST_CASE(tcp_without_the_password_is_refused_by_default)
{
    const server& shared = shared_server();
    const std::string address =
        "host=127.0.0.1 user=postgres dbname=postgres port=" + std::to_string(shared.port()) +
        " passfile=/nonexistent";
    BOOST_TEST(PQstatus(connect(address).get()) == CONNECTION_BAD);
    BOOST_TEST(PQstatus(connect(address + " password=" + std::string(32, '0')).get()) == CONNECTION_BAD);
    BOOST_TEST(PQstatus(connect(address + " password=" + shared.password()).get()) == CONNECTION_OK);
    BOOST_TEST(shared.password().size() == 32U);
    BOOST_TEST(shared.uri().find(shared.password()) == std::string::npos);
    const server other;
    BOOST_TEST(other.password() != shared.password());
}

BOOST_AUTO_TEST_CASE(socket_folder_is_closed_to_others)
{
    struct stat folder
    {};
    BOOST_TEST_REQUIRE(::stat(shared_server().socket_dir().c_str(), &folder) == 0);
    BOOST_TEST((folder.st_mode & 07777) == 0700U);
}

BOOST_AUTO_TEST_CASE(another_user_gets_in_neither_way, *boost::unit_test::precondition(is_root))
{
    const server& shared = shared_server();
    struct stat process
    {};
    BOOST_TEST_REQUIRE(::stat(("/proc/" + std::to_string(shared.pid())).c_str(), &process) == 0);
    for (const char* name : {"nobody", "daemon", "games"}) {
        const passwd* entry = ::getpwnam(name);
        if (!entry || entry->pw_uid == process.st_uid) continue;
        for (const std::string& host :
             {shared.socket_dir().string(), std::string("127.0.0.1"), std::string("::1")}) {
            pgcoro::testing::command psql;
            psql.argv = {(shared.bin_dir() / "psql").string(), "-XAtwc", "select 'in'", "-d",
                         "host=" + host + " port=" + std::to_string(shared.port()) +
                             " user=postgres dbname=postgres"};
            psql.environment = {"HOME=/nonexistent", "LC_ALL=C"};
            psql.user = pgcoro::testing::identity{entry->pw_uid, entry->pw_gid, name};
            const auto result = pgcoro::testing::run(psql, {}, std::chrono::minutes(1));
            BOOST_TEST(result.status != 0, name << " got in by " << host << ": " << result.out);
            const bool refused = result.err.find("Permission denied") != std::string::npos ||
                                 result.err.find("no password supplied") != std::string::npos ||
                                 (host == "::1" && result.err.find("refused") != std::string::npos);
            BOOST_TEST(refused, result.err);
        }
    }
}

BOOST_AUTO_TEST_CASE(password_is_in_no_programs_arguments)
{
    // Programs that fail when they find it there, in front of the real ones.
    std::string folder = "/tmp/pgcoro-wrapped-XXXXXX";
    BOOST_TEST_REQUIRE(::mkdtemp(folder.data()));
    fs::permissions(folder, fs::perms(0755));
    for (const char* name : {"postgres", "initdb", "psql", "pg_basebackup"}) {
        const fs::path wrapper = fs::path(folder) / name;
        std::ofstream(wrapper)
            << "#!/bin/sh\ncase \"$*\" in *open-sesame*) echo in its arguments >&2; exit 1;; "
               "esac\nexec "
            << (shared_server().bin_dir() / name).string() << " \"$@\"\n";
        fs::permissions(wrapper, fs::perms(0755));
    }
    {
        server_options options;
        options.bin_dir = folder;
        options.auth = "scram-sha-256";
        options.password = "open-sesame";
        const server primary(options);
        options.replica_of = &primary;
        const server replica(options);
        BOOST_TEST(replica.psql("select 1") == "1");
        // Nor can what runs in the server read it in its environment.
        BOOST_TEST(primary.psql("\\! tr '\\000' ' ' </proc/" + std::to_string(primary.pid()) + "/environ")
                       .find("open-sesame") == std::string::npos);
    }
    fs::remove_all(folder);
}

BOOST_AUTO_TEST_CASE(links_in_the_servers_folder_are_not_followed, *boost::unit_test::precondition(is_root))
{
    std::string folder = "/tmp/pgcoro-root-XXXXXX";
    BOOST_TEST_REQUIRE(::mkdtemp(folder.data()));
    const fs::path secret = fs::path(folder) / "secret";
    std::ofstream(secret) << "only root's";
    fs::permissions(secret, fs::perms::owner_read | fs::perms::owner_write);
    const auto unchanged = [&] {
        struct stat now
        {};
        std::string text;
        std::getline(std::ifstream(secret), text);
        return ::stat(secret.c_str(), &now) == 0 && now.st_uid == 0 && text == "only root's";
    };
    const server primary;
    {
        server own;
        const auto replace_by_link = [&](const fs::path& file) {
            fs::remove(file);
            fs::create_symlink(secret, file); // as the server's user could
        };
        own.stop();
        replace_by_link(own.folder() / "data" / "standby.signal");
        BOOST_CHECK_THROW(own.follow(primary), std::runtime_error);
        replace_by_link(own.folder() / "data" / "postgresql.conf");
        BOOST_CHECK_THROW(own.follow(primary), std::runtime_error);
        replace_by_link(own.folder() / "log");
        BOOST_CHECK_THROW(own.start(), std::exception);
        BOOST_TEST(own.log() == "");
        BOOST_TEST(unchanged());
    }
    BOOST_TEST(unchanged());
    fs::remove_all(folder);
}

BOOST_AUTO_TEST_CASE(hba_lines_given_come_first)
{
    server_options options;
    options.hba = {"local all nobody_special reject"};
    const server own(options);
    own.psql("create role nobody_special login");
    const connection refused = connect(own.uri() + "&user=nobody_special");
    BOOST_TEST(std::string(PQerrorMessage(refused.get())).find("rejects") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_bad_setting_is_told_with_the_end_of_the_log)
{
    server_options options;
    options.settings = {{"max_connections", "many"}};
    BOOST_CHECK_EXCEPTION(server{options}, std::runtime_error,
                          says("invalid value for parameter \"max_connections\""));
}

BOOST_AUTO_TEST_CASE(a_failed_initdb_is_told_with_its_output)
{
    server_options options;
    options.superuser = "pg_reserved";
    BOOST_CHECK_EXCEPTION(server{options}, std::runtime_error,
                          says("superuser name \"pg_reserved\" is disallowed"));
}

BOOST_AUTO_TEST_CASE(a_missing_installation_is_told_with_what_to_install)
{
    server_options options;
    options.bin_dir = "/nonexistent";
    BOOST_CHECK_EXCEPTION(server{options}, std::runtime_error, says("apt-get install postgresql"));
}

BOOST_AUTO_TEST_CASE(a_socket_path_that_would_be_too_long_is_refused)
{
    const fs::path parent = "/tmp/" + std::string(100, 'x') + "-" + std::to_string(::getpid());
    fs::create_directory(parent);
    fs::permissions(parent, fs::perms::all);
    server_options options;
    options.parent = parent;
    BOOST_CHECK_EXCEPTION(server{options}, std::runtime_error, says("too long"));
    BOOST_TEST(fs::is_empty(parent));
    fs::remove_all(parent);
}

BOOST_AUTO_TEST_CASE(the_end_of_a_server_leaves_no_process_and_no_folder)
{
    std::optional<server> own(std::in_place);
    const connection conn = connect(own->uri());
    const auto folder = own->folder();
    const auto postmaster = own->pid();
    const auto backend = PQbackendPID(conn.get());
    BOOST_TEST(fs::exists(folder));
    own.reset();
    BOOST_TEST(!fs::exists(folder));
    BOOST_TEST(!alive(postmaster));
    BOOST_TEST(!alive(backend));
}

BOOST_AUTO_TEST_CASE(holds_a_server_until_it_is_killed, *boost::unit_test::disabled())
{
    const server own;
    const connection conn = connect(own.uri());
    std::printf("held: %s %d %d\n", own.folder().c_str(), own.pid(), PQbackendPID(conn.get()));
    std::fflush(stdout);
    while (true) ::pause();
}

BOOST_AUTO_TEST_CASE(a_killed_process_leaves_no_server_and_no_folder)
{
    const holder held = start_holder();
    BOOST_TEST_REQUIRE(fs::exists(held.folder));
    BOOST_TEST_REQUIRE(alive(held.postmaster));
    kill_holder(held);
    BOOST_TEST(eventually([&] { return !fs::exists(held.folder); }));
    BOOST_TEST(!alive(held.backend)); // the folder goes last
    BOOST_TEST(!alive(held.postmaster));
}

BOOST_AUTO_TEST_CASE(a_killed_process_leaves_nothing_of_a_server_that_was_paused_and_crashed)
{
    const holder held = start_holder();
    BOOST_TEST_REQUIRE(alive(held.backend));
    ::kill(held.backend, SIGSTOP);
    ::kill(held.postmaster, SIGKILL);
    kill_holder(held);
    BOOST_TEST(eventually([&] { return !fs::exists(held.folder); }));
    BOOST_TEST(!alive(held.backend));
}

BOOST_AUTO_TEST_SUITE_END()
