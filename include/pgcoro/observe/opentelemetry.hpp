/// Spans for OpenTelemetry. In a library of its own, pgcoro::opentelemetry, built where opentelemetry-cpp is
/// found.
#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observer/observer.hpp>

#include <opentelemetry/trace/span.h>
#include <opentelemetry/trace/tracer_provider.h>

#include <map>
#include <mutex>

namespace PGCORO_API pgcoro
{

/// What OpenTelemetry calls the present span, as a parent: `pool.traced(pgcoro::to_trace_context(*span))`.
trace_context to_trace_context(opentelemetry::trace::Span& span);

/// How spans are told to OpenTelemetry.
struct opentelemetry_options
{
    bool query_text = false; ///< see `make_span_record`
};

/// An observer that has OpenTelemetry's tracer "pgcoro" make a span for each of the layer's, with the same
/// parents, times and attributes; put it into `pool_options::observer`, or behind metrics:
///
///     pgcoro::opentelemetry_spans spans(opentelemetry::trace::Provider::GetTracerProvider());
///     pgcoro::metrics metrics({.next = &spans});
///
/// The ids are OpenTelemetry's, in SQL comments too. Thread-safe.
class opentelemetry_spans final : public observer
{
public:
    using provider_ptr = opentelemetry::nostd::shared_ptr<opentelemetry::trace::TracerProvider>;

    explicit opentelemetry_spans(const provider_ptr& provider, opentelemetry_options options = {});

    bool wants_spans() const noexcept override { return true; }
    void on_span_begin(span_begin& s) noexcept override;
    void on_span(const span_event& e) noexcept override;

private:
    using span_ptr = opentelemetry::nostd::shared_ptr<opentelemetry::trace::Span>;

    const opentelemetry_options options_;
    opentelemetry::nostd::shared_ptr<opentelemetry::trace::Tracer> tracer_;
    std::mutex mutex_;
    std::map<decltype(trace_context::span_id), span_ptr> open_; // by their own ids
};

} // namespace pgcoro
