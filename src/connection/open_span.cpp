#include "connection/open_span.hpp"

#include <pgcoro/error/error.hpp>
#include <pgcoro/resilience/failure.hpp>

namespace pgcoro::detail
{

namespace
{

// OpenTelemetry's word for an error that has no name of its own here.
constexpr std::string_view some_error = "_OTHER";

std::string_view type_of(const error& e) noexcept
{
    if (auto* c = dynamic_cast<const connection_error*>(&e)) {
        if (c->why() == connection_failure::lost) return "connection_lost";
        return c->why() == connection_failure::timeout ? "connection_timeout" : "connection_failed";
    }
    if (dynamic_cast<const pool_timeout*>(&e)) return "pool_timeout";
    if (dynamic_cast<const pool_closed*>(&e)) return "pool_closed";
    if (dynamic_cast<const commit_unknown*>(&e)) return "commit_unknown";
    if (dynamic_cast<const deadline_exceeded*>(&e)) return "deadline_exceeded";
    if (dynamic_cast<const circuit_open*>(&e)) return "circuit_open";
    if (dynamic_cast<const mapping_error*>(&e)) return "mapping_error";
    return some_error;
}

} // namespace

open_span_ptr open_span::begin(observer* told, span_of of, const trace_context& parent)
{
    if (!told || !parent.sampled() || !parent.valid() || !told->wants_spans()) return nullptr;
    return open_span_ptr(new open_span(*told, of, parent));
}

open_span::open_span(observer& told, span_of of, const trace_context& parent)
    : told_(told)
{
    event_.begin = {of, parent, parent.child(), std::chrono::system_clock::now(),
                    std::chrono::steady_clock::now()};
    told_.on_span_begin(event_.begin);
}

open_span::~open_span()
{
    if (ended_) return;
    event_.error_type = "cancelled";
    end();
}

void open_span::at(std::string_view pool, const char* database, const char* host, const char* port)
{
    pool_ = pool;
    database_ = database ? database : "";
    host_ = host ? host : "";
    port_ = port ? port : "";
}

void open_span::end() noexcept
{
    if (ended_) return;
    ended_ = true;
    event_.duration = std::chrono::steady_clock::now() - event_.begin.begun;
    event_.pool = pool_;
    event_.database = database_;
    event_.host = host_;
    event_.port = port_;
    told_.on_span(event_);
}

void open_span::failed(const std::exception_ptr& why) noexcept
{
    if (ended_) return;
    try {
        std::rethrow_exception(why);
    } catch (const error& e) {
        auto code = e.sqlstate();
        if (code) event_.sqlstate = code.str();
        event_.error_type = code ? code.str() : type_of(e);
        end(); // while the code is there
    } catch (...) {
        event_.error_type = is_cancellation(why) ? "cancelled" : some_error;
        end();
    }
}

} // namespace pgcoro::detail
