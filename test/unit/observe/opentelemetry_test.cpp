#ifdef PGCORO_TEST_OPENTELEMETRY
#include <pgcoro/observe/opentelemetry.hpp>

#include <opentelemetry/trace/noop.h>
#include <opentelemetry/trace/span_context.h>
#include <opentelemetry/trace/tracer.h>

#include <boost/test/unit_test.hpp>

#include <deque>
#include <memory>
#include <variant>

using namespace pgcoro;
namespace trace = opentelemetry::trace;
namespace nostd = opentelemetry::nostd;
namespace common = opentelemetry::common;

namespace
{

std::string text(nostd::string_view v) { return {v.data(), v.size()}; }

// What the tracer was told of a span.
struct told_span
{
    std::string name;
    trace::SpanContext parent = trace::SpanContext::GetInvalid();
    std::map<std::string, std::string> attributes;
    bool failed = false;
    bool ended = false;
    common::SteadyTimestamp began;
    common::SteadyTimestamp end;
};

// A span of the API that writes down what it is told.
class recording_span final : public trace::Span
{
public:
    recording_span(told_span& to, trace::SpanContext own)
        : to_(to)
        , own_(std::move(own))
    {}

    void SetAttribute(nostd::string_view key, const common::AttributeValue& value) noexcept override
    {
        if (auto* v = nostd::get_if<nostd::string_view>(&value)) to_.attributes[text(key)] = text(*v);
    }
    void SetStatus(trace::StatusCode code, nostd::string_view) noexcept override
    {
        to_.failed = code == trace::StatusCode::kError;
    }
    void UpdateName(nostd::string_view name) noexcept override { to_.name = text(name); }
    void End(const trace::EndSpanOptions& how) noexcept override
    {
        to_.ended = true;
        to_.end = how.end_steady_time;
    }
    trace::SpanContext GetContext() const noexcept override { return own_; }
    bool IsRecording() const noexcept override { return true; }

    void AddEvent(nostd::string_view) noexcept override {}
    void AddEvent(nostd::string_view, common::SystemTimestamp) noexcept override {}
    void AddEvent(nostd::string_view, common::SystemTimestamp,
                  const common::KeyValueIterable&) noexcept override
    {}

private:
    told_span& to_;
    const trace::SpanContext own_;
};

class recording_tracer final : public trace::Tracer
{
public:
    nostd::shared_ptr<trace::Span> StartSpan(nostd::string_view name, const common::KeyValueIterable&,
                                             const trace::SpanContextKeyValueIterable&,
                                             const trace::StartSpanOptions& how) noexcept override
    {
        auto& told = spans.emplace_back();
        told.name = text(name);
        told.parent = nostd::get<trace::SpanContext>(how.parent);
        told.began = how.start_steady_time;
        auto made = trace_context::make();
        trace::SpanContext own(told.parent.trace_id(),
                               trace::SpanId({made.span_id.data(), made.span_id.size()}),
                               trace::TraceFlags(1), false);
        return nostd::shared_ptr<trace::Span>(new recording_span(told, own));
    }

#if OPENTELEMETRY_ABI_VERSION_NO == 1
    void ForceFlushWithMicroseconds(std::uint64_t) noexcept override {}
    void CloseWithMicroseconds(std::uint64_t) noexcept override {}
#endif

    std::deque<told_span> spans;
};

class recording_provider final : public trace::TracerProvider
{
public:
    nostd::shared_ptr<trace::Tracer> GetTracer(nostd::string_view, nostd::string_view,
                                               nostd::string_view) noexcept override
    {
        return nostd::shared_ptr<trace::Tracer>(tracer);
    }

    std::shared_ptr<recording_tracer> tracer = std::make_shared<recording_tracer>();
};

} // namespace

BOOST_AUTO_TEST_SUITE(opentelemetry_adapter)

BOOST_AUTO_TEST_CASE(a_span_has_the_parent_times_and_attributes_it_was_told_with_and_the_tracers_id)
{
    auto* provider = new recording_provider;
    opentelemetry_spans spans{opentelemetry_spans::provider_ptr(provider)};
    span_event e;
    e.begin.of = span_of::statement;
    e.begin.parent = trace_context::make();
    e.begin.own = e.begin.parent.child();
    e.begin.begun = std::chrono::steady_clock::time_point(std::chrono::seconds(5));
    auto proposed = e.begin.own;
    spans.on_span_begin(e.begin);
    BOOST_TEST(e.begin.own.trace_id_text() == proposed.trace_id_text());
    BOOST_TEST(e.begin.own.span_id_text() != proposed.span_id_text());

    e.duration = std::chrono::seconds(2);
    e.sql = "select * from account";
    e.sqlstate = e.error_type = "57014";
    spans.on_span(e);
    BOOST_REQUIRE(provider->tracer->spans.size() == 1u);
    auto& told = provider->tracer->spans.front();
    BOOST_TEST(told.name == "SELECT account");
    BOOST_TEST(told.attributes.at("db.response.status_code") == "57014");
    BOOST_TEST(told.attributes.count("db.query.text") == 0u);
    BOOST_TEST(told.failed);
    BOOST_TEST(told.ended);
    BOOST_TEST((told.end.time_since_epoch() - told.began.time_since_epoch() == std::chrono::seconds(2)));
    char parent[16];
    told.parent.span_id().ToLowerBase16(parent);
    BOOST_TEST(std::string(parent, 16) == e.begin.parent.span_id_text());
}

BOOST_AUTO_TEST_CASE(without_a_tracer_nothing_is_changed_or_kept)
{
    opentelemetry_spans spans{opentelemetry_spans::provider_ptr(new trace::NoopTracerProvider)};
    span_event e;
    e.begin.parent = trace_context::make();
    e.begin.own = e.begin.parent.child();
    auto proposed = e.begin.own;
    spans.on_span_begin(e.begin);
    BOOST_TEST((e.begin.own == proposed));
    spans.on_span(e);
}

BOOST_AUTO_TEST_SUITE_END()
#endif
