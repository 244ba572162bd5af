#include "sql/script.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

#include <pg_query.h>

namespace pgcoro::sql
{

namespace
{

// Comments of this kind nest.
void skip_block_comment(std::string_view& text) noexcept
{
    std::size_t depth = 0;
    do {
        if (text.starts_with("/*"))
            ++depth, text.remove_prefix(2);
        else if (text.starts_with("*/"))
            --depth, text.remove_prefix(2);
        else
            text.remove_prefix(1);
    } while (depth > 0 && !text.empty());
}


std::vector<std::string_view> pieces_of(std::string_view script, PgQuerySplitResult found)
{
    std::unique_ptr<PgQuerySplitResult, void (*)(PgQuerySplitResult*)> owner(
        &found, [](PgQuerySplitResult* s) { pg_query_free_split_result(*s); });
    std::vector<std::string_view> statements;
    if (found.error) return statements;
    for (int i = 0; i < found.n_stmts; ++i) {
        auto& s = *found.stmts[i];
        auto length = s.stmt_len > 0 ? static_cast<std::size_t>(s.stmt_len) : script.npos; // to the end
        statements.push_back(script.substr(static_cast<std::size_t>(s.stmt_location), length));
    }
    return statements;
}

} // namespace

std::string_view from_first_word(std::string_view text) noexcept
{
    for (;;) {
        text.remove_prefix(std::min(text.find_first_not_of(" \t\n\r\f\v;"), text.size()));
        if (text.starts_with("--"))
            text.remove_prefix(std::min(text.find_first_of("\n\r"), text.size()));
        else if (text.starts_with("/*"))
            skip_block_comment(text);
        else
            return text;
    }
}

std::vector<std::string_view> split_by_scanner(std::string_view script)
{
    return pieces_of(script, pg_query_split_with_scanner(std::string(script).c_str()));
}

std::vector<std::string_view> split_by_parser(std::string_view script)
{
    return pieces_of(script, pg_query_split_with_parser(std::string(script).c_str()));
}

} // namespace pgcoro::sql
