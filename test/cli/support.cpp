#include "cli/support.hpp"

#include <boost/algorithm/string/replace.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace
{

std::string read_file(const std::filesystem::path& path)
{
    std::ifstream in(path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

std::filesystem::path temporary(const std::string& name)
{
    return std::filesystem::temp_directory_path() / ("pgcoro_cli_" + std::to_string(::getpid()) + "_" + name);
}

} // namespace

finished run_shell(const std::string& command, const std::string& variables)
{
    auto errors = temporary("stderr");
    auto quoted = "'" + boost::replace_all_copy(command, "'", "'\\''") + "'";
    auto line = "exec env -i PATH=\"$PATH\" HOME=/nonexistent LC_ALL=C.UTF-8 TZ=UTC " + variables +
                " timeout 60 sh -c " + quoted + " 2>" + errors.string() + " </dev/null";
    finished f;
    auto* pipe = ::popen(line.c_str(), "r");
    BOOST_REQUIRE(pipe);
    char part[4096];
    for (std::size_t n; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) f.out.append(part, n);
    auto status = ::pclose(pipe);
    f.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    f.err = read_file(errors);
    std::filesystem::remove(errors);
    return f;
}

finished pgcoro_command(const std::string& arguments, const std::string& variables)
{
    // Every user of the machine can read a program's arguments: the test server's password is not for them.
    static const std::regex password("&password=([0-9a-f]{32})|:([0-9a-f]{32})@");
    std::smatch found;
    if (!std::regex_search(arguments, found, password))
        return run_shell("exec " PGCORO_TEST_COMMAND " " + arguments, variables);
    auto file = temporary("passfile");
    std::ofstream(file) << "*:*:*:*:" << found[1] << found[2] << '\n';
    std::filesystem::permissions(file, std::filesystem::perms::owner_read);
    auto rest = found[2].matched ? "@" : "";
    auto f = run_shell("exec " PGCORO_TEST_COMMAND " " + found.prefix().str() + rest + found.suffix().str(),
                       variables + " PGPASSFILE=" + file.string());
    std::filesystem::remove(file);
    return f;
}

std::vector<boost::json::value> json_lines(const std::string& text)
{
    std::vector<boost::json::value> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        boost::json::error_code ec;
        all.push_back(boost::json::parse(line, ec));
        BOOST_REQUIRE_MESSAGE(!ec, "not JSON: " << line);
    }
    return all;
}

boost::json::object check_named(const boost::json::value& report, std::string_view name)
{
    for (auto& c : report.at("checks").as_array())
        if (c.at("name").as_string() == name) return c.as_object();
    BOOST_FAIL("no check '" << name << "' in " << report);
    return {};
}

void require_valid(const std::string& report)
{
    auto file = temporary("report");
    std::ofstream(file) << report;
    auto got = run_shell(
        "python3 -c 'import json, sys, jsonschema; jsonschema.validate(json.load(open(sys.argv[1])), "
        "json.load(open(sys.argv[2])))' " +
        file.string() + " " PGCORO_TEST_SHARE "/report.schema.json");
    std::filesystem::remove(file);
    BOOST_REQUIRE_MESSAGE(got.code == 0, got.err << report);
}

std::string masked(const std::string& text)
{
    // "0.42 ms", "3.4 s", "2 min 5 s": how long it takes decides on the unit.
    static const std::regex time("[0-9][0-9.]* (ms|s|min|h)\\b( [0-9]+ (s|min)\\b)?");
    static const std::regex figure("[0-9][0-9.,]*");
    return std::regex_replace(std::regex_replace(text, time, "<time>"), figure, "#");
}

void compare_with_golden(const std::string& text, const std::string& name)
{
    auto path = std::filesystem::path(PGCORO_TEST_GOLDEN) / name;
    auto got = masked(text);
    if (std::getenv("PGCORO_UPDATE_GOLDEN")) std::ofstream(path) << got;
    BOOST_TEST(got == read_file(path), "differs from " << path << ":\n" << got);
}

void wait_until(const std::function<bool()>& so, const char* what)
{
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!so()) {
        BOOST_REQUIRE_MESSAGE(std::chrono::steady_clock::now() < until, "waited in vain: " << what);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

psql_session::psql_session(const pgcoro::testing::server& server, const std::string& name)
{
    // A test that fails in the middle ends these in an order in which one waits for the next: not for ever.
    auto line = "PGOPTIONS='-c lock_timeout=20s' " + (server.bin_dir() / "psql").string() + " -qX '" +
                server.uri() + "&application_name=" + name + "' >/dev/null 2>&1";
    pipe_.reset(::popen(line.c_str(), "we"));
    BOOST_REQUIRE(pipe_);
}

void psql_session::tell(const std::string& sql)
{
    std::fputs((sql + ";\n").c_str(), pipe_.get());
    std::fflush(pipe_.get());
}

background::background(const std::string& arguments, const std::string& output)
    : file_(temporary(output).string())
{
    auto line = "exec " PGCORO_TEST_COMMAND " " + arguments;
    pid_ = ::fork();
    if (pid_ != 0) return;
    auto to = ::open(file_.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    ::dup2(to, STDOUT_FILENO);
    ::dup2(to, STDERR_FILENO);
    ::execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    ::_exit(127);
}

background::~background()
{
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    std::filesystem::remove(file_);
}

void background::signal(int number) const { ::kill(pid_, number); }

int background::wait()
{
    int status = 0;
    wait_until([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, "the command's end");
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string background::output() const { return read_file(file_); }
