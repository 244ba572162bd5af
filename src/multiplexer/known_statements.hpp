// What a multiplexer has learned of statements, by their text.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace pgcoro::detail
{

// Who may travel with it.
enum class company {
    unknown, // nobody yet: it is sent alone, to see
    shared,  // a SELECT: others, under one Sync if it is read() that runs it
    own,     // it writes: others, but it has a Sync of its own
    apart,   // nobody: what it does to the session is not for others, or it is slow
};

struct known_statement
{
    explicit known_statement(std::string_view text)
        : sql(text)
    {}
    const std::string sql;
    std::atomic<detail::company> company{company::unknown};
    std::size_t parameters = 0; // so many were found right; under the multiplexer's lock
};

// Not thread-safe. Bounded: a program that makes up its texts loses what was learned, and learns anew.
class known_statements
{
public:
    std::shared_ptr<known_statement> find(std::string_view sql)
    {
        auto it = by_text_.find(sql);
        if (it != by_text_.end()) return it->second;
        if (by_text_.size() >= most) by_text_.clear();
        auto added = std::make_shared<known_statement>(sql);
        by_text_.emplace(added->sql, added);
        return added;
    }

private:
    static constexpr std::size_t most = 4096;
    std::unordered_map<std::string_view, std::shared_ptr<known_statement>> by_text_;
};

// What a command tag says of the statement.
inline company company_of(std::string_view tag)
{
    auto word = tag.substr(0, tag.find(' '));
    if (word == "SELECT") return company::shared;
    if (word == "INSERT" || word == "UPDATE" || word == "DELETE" || word == "MERGE") return company::own;
    return company::apart;
}

} // namespace pgcoro::detail
