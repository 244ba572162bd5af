// The facts about a statement that a multiplexer knows, by its text.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace pgcoro::detail
{

// May a statement share a round trip with others?
enum class batching {
    unknown,   // not run yet: it is sent alone, and its command tag and its time will tell
    together,  // SELECT, INSERT, UPDATE, DELETE or MERGE, and quick
    exclusive, // no: it is slow, or may change the session; it gets a separate lease
};

// The one owner of what is known of a text. Whether it reads only is proved before it is sent, by
// PostgreSQL's own parser. Its batching is learned, and may change.
struct known_statement
{
    known_statement(std::string text, bool proved_read)
        : sql(std::move(text))
        , reads_only(proved_read)
    {}
    const std::string sql;
    const bool reads_only; // apart from what the functions do that it calls
    std::atomic<detail::batching> batching{detail::batching::unknown};
    std::size_t parameters = 0; // this number was checked; under the multiplexer's lock
};

// Not thread-safe. The number of texts is bounded: beyond it, all of them are forgotten and learned again.
class known_statements
{
public:
    std::shared_ptr<known_statement> find(std::string_view sql) const
    {
        auto it = by_text_.find(sql);
        return it == by_text_.end() ? nullptr : it->second;
    }

    // Returns the one that is known already, if another thread was quicker.
    std::shared_ptr<known_statement> add(std::shared_ptr<known_statement> added)
    {
        if (by_text_.size() >= most) by_text_.clear();
        return by_text_.try_emplace(added->sql, added).first->second;
    }

private:
    static constexpr std::size_t most = 4096;
    std::unordered_map<std::string_view, std::shared_ptr<known_statement>> by_text_;
};

// What a command tag says of the statement.
inline batching batching_of(std::string_view tag)
{
    auto word = tag.substr(0, tag.find(' '));
    bool together =
        word == "SELECT" || word == "INSERT" || word == "UPDATE" || word == "DELETE" || word == "MERGE";
    return together ? batching::together : batching::exclusive;
}

} // namespace pgcoro::detail
