#include <pgcoro/types/numeric.hpp>
#include <pgcoro/types/scalars.hpp>

#include <algorithm>
#include <charconv>
#include <limits>

namespace pgcoro
{
namespace
{

constexpr int digits_a_group = 4;
constexpr int most_digits_before_point = 131072;
constexpr int most_scale = 16383;
constexpr int power_of_10[] = {1, 10, 100, 1000};

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

bool equal_ignoring_case(std::string_view text, std::string_view lower) noexcept
{
    return std::ranges::equal(text, lower, [](char a, char b) { return (a | 0x20) == b; });
}

[[noreturn]] void throw_no_number(std::string_view text)
{
    constexpr std::size_t most = 40;
    throw_mapping_error("\"" + std::string(text.substr(0, most)) + (text.size() > most ? "…" : "") +
                        "\" is no number");
}

// Text taken apart: the digits without point and leading zeros, and where the point is among them.
struct decimal
{
    std::string digits;
    long point = 0; // digits before it; negative: zeros between it and the first digit
    long scale = 0;
};

decimal take_apart(std::string_view number, std::string_view whole)
{
    decimal d;
    auto at = number.begin();
    auto digits = [&] {
        long n = 0;
        for (; at != number.end() && is_digit(*at); ++at, ++n) d.digits += *at;
        return n;
    };
    d.point = digits();
    if (at != number.end() && *at == '.') {
        ++at;
        d.scale = digits();
    }
    if (d.digits.empty()) throw_no_number(whole);
    if (at != number.end() && (*at | 0x20) == 'e') {
        ++at;
        if (at != number.end() && *at == '+' && at + 1 != number.end() && is_digit(at[1])) ++at;
        int exponent = 0;
        auto [end, failed] = std::from_chars(std::to_address(at), std::to_address(number.end()), exponent);
        // Beyond this no digit string that fits in memory makes the number one that PostgreSQL holds.
        constexpr int most_exponent = 1'000'000'000;
        if (failed == std::errc::result_out_of_range || exponent > most_exponent || exponent < -most_exponent)
            throw_mapping_error("the number's exponent is out of numeric's range");
        if (failed != std::errc()) throw_no_number(whole);
        at += end - std::to_address(at);
        d.point += exponent;
        d.scale = std::max(0L, d.scale - exponent);
    }
    if (at != number.end()) throw_no_number(whole);

    auto zeros = std::min(d.digits.find_first_not_of('0'), d.digits.size());
    d.digits.erase(0, zeros);
    d.point -= static_cast<long>(zeros);
    d.digits.erase(d.digits.find_last_not_of('0') + 1);
    return d;
}

std::string_view trimmed(std::string_view text) noexcept
{
    auto first = std::min(text.find_first_not_of(" \t\n\r\f\v"), text.size());
    text.remove_prefix(first);
    return text.substr(0, text.find_last_not_of(" \t\n\r\f\v") + 1);
}

} // namespace

numeric::numeric(std::int64_t value)
    : numeric(std::string_view(std::to_string(value)))
{}

numeric::numeric(std::string_view text)
{
    auto rest = trimmed(text);
    bool negative = rest.starts_with('-');
    if (negative || rest.starts_with('+')) rest.remove_prefix(1);

    if (equal_ignoring_case(rest, "infinity") || equal_ignoring_case(rest, "inf")) {
        kind_ = negative ? kind::minus_infinity : kind::plus_infinity;
        return;
    }
    if (equal_ignoring_case(trimmed(text), "nan")) {
        kind_ = kind::nan;
        return;
    }

    auto d = take_apart(rest, text);
    if (d.scale > most_scale)
        throw_mapping_error("the number has more than 16383 digits behind the point: round it");
    scale_ = static_cast<std::int16_t>(d.scale);
    if (d.digits.empty()) return;
    if (d.point > most_digits_before_point)
        throw_mapping_error("the number has more than 131072 digits before the point");

    // Groups are aligned at the point: zeros fill the first group in front, the last behind.
    auto fill = d.point > 0 ? (digits_a_group - d.point % digits_a_group) % digits_a_group
                            : -d.point % digits_a_group;
    weight_ = static_cast<std::int16_t>(d.point > 0 ? (d.point - 1) / digits_a_group
                                                    : d.point / digits_a_group - 1);
    d.digits.insert(0, static_cast<std::size_t>(fill), '0');
    d.digits.resize((d.digits.size() + digits_a_group - 1) / digits_a_group * digits_a_group, '0');
    for (std::size_t i = 0; i < d.digits.size(); i += digits_a_group) {
        int group = 0;
        for (std::size_t j = i; j < i + digits_a_group; ++j) group = group * 10 + (d.digits[j] - '0');
        groups_.push_back(static_cast<std::int16_t>(group));
    }
    kind_ = negative ? kind::negative : kind::positive;
    normalise();
}

numeric numeric::from_binary(std::string_view bytes)
{
    decoder in(bytes);
    auto count = in.number<std::uint16_t>();
    numeric made;
    made.weight_ = in.number<std::int16_t>();
    made.kind_ = static_cast<kind>(in.number<std::uint16_t>());
    made.scale_ = in.number<std::int16_t>();
    if (made.scale_ < 0 || made.scale_ > most_scale) throw_mapping_error("a numeric of impossible scale");
    switch (made.kind_) {
    case kind::positive:
    case kind::negative:
        break;
    case kind::nan:
    case kind::plus_infinity:
    case kind::minus_infinity:
        if (count != 0) throw_mapping_error("a numeric that is no number has digits");
        in.finish();
        made.weight_ = made.scale_ = 0;
        return made;
    default:
        throw_mapping_error("a numeric of unknown sign");
    }
    if (in.remaining() != count * sizeof(std::int16_t))
        throw_mapping_error("a numeric of another length than it says");
    made.groups_.reserve(count);
    for (int i = 0; i < count; ++i) {
        auto group = in.number<std::int16_t>();
        if (group < 0 || group > 9999) throw_mapping_error("a numeric with an impossible digit");
        made.groups_.push_back(group);
    }
    made.normalise();
    return made;
}

// Digits beyond the scale go, as the server itself drops them on input; so do groups of 0 at both ends.
void numeric::normalise() noexcept
{
    long kept = weight_ + 1L + (scale_ + digits_a_group - 1) / digits_a_group;
    if (kept < static_cast<long>(groups_.size()))
        groups_.resize(static_cast<std::size_t>(std::max(kept, 0L)));
    if (int over = scale_ % digits_a_group;
        over != 0 && kept == static_cast<long>(groups_.size()) && kept > 0) {
        auto& last = groups_.back();
        last = static_cast<std::int16_t>(last - last % power_of_10[digits_a_group - over]);
    }
    while (!groups_.empty() && groups_.back() == 0) groups_.pop_back();
    auto first = std::ranges::find_if(groups_, [](std::int16_t g) { return g != 0; });
    weight_ = static_cast<std::int16_t>(weight_ - (first - groups_.begin()));
    groups_.resize(
        static_cast<std::size_t>(std::move(first, groups_.end(), groups_.begin()) - groups_.begin()));
    if (groups_.empty()) {
        weight_ = 0;
        kind_ = kind::positive; // there is no negative zero
    }
}

void numeric::to_binary(encoder& out) const
{
    out.number(static_cast<std::uint16_t>(groups_.size()));
    out.number(weight_);
    out.number(static_cast<std::uint16_t>(kind_));
    out.number(scale_);
    for (auto group : groups_) out.number(group);
}

std::string numeric::str() const
{
    switch (kind_) {
    case kind::nan:
        return "NaN";
    case kind::plus_infinity:
        return "Infinity";
    case kind::minus_infinity:
        return "-Infinity";
    default:
        break;
    }
    // The four digits of the group that counts 10,000 to the power of `weight`.
    auto append_group = [&](std::string& text, long weight) {
        auto i = weight_ - weight;
        int group =
            i >= 0 && i < static_cast<long>(groups_.size()) ? groups_[static_cast<std::size_t>(i)] : 0;
        for (int power = digits_a_group - 1; power >= 0; --power)
            text += static_cast<char>('0' + group / power_of_10[power] % 10);
    };
    std::string whole;
    for (long weight = weight_; weight >= 0; --weight) append_group(whole, weight);
    whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
    if (whole.empty()) whole = "0";
    if (kind_ == kind::negative) whole.insert(0, 1, '-');
    if (scale_ == 0) return whole;

    whole += '.';
    auto length = whole.size() + static_cast<std::size_t>(scale_);
    for (long weight = -1; whole.size() < length; --weight) append_group(whole, weight);
    whole.resize(length);
    return whole;
}

std::optional<std::int64_t> numeric::to_int64() const
{
    constexpr int most_weight = 4; // 10,000^5 is beyond 64 bits
    if (kind_ != kind::positive && kind_ != kind::negative) return std::nullopt;
    if (groups_.empty()) return 0;
    if (weight_ > most_weight || static_cast<long>(groups_.size()) > weight_ + 1) return std::nullopt;
    auto text = str();
    text.erase(std::min(text.find('.'), text.size()));
    std::int64_t value = 0;
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc()) return std::nullopt;
    return value;
}

