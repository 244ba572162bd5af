#include <pgcoro/connection/identifier.hpp>

#include <algorithm>
#include <stdexcept>

namespace pgcoro
{

namespace
{

constexpr std::size_t longest = 63; // NAMEDATALEN - 1

} // namespace

void identifier::add(std::string_view part)
{
    if (part.empty()) throw std::invalid_argument("pgcoro: an identifier is empty");
    if (auto nul = part.find('\0'); nul != part.npos)
        throw std::invalid_argument("pgcoro: an identifier has a NUL: " + std::string(part.substr(0, nul)));
    if (part.size() > longest)
        throw std::invalid_argument("pgcoro: an identifier has " + std::to_string(part.size()) +
                                    " bytes, of which PostgreSQL keeps " + std::to_string(longest) + ": " +
                                    std::string(part));
    if (!quoted_.empty()) quoted_ += '.';
    quoted_ += '"';
    for (char c : part) {
        if (c == '"') quoted_ += '"';
        quoted_ += c;
    }
    quoted_ += '"';
}

identifier identifier::parse(std::string_view name)
{
    identifier all;
    std::size_t at = 0;
    for (;;) {
        std::string part;
        if (at < name.size() && name[at] == '"') {
            for (++at;; ++at) {
                if (at >= name.size())
                    throw std::invalid_argument("pgcoro: a quote is not closed: " + std::string(name));
                if (name[at] == '"') {
                    ++at;
                    if (at >= name.size() || name[at] != '"') break;
                }
                part += name[at];
            }
        } else {
            auto end = std::min(name.find('.', at), name.size());
            part = name.substr(at, end - at);
            at = end;
        }
        if (at < name.size() && name[at] != '.')
            throw std::invalid_argument("pgcoro: something stands behind a quote: " + std::string(name));
        all.add(part);
        if (at >= name.size()) return all;
        ++at;
    }
}

} // namespace pgcoro
