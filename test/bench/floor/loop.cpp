#include "floor/loop.hpp"

#include <cmath>
#include <system_error>

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace bench::floor
{

namespace
{

void check(const PGconn* conn, PGresult* result)
{
    auto status = PQresultStatus(result);
    PQclear(result);
    if (status != PGRES_COMMAND_OK) throw std::runtime_error(PQerrorMessage(conn));
}

int checked(int result, const char* what)
{
    if (result < 0) throw std::system_error(errno, std::system_category(), what);
    return result;
}

} // namespace

loop::loop(const std::string& uri, std::size_t connections, const std::vector<statement>& statements)
    : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"))
    , timer_(checked(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd_create"))
{
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = timer_index;
    checked(::epoll_ctl(epoll_, EPOLL_CTL_ADD, timer_, &event), "epoll_ctl");
    for (std::size_t i = 0; i < connections; ++i) {
        auto* conn = PQconnectdb(uri.c_str());
        connections_.push_back(conn);
        if (PQstatus(conn) != CONNECTION_OK) fail(conn);
        for (auto& s : statements) check(conn, PQprepare(conn, s.name, s.sql, 0, nullptr));
        if (PQsetnonblocking(conn, 1) != 0) fail(conn);
        event.data.u64 = i;
        checked(::epoll_ctl(epoll_, EPOLL_CTL_ADD, PQsocket(conn), &event), "epoll_ctl");
    }
}

loop::~loop()
{
    for (auto* conn : connections_) PQfinish(conn);
    ::close(timer_);
    ::close(epoll_);
}

void loop::fail(PGconn* conn)
{
    throw std::runtime_error(std::string("the floor's connection failed: ") + PQerrorMessage(conn));
}

void loop::start_timer(seconds how_long)
{
    itimerspec at{};
    auto whole = std::floor(how_long.count());
    at.it_value.tv_sec = static_cast<time_t>(whole);
    at.it_value.tv_nsec = static_cast<long>((how_long.count() - whole) * 1e9);
    checked(::timerfd_settime(timer_, 0, &at, nullptr), "timerfd_settime");
}

void loop::stop_timer()
{
    itimerspec never{};
    checked(::timerfd_settime(timer_, 0, &never, nullptr), "timerfd_settime");
}

std::size_t loop::wait()
{
    std::array<epoll_event, most_ready> events;
    auto n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
    if (n < 0 && errno == EINTR) return 0;
    checked(n, "epoll_wait");
    for (int i = 0; i < n; ++i)
        ready_[static_cast<std::size_t>(i)] = events[static_cast<std::size_t>(i)].data.u64;
    return static_cast<std::size_t>(n);
}

} // namespace bench::floor
