/// What was asked for on the command line. The defaults here are those that --help shows.
#pragma once

#include <string>
#include <vector>

namespace pgcoro::cli
{

/// Of every command.
struct common_settings
{
    std::string url; ///< empty: DATABASE_URL, else libpq's PG* variables
    double timeout = 5; ///< seconds; unless chosen, connect_timeout of the connection string or environment wins
    bool timeout_chosen = false;
    std::string format = "table";
    std::string color = "auto";

    bool json() const { return format == "json"; }
};

struct health_settings
{
    bool test_connectivity = false;
    bool test_performance = false;
    std::vector<std::string> tables;
};

struct monitor_settings
{
    double interval = 30;
    double duration = 0; ///< 0: until interrupted
    double lock_wait = 500;
    double query = 500;
    double connections = 80;
    bool show_queries = false;
};

struct doctor_settings
{
    std::string admin_url;
    double slow_round_trip = 50;
};

struct bench_settings
{
    int clients = 8;
    double duration = 5;
    int rows = 10'000;
    bool read_only = false;
};

struct locks_settings
{
    double critical = 60;
    bool show_queries = false;
};

struct settings
{
    common_settings common;
    health_settings health;
    monitor_settings monitor;
    doctor_settings doctor;
    bench_settings bench;
    locks_settings locks;
};

} // namespace pgcoro::cli
