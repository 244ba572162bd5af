// Statements of a user who is traced: each has a span and, if wanted, the context in its text.
#include "connection/exchange.hpp"
#include "connection/session.hpp"

namespace pgcoro::detail
{

namespace
{

// The form of sqlcommenter (google.github.io/sqlcommenter/spec), behind the text, so that positions in it
// stay right; on a line of its own where the last one may end in a comment, which would swallow it.
std::string with_traceparent(std::string_view sql, const trace_context& context)
{
    auto last_line = sql.substr(sql.rfind('\n') + 1);
    std::string text(sql);
    text += last_line.find("--") == last_line.npos ? ' ' : '\n';
    return text.append("/*traceparent='").append(context.traceparent()).append("'*/");
}

} // namespace

void session::trace(const trace_context& context) noexcept
{
    trace_ = context;
    bool spans = options_->observer && options_->observer->wants_spans();
    traced_ = context.sampled() && context.valid() && (spans || options_->traceparent_comments);
}

open_span_ptr session::span(span_of of, std::string_view sql) const
{
    if (!traced_) return nullptr;
    auto made = open_span::begin(options_->observer, of, trace_);
    if (!made) return nullptr;
    place(*made);
    made->event().sql = sql;
    made->event().operation = operation_;
    return made;
}

void session::place(open_span& s) const
{
    s.at(label_, PQdb(wire_->get()), PQhost(wire_->get()), PQport(wire_->get()));
}

std::string session::comment(std::string_view sql, const open_span* under) const
{
    if (!traced_ || !options_->traceparent_comments) return {};
    return with_traceparent(sql, under ? under->context() : trace_);
}

asio::awaitable<result> session::run(request r) { return traced_ ? run_traced(r) : run_plain(r); }

asio::awaitable<result> session::run_traced(request r)
{
    auto under = span(span_of::statement, r.sql);
    auto commented = r.describe ? std::string() : comment(r.sql, under.get());
    r.sent_as = commented;
    auto running = run_plain(r);
    co_return co_await spanned(under.get(), std::move(running), &open_span::gave);
}

asio::awaitable<void> session::command(std::string_view sql, time_point deadline, std::string& tag)
{
    return traced_ ? command_traced(sql, deadline, tag) : command_plain(sql, deadline, tag);
}

asio::awaitable<void> session::command_traced(std::string_view sql, time_point deadline, std::string& tag)
{
    auto under = span(span_of::statement, sql);
    std::exception_ptr failure;
    try {
        co_await command_plain(sql, deadline, tag);
        if (under) under->end();
        co_return;
    } catch (...) {
        failure = std::current_exception();
    }
    if (under) under->failed(failure);
    std::rethrow_exception(failure);
}

} // namespace pgcoro::detail
