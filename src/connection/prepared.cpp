#include <pgcoro/connection/prepared.hpp>

#include "base/shortened.hpp"
#include "connection/session_impl.hpp"

#include <stdexcept>

namespace pgcoro::detail
{

namespace
{

void check_count(const preparation& made, std::size_t named)
{
    if (made.parameters.size() == named) return;
    std::string list;
    for (std::size_t i = 0; i < made.parameters.size(); ++i)
        list += (i ? ", $" : "$") + std::to_string(i + 1) + " " + type_name(made.parameters[i]);
    throw mapping_error("the statement has parameters " + list + ", and prepare<…> named the types of " +
                        std::to_string(named) + ": " + made.sql);
}

} // namespace

preparation::preparation(std::string text, const result& described)
    : sql(std::move(text))
    , columns(described)
{
    for (int i = 0; i < PQnparams(described.get()); ++i)
        parameters.push_back(PQparamtype(described.get(), i));
}

asio::awaitable<std::shared_ptr<const preparation>> prepare(session& on, std::string sql, params types)
{
    request r;
    r.sql = sql;
    r.args = &types;
    r.describe = true;
    auto described = co_await on.run(r);
    auto made = std::make_shared<preparation>(sql, described);
    check_count(*made, types.size());
    made->pin = on.pin(sql, types);
    made->owner = on.tenure();
    co_return made;
}

const preparation& prepared_runner::of() const
{
    if (!of_) throw std::logic_error("pgcoro: this prepared statement was moved from");
    return *of_;
}

asio::awaitable<result> prepared_runner::run_kept(std::string_view sql, const params& args)
{
    session* on = of().owner->holder.load();
    if (!on)
        throw std::logic_error("pgcoro: the connection of this prepared statement was closed, or its lease "
                               "given back: prepare it on the one that is used now: " +
                               shortened(sql, longest_statement));
    request r;
    r.sql = sql;
    r.args = &args;
    return on->run(r);
}

} // namespace pgcoro::detail
