#include <pgcoro/observe/opentelemetry.hpp>
#include <pgcoro/observe/span_log.hpp>
#include <pgcoro/version.hpp>

#include <opentelemetry/trace/span_context.h>
#include <opentelemetry/trace/span_startoptions.h>
#include <opentelemetry/trace/tracer.h>

#include <algorithm>
#include <new>

namespace pgcoro
{

namespace trace = opentelemetry::trace;
namespace nostd = opentelemetry::nostd;

namespace
{

trace_context from(const trace::SpanContext& c)
{
    trace_context made;
    auto trace_id = c.trace_id().Id();
    auto span_id = c.span_id().Id();
    std::copy(trace_id.begin(), trace_id.end(), made.trace_id.begin());
    std::copy(span_id.begin(), span_id.end(), made.span_id.begin());
    made.flags = c.IsSampled() ? trace_context::sampled_flag : 0;
    return made;
}

trace::SpanContext to(const trace_context& c)
{
    return {trace::TraceId(nostd::span<const std::uint8_t, trace::TraceId::kSize>(c.trace_id)),
            trace::SpanId(nostd::span<const std::uint8_t, trace::SpanId::kSize>(c.span_id)),
            trace::TraceFlags(c.flags), false};
}

nostd::string_view view(const std::string& text) { return {text.data(), text.size()}; }

} // namespace

trace_context to_trace_context(trace::Span& span) { return from(span.GetContext()); }

opentelemetry_spans::opentelemetry_spans(const provider_ptr& provider, opentelemetry_options options)
    : options_(options)
    , tracer_(provider->GetTracer("pgcoro", PGCORO_VERSION_STRING))
{}

void opentelemetry_spans::on_span_begin(span_begin& s) noexcept
{
    try {
        trace::StartSpanOptions how;
        how.parent = to(s.parent);
        how.start_system_time = opentelemetry::common::SystemTimestamp(s.at);
        how.start_steady_time = opentelemetry::common::SteadyTimestamp(s.begun);
        bool remote = s.of == span_of::statement || s.of == span_of::pipeline || s.of == span_of::connect;
        how.kind = remote ? trace::SpanKind::kClient : trace::SpanKind::kInternal;
        auto name = to_string(s.of); // until its statement is told
        auto made = tracer_->StartSpan(nostd::string_view(name.data(), name.size()), how);
        auto own = from(made->GetContext());
        if (!own.valid()) return; // nobody records
        s.own = own;
        std::lock_guard lock(mutex_);
        open_.emplace(own.span_id, made);
    } catch (const std::bad_alloc&) { // not told
    }
}

void opentelemetry_spans::on_span(const span_event& e) noexcept
{
    try {
        span_ptr span;
        {
            std::lock_guard lock(mutex_);
            auto it = open_.find(e.begin.own.span_id);
            if (it == open_.end()) return;
            span = it->second;
            open_.erase(it);
        }
        if (span->IsRecording()) {
            auto told = make_span_record(e, options_.query_text);
            span->UpdateName(view(told.name));
            for (auto& [key, value] : told.attributes) span->SetAttribute(view(key), view(value));
            if (told.failed) span->SetStatus(trace::StatusCode::kError, view(told.attributes["error.type"]));
        }
        trace::EndSpanOptions how;
        how.end_steady_time = opentelemetry::common::SteadyTimestamp(e.begin.begun + e.duration);
        span->End(how);
    } catch (const std::bad_alloc&) { // ends with its last reference
    }
}

} // namespace pgcoro
