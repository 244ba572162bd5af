#include "multiplexer/connection_worker.hpp"

#include "connection/diagnostics.hpp"
#include "multiplexer/impl.hpp"
#include "resilience/is_a.hpp"

namespace pgcoro::detail
{

namespace
{

// Must the statement be prepared again?
bool is_stale(const std::exception_ptr& why)
{
    return is_a<server_error>(why, [](auto& e) { return is_lost_statement(e.sqlstate(), e.diag().routine); });
}

} // namespace

connection_worker::~connection_worker() { owner_->destroyed(*this); }

bool connection_worker::next(batch::statement& made)
{
    auto found = worker::next();
    if (!found.what) return false;
    made = {found.what->known->sql, &pending(*found.what).args, found.own_sync};
    return true;
}

void connection_worker::answered(std::size_t i, result got)
{
    auto tag = got.command_tag();
    pending(sent_as(i)).got = std::move(got);
    auto* told = worker::answered(i, tag, clock::now());
    if (told) pending(*told).tell();
}

void connection_worker::failed(std::size_t i, std::exception_ptr why)
{
    auto* told = worker::failed(i, is_stale(why));
    if (told) tell_failure(*told, std::move(why));
}

void connection_worker::synced(std::size_t n)
{
    while (auto* told = committed(n)) pending(*told).tell();
}

void tell_failure(multiplexer_core::statement& s, std::exception_ptr why)
{
    auto& p = pending(s);
    p.failure = std::move(why);
    p.tell();
}

} // namespace pgcoro::detail
