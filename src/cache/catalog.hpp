// Whether a statement may be cached, and what its result depends on: its text by the parser, the names in it
// by the catalog.
#pragma once

#include "cache/facts.hpp"

#include <pgcoro/connection/result.hpp>
#include <pgcoro/types/params.hpp>

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pgcoro::detail
{

inline constexpr const char* cache_channel = "pgcoro_cache";

// Runs one statement, in a session whose settings are those of the statement that is looked up. Texts and parameters live until
// it ends.
using run_query = std::function<boost::asio::awaitable<result>(std::string_view sql, const params& args)>;

// `guarded`: tables without the trigger that tells of changes stand for nothing. `until` is left to the
// caller.
boost::asio::awaitable<std::shared_ptr<statement_facts>> look_up(const run_query& run, std::string_view sql,
                                                                 bool guarded);

// The tags of the tables that a statement changes, as far as it names them.
boost::asio::awaitable<std::vector<std::string>> tables_written(const run_query& run, std::string_view sql);

} // namespace pgcoro::detail
