#include "monitor/answer.hpp"

#include "observe/json_text.hpp"

#include <boost/beast/http/status.hpp>
#include <boost/json/object.hpp>

namespace pgcoro::detail
{

answer to_answer(const problem& p)
{
    auto title = boost::beast::http::obsolete_reason(p.status());
    boost::json::object body{{"type", "about:blank"},
                             {"title", boost::json::string_view(title.data(), title.size())},
                             {"status", static_cast<unsigned>(p.status())},
                             {"detail", p.what()}};
    answer a;
    a.status = p.status();
    a.type = "application/problem+json";
    a.body = json_text(std::move(body));
    a.allow = p.allow();
    return a;
}

} // namespace pgcoro::detail
