#include "sql/tokens.hpp"

#include <algorithm>
#include <cstdint>

#include <pg_query.h>

namespace pgcoro::sql
{

namespace
{

// Reads the ScanResult of pg_query.proto: field 2 repeats a ScanToken, whose fields 1 and 5 are the start and
// the kind of keyword. Ends are not read, because that of U&'…' is wrong in libpg_query 15.
class scan_reader
{
public:
    explicit scan_reader(std::string_view bytes)
        : rest_(bytes)
    {}

    std::vector<token> tokens()
    {
        std::vector<token> all;
        while (!rest_.empty()) {
            auto key = number();
            if ((key & 7) == 0) {
                number();
                continue;
            }
            auto length = std::min<std::size_t>(number(), rest_.size());
            scan_reader inner(rest_.substr(0, length));
            rest_.remove_prefix(length);
            if (key >> 3 == 2) all.push_back(inner.one());
        }
        return all;
    }

private:
    token one()
    {
        token t;
        while (!rest_.empty()) {
            auto field = number() >> 3; // all of them are numbers
            auto value = number();
            if (field == 1) t.begin = value;
            if (field == 5) t.keyword = value > 0;
        }
        return t;
    }
    std::uint64_t number()
    {
        std::uint64_t value = 0;
        for (unsigned shift = 0; !rest_.empty() && shift < 64; shift += 7) {
            auto byte = static_cast<unsigned char>(rest_.front());
            rest_.remove_prefix(1);
            value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
            if (byte < 0x80) break;
        }
        return value;
    }

    std::string_view rest_;
};

} // namespace

std::optional<std::vector<token>> tokens_of(const std::string& text)
{
    auto got = pg_query_scan(text.c_str());
    std::optional<std::vector<token>> all;
    if (!got.error) all = scan_reader({got.pbuf.data, got.pbuf.len}).tokens();
    pg_query_free_scan_result(got);
    return all;
}

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_comment(std::string_view token) noexcept { return token.starts_with("--") || token.starts_with("/*"); }

// By the text, because the numbers of tokens change with the version of the grammar.
bool is_literal(std::string_view token)
{
    if (token.front() == '"' || token.starts_with("U&\"") || token.starts_with("u&\"")) return false;
    if (token.find('\'') != token.npos) return true;
    if (token.front() == '$') return token.size() > 1 && !is_digit(token[1]); // $tag$…$tag$, not $1
    return is_digit(token.front()) || (token.front() == '.' && token.size() > 1 && is_digit(token[1]));
}

} // namespace pgcoro::sql
