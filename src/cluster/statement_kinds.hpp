// Which statements are reads, as far as their text and the catalog tell; remembered.
#pragma once

#include "sql/statement.hpp"

#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace pgcoro::detail
{

// From any thread.
class statement_kinds
{
public:
    // Nothing when it was not asked before.
    std::optional<bool> is_read(std::string_view sql) const;
    void remember(std::string_view sql, bool read);

private:
    // Texts are few, unless somebody writes values into them; then none is worth keeping.
    static constexpr std::size_t most = 4096;

    struct hash : std::hash<std::string_view>
    {
        using is_transparent = void;
    };

    mutable std::shared_mutex mutex_;
    std::unordered_map<std::string, bool, hash, std::equal_to<>> known_;
};

// Asks the catalog: are all functions $2, in schemas $1 (empty: any), there and none of them volatile?
extern const std::string_view no_volatile_function_query;

} // namespace pgcoro::detail
