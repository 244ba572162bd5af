#include <pgcoro/observer/trace_context.hpp>

#include <algorithm>
#include <random>
#include <span>

namespace pgcoro
{

namespace
{

constexpr std::size_t header_size = 55;

// Lower case only, as W3C has it; -1 for what is no digit.
int hex_digit(char c) noexcept
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

bool read(std::string_view text, std::span<std::uint8_t> to) noexcept
{
    for (std::size_t i = 0; i < to.size(); ++i) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        to[i] = static_cast<std::uint8_t>(16 * high + low);
    }
    return true;
}

void append(std::string& text, std::span<const std::uint8_t> bytes)
{
    constexpr std::string_view digits = "0123456789abcdef";
    for (auto b : bytes) {
        text += digits[b >> 4];
        text += digits[b & 15];
    }
}

std::string hex_text(std::span<const std::uint8_t> bytes)
{
    std::string text;
    append(text, bytes);
    return text;
}

bool any(std::span<const std::uint8_t> bytes) noexcept
{
    return std::any_of(bytes.begin(), bytes.end(), [](auto b) { return b != 0; });
}

// Never all zeros, which stands for none.
void draw(std::span<std::uint8_t> id)
{
    thread_local std::mt19937_64 random = [] {
        std::random_device source;
        std::seed_seq seed{source(), source(), source(), source()};
        return std::mt19937_64(seed);
    }();
    do {
        for (std::size_t i = 0; i < id.size(); i += 8) {
            auto n = random();
            for (std::size_t k = i; k < i + 8; ++k, n >>= 8) id[k] = static_cast<std::uint8_t>(n);
        }
    } while (!any(id));
}

} // namespace

bool trace_context::valid() const noexcept { return any(trace_id) && any(span_id); }

std::optional<trace_context> trace_context::parse(std::string_view text) noexcept
{
    if (text.size() < header_size) return std::nullopt;
    std::array<std::uint8_t, 1> version{};
    std::array<std::uint8_t, 1> flags{};
    trace_context c;
    bool well = read(text, version) && text[2] == '-' && read(text.substr(3), c.trace_id) &&
                text[35] == '-' && read(text.substr(36), c.span_id) && text[52] == '-' &&
                read(text.substr(53), flags);
    if (!well || version[0] == 0xff || !c.valid()) return std::nullopt;
    bool longer = text.size() > header_size;
    if (longer && (version[0] == 0 || text[header_size] != '-')) return std::nullopt;
    c.flags = flags[0] & sampled_flag; // the others have no meaning yet, and are not passed on
    return c;
}

trace_context trace_context::make()
{
    trace_context c;
    draw(c.trace_id);
    draw(c.span_id);
    c.flags = sampled_flag;
    return c;
}

trace_context trace_context::child() const
{
    auto c = *this;
    draw(c.span_id);
    return c;
}

std::string trace_context::traceparent() const
{
    std::string text = "00-";
    append(text, trace_id);
    text += '-';
    append(text, span_id);
    text += '-';
    append(text, std::span(&flags, 1));
    return text;
}

std::string trace_context::trace_id_text() const { return hex_text(trace_id); }
std::string trace_context::span_id_text() const { return hex_text(span_id); }

} // namespace pgcoro