double numeric::to_double() const
{
    if (is_nan()) return std::numeric_limits<double>::quiet_NaN();
    auto infinity = std::numeric_limits<double>::infinity();
    if (is_infinite()) return is_negative() ? -infinity : infinity;
    auto text = str();
    double value = 0;
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed == std::errc::result_out_of_range) {
        if (weight_ < 0) return is_negative() ? -0.0 : 0.0;
        return is_negative() ? -infinity : infinity;
    }
    return value;
}

int numeric::significant_digits() const noexcept
{
    if (groups_.empty()) return 0;
    int count = static_cast<int>(groups_.size()) * digits_a_group;
    for (int first = groups_[0]; first < power_of_10[digits_a_group - 1]; first *= 10) --count;
    for (int last = groups_.back(); last % 10 == 0; last /= 10) --count;
    return count;
}

std::weak_ordering operator<=>(const numeric& a, const numeric& b) noexcept
{
    using kind = numeric::kind;
    auto rank = [](const numeric& n) {
        switch (n.kind_) {
        case kind::minus_infinity:
            return 0;
        case kind::negative:
            return 1;
        case kind::positive:
            return n.groups_.empty() ? 2 : 3;
        case kind::plus_infinity:
            return 4;
        default:
            return 5;
        }
    };
    if (auto by_rank = rank(a) <=> rank(b); by_rank != 0 || a.groups_.empty()) return by_rank;
    const auto& bigger_if_positive = a.kind_ == kind::negative ? b : a;
    const auto& other = a.kind_ == kind::negative ? a : b;
    if (auto by_weight = bigger_if_positive.weight_ <=> other.weight_; by_weight != 0) return by_weight;
    return std::lexicographical_compare_three_way(bigger_if_positive.groups_.begin(),
                                                  bigger_if_positive.groups_.end(), other.groups_.begin(),
                                                  other.groups_.end());
}

numeric codec<numeric>::decode(field_view f)
{
    if (f.type == oids::int8 || f.type == oids::int4 || f.type == oids::int2)
        return numeric(codec<std::int64_t>::decode(f));
    return numeric::from_binary(f.bytes());
}

} // namespace pgcoro
