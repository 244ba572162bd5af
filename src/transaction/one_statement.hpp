// A statement that is a transaction with its own settings, in one round trip.
#pragma once

#include "connection/session.hpp"

#include <pgcoro/connection/local_settings.hpp>

namespace pgcoro::detail
{

// May a lost statement have changed anything?
enum class statement_effect {
    unknown,
    reads_only, // by PostgreSQL's parser and the catalog
};

// Runs it; without any settings by session::run(). Throws as session::run() does, and with settings commit_unknown if the
// connection is lost and the statement may have taken effect. The session is idle afterwards, also after an error of the
// server. `settings` must live until it ends.
asio::awaitable<result> run_with_settings(session& s, request r, const local_settings& settings, statement_effect effect);

} // namespace pgcoro::detail
