// Several statements in one text, by the simple protocol.
#include "connection/clock.hpp"
#include "connection/diagnostics.hpp"
#include "connection/operation.hpp"
#include "connection/statement_text.hpp"

#include <stdexcept>

namespace pgcoro::detail
{
namespace
{

class script_answers final : public reply_handler
{
public:
    void answered(result_ptr got) override
    {
        if (PQresultStatus(got.get()) == PGRES_EMPTY_QUERY) return;
        ++succeeded;
        last = std::move(got);
    }
    void failed(round_trip::event, result_ptr why, bool) override
    {
        if (!error) error = std::move(why);
    }
    void copy_misused() override { copied = true; }

    std::size_t succeeded = 0;
    result_ptr last;
    result_ptr error;
    bool copied = false;
};

} // namespace

asio::awaitable<std::uint64_t> session_impl::run_script(statement_host& host, std::string sql)
{
    co_await make_ready(sql);
    check(sql, 0);
    auto with = host.begin(sql);
    auto text = text_before(with);
    auto offset = text.size();
    text += sql;
    if (!with.after.empty()) text.append("\n; ").append(with.after);

    script_answers answers;
    auto begun = clock::now();
    operation op(*this);
    begin(false);
    send_script(text, sql);
    socket->flush();
    bool in_time = co_await pump(answers, {.deadline = with.deadline});
    op.finish();
    auto* error = answers.error.get();
    if (options->observer) report({.sql = sql, .error = error, .begun = begun});
    if (!in_time) fail_overdue(sql);
    if (is_broken()) fail(error, sql);
    auto before = with.before.size();
    auto done = answers.succeeded > before ? answers.succeeded - before : 0;
    if (error) {
        auto d = read_diagnostics(error);
        if (d.position > static_cast<int>(offset)) d.position -= static_cast<int>(offset);
        auto line = line_of(sql, d.position);
        server_error e(std::move(d), sql);
        explain_refusal(e);
        e.add_note("in statement " + std::to_string(done + 1) + " of the script" +
                   (line > 0 ? ", in line " + std::to_string(line) : ""));
        throw e;
    }
    if (answers.copied)
        throw std::logic_error(
            "pgcoro: COPY … TO STDOUT in a script: its rows were thrown away; use copy_out");
    if (!with.after.empty() && answers.last) host.told(first_value(answers.last.get()));
    co_return done - (with.after.empty() ? 0 : 1);
}

} // namespace pgcoro::detail
