/// Connection strings are split as libpq splits them; strictly, some more are refused and none differently
/// split.

#include "connection/connection_string.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

using namespace pgcoro::detail;

namespace
{

bool is_keyword(std::string_view keyword)
{
    static const auto known = [] {
        std::vector<std::string> all;
        std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconndefaults(),
                                                                             &PQconninfoFree);
        for (auto* o = options.get(); o->keyword; ++o) all.emplace_back(o->keyword);
        return all;
    }();
    return std::ranges::find(known, keyword) != known.end();
}

std::optional<conninfo> as_libpq(const std::string& text)
{
    std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(
        PQconninfoParse(text.c_str(), nullptr), &PQconninfoFree);
    if (!parsed) return std::nullopt;
    conninfo all;
    for (auto* o = parsed.get(); o->keyword; ++o)
        if (o->val) all.emplace(o->keyword, o->val);
    return all;
}

std::optional<conninfo> as_ours(const std::string& text, strictness how)
{
    try {
        return split_connection_string(text, is_keyword, how);
    } catch (const std::invalid_argument&) {
        return std::nullopt;
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::string text(reinterpret_cast<const char*>(data), size);
    auto strictly = as_ours(text, strictness::strict);
    if (text.empty() || text.find('\0') != text.npos) return 0; // ours alone refuses them
    // From libpq 17 on white space in a URI is trimmed or refused; here it is a character like others.
    if (PQlibVersion() >= 170000 &&
        std::ranges::any_of(text, [](unsigned char c) { return std::isspace(c); }))
        return 0;
    auto ours = as_ours(text, strictness::as_libpq);
    if (ours != as_libpq(text)) std::abort();
    if (strictly && strictly != ours) std::abort();
    return 0;
}
