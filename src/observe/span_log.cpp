#include <pgcoro/observe/span_log.hpp>

#include "observe/seconds.hpp"
#include "observe/utf8.hpp"
#include "sql/normalized.hpp"
#include "sql/statement.hpp"

#include <algorithm>
#include <new>

namespace pgcoro
{

namespace
{

constexpr std::size_t longest_parsed = 16 * 1024; // what is longer is not parsed
constexpr std::size_t longest_summary = 255;      // OpenTelemetry's bound

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The command, in upper case: the first word behind spaces, comments and parentheses.
std::string command_of(std::string_view sql)
{
    for (;;) {
        while (!sql.empty() && (is_space(sql.front()) || sql.front() == '(')) sql.remove_prefix(1);
        bool line = sql.starts_with("--");
        if (!line && !sql.starts_with("/*")) break;
        auto end = sql.find(line ? "\n" : "*/");
        sql.remove_prefix(end == sql.npos ? sql.size() : end + (line ? 1 : 2));
    }
    std::string word;
    for (char c : sql) {
        bool lower = c >= 'a' && c <= 'z';
        if (!lower && !(c >= 'A' && c <= 'Z')) break;
        word += lower ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return word;
}

// "SELECT account owner": the command and what it reads or writes, as OpenTelemetry has it.
std::string summary_of(std::string_view sql, const std::string& command)
{
    auto summary = command;
    if (sql.size() > longest_parsed) return summary;
    for (auto& table : sql::parse(sql).tables) {
        auto name = table.schema.empty() ? table.object : table.schema + '.' + table.object;
        if (summary.size() + 1 + name.size() > longest_summary) break;
        summary += ' ' + name;
    }
    return summary;
}

} // namespace

span_record make_span_record(const span_event& e, bool query_text)
{
    span_record r;
    auto& b = e.begin;
    r.trace_id = b.own.trace_id_text();
    r.span_id = b.own.span_id_text();
    r.parent_id = b.parent.span_id_text();
    r.time = std::chrono::duration<double>(b.at.time_since_epoch()).count();
    r.duration = detail::seconds(e.duration);
    r.failed = !e.error_type.empty();
    bool remote = b.of == span_of::statement || b.of == span_of::pipeline || b.of == span_of::connect;
    r.kind = remote ? "client" : "internal";

    auto& a = r.attributes;
    auto put = [&](const char* key, std::string_view value) {
        if (!value.empty()) a.emplace(key, detail::to_utf8(value));
    };
    put("db.system.name", "postgresql");
    put("db.namespace", e.database);
    put("server.address", e.host);
    put("server.port", e.port);
    put("db.response.status_code", e.sqlstate);
    put("error.type", e.error_type);
    put("db.client.connection.pool.name", e.pool);
    put("pgcoro.operation", e.operation);
    if (b.of == span_of::statement) {
        auto command = command_of(e.sql);
        auto summary = summary_of(e.sql, command);
        put("db.operation.name", command);
        put("db.query.summary", summary);
        if (query_text && e.sql.size() <= longest_parsed) put("db.query.text", sql::without_constants(e.sql));
        if (!r.failed) a["db.response.returned_rows"] = std::to_string(e.rows);
        r.name = summary.empty() ? "statement" : detail::to_utf8(summary);
        return r;
    }
    r.name = to_string(b.of);
    if (b.of == span_of::attempt) a["pgcoro.attempt"] = std::to_string(e.attempt);
    if (b.of == span_of::transaction) {
        a["pgcoro.attempts"] = std::to_string(e.attempt);
        if (!e.operation.empty()) r.name.append(" ").append(detail::to_utf8(e.operation));
    }
    return r;
}

span_log::span_log(span_log_options options)
    : options_(std::move(options))
{}

void span_log::on_span(const span_event& e) noexcept
{
    try {
        auto made = make_span_record(e, options_.query_text);
        if (options_.on_span) options_.on_span(made);
        if (options_.capacity == 0) return;
        std::lock_guard lock(mutex_);
        if (ring_.size() < options_.capacity) {
            ring_.push_back(std::move(made));
            return;
        }
        ring_[next_] = std::move(made);
        next_ = (next_ + 1) % options_.capacity;
    } catch (const std::bad_alloc&) { // not kept
    }
}

std::vector<span_record> span_log::all() const
{
    std::lock_guard lock(mutex_);
    std::vector<span_record> out(ring_);
    std::rotate(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(next_), out.end());
    return out;
}

std::vector<span_record> span_log::of(const trace_context& trace) const
{
    auto out = all();
    auto id = trace.trace_id_text();
    std::erase_if(out, [&](auto& s) { return s.trace_id != id; });
    return out;
}

void span_log::clear()
{
    std::lock_guard lock(mutex_);
    ring_.clear();
    next_ = 0;
}

} // namespace pgcoro
