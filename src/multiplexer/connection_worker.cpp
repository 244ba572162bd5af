#include "multiplexer/connection_worker.hpp"

#include "multiplexer/impl.hpp"

namespace pgcoro::detail
{

connection_worker::~connection_worker() { owner_->destroyed(*this); }

bool connection_worker::next(batch::statement& made)
{
    auto found = worker::next();
    if (!found.what) return false;
    auto& what = pending(*found.what);
    made = {what.known->sql, &what.args, found.own_sync, what.settings.empty() ? nullptr : &what.settings};
    return true;
}

void connection_worker::answered(std::size_t i, result got)
{
    auto tag = got.command_tag();
    pending(sent_as(i)).got = std::move(got);
    auto* told = worker::answered(i, tag, clock::now());
    if (told) pending(*told).tell();
}

void connection_worker::failed(std::size_t i, std::exception_ptr why, bool is_stale)
{
    auto* told = worker::failed(i, is_stale);
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
