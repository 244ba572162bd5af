// What is sent back.
#pragma once

#include "monitor/problem.hpp"

#include <boost/beast/http/status.hpp>

#include <string>

namespace pgcoro::detail
{

struct answer
{
    boost::beast::http::status status = boost::beast::http::status::ok;
    std::string type = "application/json";
    std::string body;
    std::string allow;      // of a method that is not: those that are
    bool keep_alive = true; // false: nothing more can be read of this connection
};

answer to_answer(const problem& p);

} // namespace pgcoro::detail
