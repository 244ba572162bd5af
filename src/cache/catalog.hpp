// Whether a statement may be cached, and what its result depends on: its text by the parser, the names in it
// by the catalog.
#pragma once

#include "cache/facts.hpp"

#include <pgcoro/cache/source.hpp>

#include <memory>

namespace pgcoro::detail
{

inline constexpr const char* cache_channel = "pgcoro_cache";

// `guarded`: tables without the trigger that tells of changes stand for nothing. `until` is left to the
// caller.
boost::asio::awaitable<std::shared_ptr<statement_facts>> look_up(cache_source& source, std::string_view sql,
                                                                 bool guarded);

// The tags of the tables that a statement changes, as far as it names them.
boost::asio::awaitable<std::vector<std::string>> tables_written(cache_source& source, std::string_view sql);

} // namespace pgcoro::detail
