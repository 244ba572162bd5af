// Statements of a user who is traced: each has a span and, if wanted, the context in its text.
#include "connection/session_impl.hpp"

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
    auto& s = *impl_;
    s.parent = context;
    bool spans = s.options->observer && s.options->observer->wants_spans();
    s.traced = context.sampled() && context.valid() && (spans || s.options->traceparent_comments);
}

open_span_ptr session::span(span_of of, std::string_view sql) const { return impl_->span(of, sql); }
void session::place(open_span& s) const { impl_->place(s); }

open_span_ptr session_impl::span(span_of of, std::string_view sql) const
{
    if (!traced) return nullptr;
    auto made = open_span::begin(options->observer, of, parent);
    if (!made) return nullptr;
    place(*made);
    made->event().sql = sql;
    made->belongs_to(operation_name);
    return made;
}

void session_impl::place(open_span& s) const { s.at(label, PQdb(pg()), PQhost(pg()), PQport(pg())); }

std::string session_impl::comment(std::string_view sql, const open_span* under) const
{
    if (!traced || !options->traceparent_comments) return {};
    return with_traceparent(sql, under ? under->context() : parent);
}

asio::awaitable<result> session_impl::run_traced(request r)
{
    auto under = span(span_of::statement, r.sql);
    auto commented = r.describe ? std::string() : comment(r.sql, under.get());
    r.sent_as = commented;
    auto running = run_plain(r);
    co_return co_await spanned(under.get(), std::move(running), &open_span::gave);
}

asio::awaitable<void> session_impl::command_traced(std::string_view sql, time_limit limit, std::string& tag)
{
    auto under = span(span_of::statement, sql);
    std::exception_ptr failure;
    try {
        co_await command_plain(sql, limit, tag);
        if (under) under->end();
        co_return;
    } catch (...) {
        failure = std::current_exception();
    }
    if (under) under->failed(failure);
    std::rethrow_exception(failure);
}

} // namespace pgcoro::detail
