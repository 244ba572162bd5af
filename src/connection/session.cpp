#include "connection/clock.hpp"
#include "connection/connect.hpp"
#include "connection/diagnostics.hpp"
#include "connection/session_impl.hpp"
#include "connection/settings.hpp"

#include <pgcoro/observer/observer.hpp>

#include <algorithm>
#include <stdexcept>

namespace pgcoro::detail
{

session_impl::session_impl(std::shared_ptr<const connection_options> with, std::string name, std::unique_ptr<wire> w)
    : options(std::move(with))
    , label(std::move(name))
    , socket(std::move(w))
    , backend_pid(PQbackendPID(socket->get()))
    , stops(std::make_shared<stop_sender>(socket->get(), socket->executor(), options->cancel_encryption),
            socket->shared_guard())
    // A transaction's session behind a pooler is not the one that a statement was prepared in.
    , statements(options->pooler == pooler_mode::transaction ? 0 : options->statement_cache_size)
{
    if (options->pooler == pooler_mode::transaction) settings_of_transaction = settings_statement(*options, true);
    defaults.reported = reported_settings();
    PQsetNoticeReceiver(
        socket->get(),
        [](void* self, const PGresult* notice) {
            auto& s = *static_cast<session_impl*>(self);
            if (is_unreplicated_commit(notice)) s.unreplicated = true;
            // While nothing is asked of the server, libpq passes on as a notice also the error that ends the session.
            if (is_fatal(notice)) s.last_words = read_diagnostics(notice);
            s.copy_bytes.explained(size_of_notice(notice));
            if (!s.options->observer) return;
            auto d = read_diagnostics(notice);
            s.options->observer->on_notice({s.label, d.severity, d.sqlstate.str(), d.message, d.detail, d.hint});
        },
        this);
}

std::string session_impl::peer() const { return describe_peer(pg(), backend_pid); }

void session_impl::check_idle() const
{
    if (stops.busy())
        throw std::logic_error("pgcoro: an operation is already under way on this connection; one at a time");
}

void session_impl::fail(const PGresult* error, std::string_view sql)
{
    if (socket->broken() || (error && is_fatal(error))) broken = true;
    if (socket->guard().is_cut()) fail_overdue(sql); // which is why it broke
    if (!error && last_words) throw_lost(*last_words, pg(), backend_pid, sql);
    try {
        throw_result_error(error, pg(), backend_pid, sql, broken);
    } catch (pgcoro::error& e) {
        explain_refusal(e);
        throw;
    }
}

void session_impl::note_left(std::string_view sql) noexcept
{
    try {
        left_early = sql;
    } catch (...) { // no memory: the server's error says less
    }
}

void session_impl::explain_refusal(error& e) const
{
    constexpr sqlstate in_failed_transaction("25P02");
    if (left_early.empty() || e.sqlstate() != in_failed_transaction) return;
    e.add_note("the transaction failed because a stream or COPY was left before its end, which stops its statement: read it to "
               "its end, limit it in SQL, or leave it in a savepoint() that throws: " +
               left_early);
}

void session_impl::fail_overdue(std::string_view sql)
{
    broken = true;
    std::string what =
        "no answer from the server (" + peer() + ") within the time given, so the connection was given up";
    if (!sql.empty())
        what += ". A statement's time is statement_timeout " +
                std::to_string(options->statement_timeout.count()) + " ms + response_grace " +
                std::to_string(options->response_grace.count()) +
                " ms: raise response_grace where SET raises statement_timeout";
    throw connection_error(connection_failure::timeout, what, {}, sql);
}

std::uint32_t session_impl::count_repeats(const void* known) noexcept
{
    repeats = known && known == last_known ? repeats + 1 : 1;
    last_known = known;
    return repeats;
}

void session_impl::report(const run_report& r)
{
    auto now = clock::now();
    query_event event;
    event.pool = label;
    event.sql = r.sql;
    event.duration = now - r.begun;
    event.rows = r.rows;
    auto code = r.error ? code_of(r.error) : sqlstate();
    if (code || !(r.error || socket->broken())) event.sqlstate = code.str();
    event.prepared_now = r.prepared_now;
    event.operation = operation_name;
    event.waited = std::exchange(waited, {});
    if (sent_at != steady_time()) {
        auto answered = answered_at == steady_time() ? now : answered_at;
        event.sending = sent_at - r.begun;
        event.server = answered - sent_at;
        event.receiving = now - answered;
    }
    event.bytes_sent = r.bytes_sent;
    event.bytes_received = r.bytes_received;
    event.repeats = r.repeats;
    options->observer->on_query(event);
}

host_reference::host_reference(statement_host& host)
    : host_(&host)
    , lent_(host.on().tenure())
{}

statement_host* host_reference::if_lent() const noexcept { return lent_->holder.load() ? host_ : nullptr; }

statement_host& host_reference::get() const
{
    if (auto* host = if_lent()) return *host;
    throw_not_lent();
}

void host_reference::throw_not_lent()
{
    throw std::logic_error("pgcoro: the connection that this pipeline, stream or COPY runs on was closed, or its lease "
                           "was released: create it again on the connection in use now");
}

session::session(std::unique_ptr<session_impl> impl) noexcept
    : impl_(std::move(impl))
{}

session::~session() { end_use(); }

asio::awaitable<owned<session>> session::connect(std::shared_ptr<const connection_options> options,
                                                 std::string label, time_point deadline)
{
    auto begun = clock::now();
    auto* observer = options->observer;
    auto span = open_span::begin(observer, span_of::connect, options->trace);
    owned<session> made;
    std::exception_ptr failure;
    try {
        auto opened = co_await open_connection(options, deadline);
        auto impl = std::make_unique<session_impl>(opened.in_force, label, std::move(opened.connection));
        impl->retirement = opened.retirement;
        if (!opened.settings.empty()) impl->effects.add_opening(std::move(opened.settings));
        made.reset(new session(std::move(impl)));
    } catch (const error&) {
        failure = std::current_exception();
    }
    if (observer) {
        const char* host = made ? PQhost(made->pg()) : nullptr;
        observer->on_connect({label, host ? host : "", clock::now() - begun, failure});
    }
    if (span) {
        auto of = [&](const char* key) {
            auto it = options->parameters.find(key);
            return it == options->parameters.end() ? nullptr : it->second.c_str();
        };
        span->at(label, of("dbname"), of("host"), of("port"));
        if (made) made->place(*span);
        if (failure)
            span->failed(failure);
        else
            span->end();
    }
    if (failure) std::rethrow_exception(failure);
    co_return made;
}

asio::awaitable<result> session::run(request r) { return impl_->traced && !r.internal ? impl_->run_traced(r) : impl_->run_plain(r); }

asio::awaitable<void> session::command(std::string_view sql, time_point deadline, std::string& tag)
{
    time_limit limit{.deadline = deadline};
    return impl_->traced ? impl_->command_traced(sql, limit, tag) : impl_->command_plain(sql, limit, tag);
}

asio::awaitable<std::uint64_t> session::run_script(statement_host& host, std::string sql)
{
    return impl_->run_script(host, std::move(sql));
}

asio::awaitable<std::optional<notification>> session::next_notification(std::chrono::milliseconds limit)
{
    return impl_->next_notification(limit);
}

asio::awaitable<void> session::ping(time_point deadline) { return impl_->ping(deadline); }
asio::awaitable<void> session::recover(time_point deadline, bool rollback) { return impl_->recover(deadline, rollback); }
asio::awaitable<void> session::make_ready(std::string_view sql) { return impl_->make_ready(sql); }
asio::awaitable<void> session::undo(time_point deadline, bool all) { return impl_->undo(deadline, all); }

std::optional<credential_schedule::window> session::retirement() const noexcept { return impl_->retirement; }
std::uint64_t session::sent() const noexcept { return impl_->sent; }
bool session::broken() const noexcept { return impl_->is_broken(); }
bool session::busy() const noexcept { return impl_->stops.busy(); }
bool session::ready() const noexcept { return impl_->is_ready(); }
bool session::clean() const noexcept
{
    return !impl_->stops.busy() && impl_->is_ready() && !impl_->is_broken() && impl_->is_idle();
}
PGTransactionStatusType session::transaction_status() const noexcept { return PQtransactionStatus(impl_->pg()); }
std::shared_ptr<one_shot> session::when_idle() { return impl_->stops.idle_event(); }

bool session::looks_dead()
{
    auto& s = *impl_;
    if (s.is_broken() || s.last_words) return true;
    return !s.socket->read_unasked() || s.last_words;
}

void session::give_up() noexcept { impl_->broken = true; }
void session::cancel() { impl_->stops.cancel(); }
void session::never_cancel(bool on) noexcept
{
    impl_->stops.never(on);
    if (on) impl_->unreplicated = false;
}
bool session::take_unreplicated() noexcept { return std::exchange(impl_->unreplicated, false); }
sqlstate session::last_word() const noexcept
{
    return impl_->last_words ? impl_->last_words->sqlstate : pgcoro::sqlstate();
}

void cutter::cut() const
{
    if (guard->foreign()) return; // the parent's
    server->send([](cancel_result) {});
    guard->cut();
}

cutter session::cut_from_outside() const
{
    return {impl_->socket->shared_guard(), impl_->stops.sender(), impl_->backend_pid};
}

const std::string& session::left_early() const noexcept { return impl_->left_early; }
bool session::dirty() const noexcept { return impl_->effects.any() || !impl_->speaks_utf8(); }
bool session::speaks_utf8() const noexcept { return impl_->speaks_utf8(); }
void session::watch_changes() noexcept { impl_->effects.watch(); }
void session::keep_changes() { impl_->effects.keep(); }
const session_context& session::context() const noexcept { return impl_->effects.context(); }
std::optional<std::string> session::context_key() const { return impl_->context_key(); }
asio::awaitable<void> session::learn_context() { return impl_->learn_context(); }

void session::end_holder() noexcept { impl_->end_holder(); }

void session::end_use() noexcept
{
    impl_->end_holder();
    if (!impl_->token) return;
    impl_->token->holder = nullptr;
    impl_->token.reset();
    impl_->statements.unpin_all();
}

void session::end_lease() noexcept
{
    impl_->traced = false;
    impl_->operation_name = {};
    impl_->waited = {};
    impl_->last_known = nullptr;
}

std::shared_ptr<const tenure> session::tenure()
{
    if (!impl_->token) impl_->token = std::make_shared<detail::tenure>(this);
    return impl_->token;
}

std::shared_ptr<const void> session::pin(std::string_view sql, const params& types)
{
    return impl_->statements.pin(sql, types);
}

PGconn* session::pg() const noexcept { return impl_->pg(); }
int session::backend_pid() const noexcept { return impl_->backend_pid; }
std::string session::peer() const { return impl_->peer(); }
const std::shared_ptr<socket_guard>& session::shared_guard() const noexcept { return impl_->socket->shared_guard(); }
const connection_options& session::options() const noexcept { return *impl_->options; }
const std::string& session::settings_of_transaction() const noexcept { return impl_->settings_of_transaction; }
server_knowledge& session::server() noexcept { return impl_->server; }
void session::set_watched() noexcept { impl_->watched = true; }

void session::name_operation(std::string_view name) noexcept { impl_->operation_name = name; }
std::string_view session::operation_name() const noexcept { return impl_->operation_name; }
void session::waited_for(std::chrono::nanoseconds time) noexcept { impl_->waited = time; }

} // namespace pgcoro::detail
