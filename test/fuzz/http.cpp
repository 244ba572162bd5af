/// What a monitor reads from its socket: must end in a call that is in order, or in a problem that is JSON.

#include "monitor/answer.hpp"
#include "monitor/request.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/json/parse.hpp>

#include <cstdint>
#include <cstdlib>

using namespace pgcoro::detail;
namespace http = boost::beast::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size < 1) return 0;
    admission who;
    who.allow_invalidation = data[0] & 1;
    if (data[0] & 2) who.token = "secret";
    if (data[0] & 4) who.hosts = {"db.internal"};
    http::request_parser<http::string_body> parser;
    parser.header_limit(8'192);
    parser.body_limit(4'096);
    parser.eager(true);
    boost::system::error_code failed;
    parser.put(boost::asio::buffer(data + 1, size - 1), failed);
    if (failed || !parser.is_done()) return 0;
    try {
        auto c = understand(parser.get(), who);
        if (c.from && c.to && *c.from > *c.to) std::abort();
        if (c.step < 0 || c.step > 86'400) std::abort();
    } catch (const problem& p) {
        auto status = static_cast<unsigned>(p.status());
        if (status < 400 || status > 499) std::abort();
        boost::json::parse(to_answer(p).body); // throws, which nobody catches, when it is none
    }
    return 0;
}
