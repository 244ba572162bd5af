/// The command, run as its users run it.
#pragma once

#include "integration/fixture.hpp"

#include <boost/json/value.hpp>
#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

/// What a program left behind.
struct finished
{
    int code = -1;
    std::string out;
    std::string err;
};

/// Runs a shell command to its end, a minute at most, in an environment of `variables` ("NAME=value …") only.
finished run_shell(const std::string& command, const std::string& variables = {});
/// Runs `pgcoro` with these arguments, quoted for a shell. A password that `testing::server` made is taken
/// out of them, and found by libpq in a password file.
finished pgcoro_command(const std::string& arguments, const std::string& variables = {});

/// All lines as JSON values; fails the test for one that is none.
std::vector<boost::json::value> json_lines(const std::string& text);

/// The first check of that name in a report; fails the test when there is none.
boost::json::object check_named(const boost::json::value& report, std::string_view name);

/// Is the report as the published schema says? Fails the test with the validator's words.
void require_valid(const std::string& report);

/// Compares with test/cli/golden/NAME, figures masked by #, durations by <time>. PGCORO_UPDATE_GOLDEN=1
/// writes it instead.
void compare_with_golden(const std::string& text, const std::string& name);
std::string masked(const std::string& text);

/// Waits until it is so; fails the test after half a minute.
void wait_until(const std::function<bool()>& so, const char* what);

/// A session of psql that is told statements one after the other, and does not wait for them. What it left
/// open is rolled back at its end.
class psql_session
{
public:
    explicit psql_session(const pgcoro::testing::server& server, const std::string& name);
    /// Does not wait for the statement's end.
    void tell(const std::string& sql);
    void end() { pipe_.reset(); }

private:
    struct closer
    {
        void operator()(std::FILE* f) const { ::pclose(f); }
    };
    std::unique_ptr<std::FILE, closer> pipe_;
};

/// A program under way.
class background
{
public:
    background(const std::string& arguments, const std::string& output);
    background(const background&) = delete;
    background& operator=(const background&) = delete;
    ~background();
    void signal(int number) const;
    /// Its exit code.
    int wait();
    /// What it has written so far, to either.
    std::string output() const;

private:
    std::string file_;
    pid_t pid_ = 0;
};
