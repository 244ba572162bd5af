#pragma once

#include "integration/beside.hpp"
#include "integration/fixture.hpp"
#include "integration/run.hpp"

#include <pgcoro/connection/connection.hpp>
#include <pgcoro/error/error.hpp>
#include <pgcoro/observer/observer.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace asio = boost::asio;

/// Options for the shared server, over its Unix socket.
inline pgcoro::connection_options shared_options()
{
    return pgcoro::connection_options::from_uri(shared_server().uri());
}

/// Runs `body(connection&)` on a new connection.
template <class Body>
void with_connection(pgcoro::connection_options options, Body&& body)
{
    run([&]() -> asio::awaitable<void> {
        auto conn = co_await pgcoro::connection::connect(options);
        co_await body(conn);
    });
}
template <class Body>
void with_connection(Body&& body)
{
    with_connection(shared_options(), body);
}

/// The exception that an operation ends with; another kind passes through, none is a failure.
template <class Error, class T>
asio::awaitable<Error> failure_of(asio::awaitable<T> operation)
{
    std::optional<Error> caught;
    try {
        co_await std::move(operation);
    } catch (const Error& e) {
        caught.emplace(e);
    }
    if (!caught) throw std::runtime_error("the operation succeeded and should have failed");
    co_return *caught;
}

/// The error that connecting ends with.
inline pgcoro::connection_error connect_failure(pgcoro::connection_options options)
{
    return run([&] { return failure_of<pgcoro::connection_error>(pgcoro::connection::connect(options)); });
}

/// The connection still does what it should, which is the end of many tests.
inline asio::awaitable<void> check_usable(pgcoro::connection& conn)
{
    auto four = co_await conn.query_value<int>("select 2 + 2");
    BOOST_TEST(four == 4);
    BOOST_TEST(conn.is_open());
}

/// An environment variable for as long as the object lives.
class scoped_env
{
public:
    scoped_env(const char* name, const std::string& value)
        : name_(name)
    {
        if (auto* before = std::getenv(name)) before_ = before;
        ::setenv(name, value.c_str(), 1);
    }
    scoped_env(const scoped_env&) = delete;
    scoped_env& operator=(const scoped_env&) = delete;
    ~scoped_env()
    {
        if (before_)
            ::setenv(name_, before_->c_str(), 1);
        else
            ::unsetenv(name_);
    }

private:
    const char* name_;
    std::optional<std::string> before_;
};

inline bool contains(const std::string& text, std::string_view part)
{
    return text.find(part) != std::string::npos;
}

namespace pgcoro
{

inline std::ostream& operator<<(std::ostream& out, connection_failure f) { return out << to_string(f); }
inline std::ostream& operator<<(std::ostream& out, sqlstate s) { return out << s.str(); }

} // namespace pgcoro
