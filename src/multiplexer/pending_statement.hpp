// A statement that a caller waits for.
#pragma once

#include "connection/one_shot.hpp"
#include "multiplexer/core.hpp"

#include <pgcoro/connection/local_settings.hpp>
#include <pgcoro/connection/result.hpp>
#include <pgcoro/types/params.hpp>

#include <exception>
#include <memory>
#include <utility>

namespace pgcoro::detail
{

// Owns all that its statement needs, because its caller may be gone before it is run. Whoever settles it
// stores what came of it, and then tells the caller.
class pending_statement final : public one_shot, public multiplexer_core::statement
{
public:
    // `with`: the settings of its transaction. Without any, it is a plain statement.
    pending_statement(std::shared_ptr<known_statement> text, params&& values, const local_settings& with, bool read,
                      time_point until)
        : statement(std::move(text), read, until, !with.empty())
        , args(std::move(values))
        , settings(with)
    {}

    params args;
    const local_settings settings;
    result got;
    std::exception_ptr failure;
};

// All statements of the core are pending statements.
inline pending_statement& pending(multiplexer_core::statement& s)
{
    return static_cast<pending_statement&>(s);
}

} // namespace pgcoro::detail
