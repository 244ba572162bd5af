#include <pgcoro/cluster/commit_token.hpp>

#include <array>
#include <charconv>
#include <stdexcept>

namespace pgcoro
{
namespace
{

bool read_hex(std::string_view text, std::uint32_t& value)
{
    if (text.empty() || text.size() > 8) return false;
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return ec == std::errc() && end == text.data() + text.size();
}

} // namespace

commit_token commit_token::from_text(std::string_view text)
{
    if (text.empty()) return {};
    auto slash = text.find('/');
    std::uint32_t high = 0;
    std::uint32_t low = 0;
    if (slash == text.npos || !read_hex(text.substr(0, slash), high) ||
        !read_hex(text.substr(slash + 1), low))
        throw std::invalid_argument(
            "a commit token is two hexadecimal numbers with a slash between them, such as "
            "16/B374D848; this one is not (" +
            std::to_string(text.size()) + " characters)");
    return commit_token(std::uint64_t{high} << 32 | low);
}

std::string commit_token::text() const
{
    std::array<char, 20> digits;
    auto write = [&](char* at, std::uint64_t part) {
        auto* end = std::to_chars(at, digits.data() + digits.size(), part, 16).ptr;
        for (; at != end; ++at)
            if (*at >= 'a') *at = static_cast<char>(*at - 'a' + 'A');
        return end;
    };
    auto* end = write(digits.data(), position_ >> 32);
    *end++ = '/';
    end = write(end, position_ & 0xFFFFFFFF);
    return {digits.data(), end};
}

} // namespace pgcoro
