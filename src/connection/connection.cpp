#include <pgcoro/connection/connection.hpp>

#include "connection/session.hpp"

#include <pgcoro/detail/time.hpp>

#include <stdexcept>

namespace pgcoro
{

namespace asio = boost::asio;

asio::awaitable<connection> connection::connect(connection_options options)
{
    auto shared = std::make_shared<const connection_options>(std::move(options));
    auto made = co_await detail::session::connect(std::move(shared), {}, detail::session::time_point::max());
    co_return connection(std::move(made));
}

asio::awaitable<connection> connection::connect(std::string_view uri)
{
    return connect(connection_options::from_uri(uri));
}

connection::connection(detail::owned<detail::session> session) noexcept
    : session_(std::move(session))
{}
connection::connection(connection&&) noexcept = default;
connection& connection::operator=(connection&&) noexcept = default;
connection::~connection() = default;

detail::session& connection::session() const
{
    if (!session_) throw std::logic_error("pgcoro: this connection is closed, or was moved from");
    return *session_;
}

detail::statement_host& connection::host() const { return session(); }

asio::awaitable<result> connection::run_kept(std::string_view sql, const params& args)
{
    detail::request r;
    r.sql = sql;
    r.args = &args;
    return session().run(r);
}

asio::awaitable<void> connection::ping(std::chrono::milliseconds within)
{
    co_await session().ping(detail::time_after(within));
}

asio::awaitable<void> connection::reset(std::chrono::milliseconds within)
{
    auto& s = session();
    auto deadline = detail::time_after(within);
    s.end_holder();
    std::exception_ptr failure;
    try {
        co_await s.recover(deadline, true);
        if (s.options().pooler != pooler_mode::transaction) co_await s.undo(deadline, true);
        co_return;
    } catch (...) {
        failure = std::current_exception();
    }
    s.give_up();
    std::rethrow_exception(failure);
}

void connection::name_operation(std::string_view name) noexcept
{
    if (session_) session_->name_operation(name);
}

void connection::trace(const trace_context& parent) noexcept
{
    if (session_) session_->trace(parent);
}

void connection::cancel()
{
    if (session_ && session_->busy()) session_->cancel();
}

void connection::close() noexcept { session_.reset(); }

bool connection::is_open() const noexcept { return session_ && !session_->broken(); }
bool connection::in_transaction() const noexcept { return session_ && session_->in_transaction(); }
int connection::backend_pid() const noexcept { return session_ ? session_->backend_pid() : 0; }
int connection::server_version() const noexcept { return session_ ? PQserverVersion(session_->pg()) : 0; }

std::string connection::parameter_status(const char* name) const
{
    auto* value = session_ ? PQparameterStatus(session_->pg(), name) : nullptr;
    return value ? value : "";
}

} // namespace pgcoro
