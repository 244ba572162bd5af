/// Spans as they are exported, and a place to keep the last of them: tracing without any exporter.
#pragma once

#include <pgcoro/export.hpp>
#include <pgcoro/observer/observer.hpp>

#include <boost/describe/class.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace PGCORO_API pgcoro
{

/// A span that ended, named as OpenTelemetry's conventions for database clients have it. Described, so that
/// `boost::json::value_from` gives it as JSON.
struct span_record
{
    std::string name; ///< "SELECT account", "transaction transfer", "acquire" …
    std::string kind; ///< "client" for what goes to the server, else "internal"
    std::string trace_id;
    std::string span_id;
    std::string parent_id;
    double time = 0;     ///< of its beginning, since 1970
    double duration = 0; ///< seconds
    bool failed = false;
    /// db.system.name, db.namespace, db.operation.name, db.query.summary, server.address, server.port,
    /// db.response.status_code, error.type …; never a parameter.
    std::map<std::string, std::string> attributes;
};
BOOST_DESCRIBE_STRUCT(span_record, (),
                      (name, kind, trace_id, span_id, parent_id, time, duration, failed, attributes))

/// Describes a span. `query_text` adds db.query.text: the statement without its constants and comments, made
/// in some 50 µs; it is left out if PostgreSQL 15's parser does not understand the statement.
span_record make_span_record(const span_event& e, bool query_text = false);

/// What a span_log keeps, and whom it tells.
struct span_log_options
{
    std::size_t capacity = 1'000; ///< the last so many spans are kept; 0: none
    bool query_text = false;      ///< see `make_span_record`

    /// Called for each span with no lock held, from whatever thread ended it, several at once; it must be
    /// quick, and not throw. Null: nobody.
    std::function<void(const span_record&)> on_span;
};

/// An observer that keeps spans, or hands them on. Put it into `pool_options::observer`, or behind metrics:
///
///     pgcoro::span_log spans;
///     pgcoro::metrics metrics({.next = &spans});
///     options.observer = &metrics;
///     …
///     co_await pool.traced(parent).query("select …");
///
/// A span is kept when it ends: children come before their parents. Thread-safe.
class span_log final : public observer
{
public:
    explicit span_log(span_log_options options = {});

    /// Those that are kept, in the order of their ends.
    std::vector<span_record> all() const;
    /// The same, of one trace.
    std::vector<span_record> of(const trace_context& trace) const;
    void clear();

    bool wants_spans() const noexcept override { return true; }
    void on_span(const span_event& e) noexcept override;

private:
    const span_log_options options_;
    mutable std::mutex mutex_;
    std::vector<span_record> ring_; // once full, next_ is the oldest
    std::size_t next_ = 0;
};

} // namespace pgcoro
