#include "secret.hpp"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>

namespace pgcoro::testing
{

std::string random_password()
{
    std::array<unsigned char, 16> bytes{};
    for (std::size_t n = 0; n < bytes.size();) {
        const ssize_t got = ::getrandom(bytes.data() + n, bytes.size() - n, 0);
        if (got < 0 && errno != EINTR)
            throw std::system_error(errno, std::generic_category(), "cannot make a random password");
        if (got > 0) n += static_cast<std::size_t>(got);
    }
    constexpr const char* digits = "0123456789abcdef";
    std::string text;
    for (const auto byte : bytes) text += {digits[byte >> 4], digits[byte & 15]};
    return text;
}

} // namespace pgcoro::testing
