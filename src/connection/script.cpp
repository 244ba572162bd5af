// Several statements in one text, by the simple protocol.
#include "connection/diagnostics.hpp"
#include "connection/exchange.hpp"
#include "connection/operation.hpp"

#include <algorithm>
#include <stdexcept>

namespace pgcoro::detail
{
namespace
{

// The line of a position that is counted in characters from 1; 0 when there is none.
std::size_t line_of(std::string_view text, int position)
{
    if (position <= 0) return 0;
    std::size_t line = 1;
    int character = 1;
    for (char c : text) {
        if (character >= position) break;
        if (c == '\n') ++line;
        if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) ++character; // UTF-8: not the first of its bytes
    }
    return line;
}

} // namespace

asio::awaitable<std::uint64_t> session::run_script(statement_host& host, std::string sql)
{
    co_await make_ready(sql);
    check(sql, 0);
    auto with = host.begin(sql);
    auto text = text_before(with);
    auto offset = text.size();
    text += sql;
    if (!with.after.empty()) text.append("\n; ").append(with.after);

    auto begun = std::chrono::steady_clock::now();
    operation op(*this, work::statement, std::min(response_deadline(), with.deadline));
    note_script(sql);
    need(PQsendQuery(wire_->get(), text.c_str()), sql);
    wire_->flush();
    std::uint64_t done = 0;
    std::uint64_t statements = 0; // of the script
    bool copied = false;
    result_ptr error;
    result_ptr last; // where something goes after the script, its result in the end
    for (;;) {
        auto answer = co_await wire_->next_result();
        if (!answer) break;
        switch (PQresultStatus(answer.get())) {
        case PGRES_EMPTY_QUERY:
            break;
        case PGRES_COPY_IN:
            PQputCopyEnd(wire_->get(), "a script has no data: use copy_in");
            wire_->flush();
            break;
        case PGRES_COPY_OUT: // nobody wants it; told when it is through
            copied = true;
            co_await wire_->discard_copy();
            break;
        case PGRES_FATAL_ERROR:
        case PGRES_BAD_RESPONSE:
        case PGRES_NONFATAL_ERROR:
            if (!error) error = std::move(answer);
            break;
        default:
            if (drops_statements(answer.get())) statements_.clear();
            if (++done > with.before.size()) ++statements;
            last = std::move(answer);
        }
        if (wire_->broken()) break;
    }
    bool in_time = op.finish();
    if (options_->observer) report({.sql = sql, .error = error.get(), .begun = begun});
    if (!in_time) fail_overdue(sql);
    if (wire_->broken() || (error && is_fatal(error.get()))) fail(error.get(), sql);
    if (error) {
        auto d = read_diagnostics(error.get());
        if (d.position > static_cast<int>(offset)) d.position -= static_cast<int>(offset);
        auto line = line_of(sql, d.position);
        server_error e(std::move(d), sql);
        e.add_note("in statement " + std::to_string(statements + 1) + " of the script" +
                   (line > 0 ? ", in line " + std::to_string(line) : ""));
        throw e;
    }
    if (copied)
        throw std::logic_error(
            "pgcoro: COPY … TO STDOUT in a script: its rows were thrown away; use copy_out");
    if (!with.after.empty() && last) host.told(first_value(last.get()));
    co_return statements - (with.after.empty() ? 0 : 1);
}

} // namespace pgcoro::detail
