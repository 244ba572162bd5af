// What is wrong with a request, as RFC 9457 has it.
#pragma once

#include <boost/beast/http/status.hpp>

#include <stdexcept>
#include <string>
#include <utility>

namespace pgcoro::detail
{

class problem : public std::runtime_error
{
public:
    problem(boost::beast::http::status status, const std::string& detail)
        : std::runtime_error(detail)
        , status_(status)
    {}
    problem(boost::beast::http::status status, const std::string& detail, std::string allow)
        : problem(status, detail)
    {
        allow_ = std::move(allow);
    }

    boost::beast::http::status status() const noexcept { return status_; }
    // Of a method that is not: those that are.
    const std::string& allow() const noexcept { return allow_; }

private:
    boost::beast::http::status status_;
    std::string allow_;
};

} // namespace pgcoro::detail
