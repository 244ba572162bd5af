#include "connection/connection_string.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>

namespace pgcoro::detail
{

malformed_connection_string::malformed_connection_string(const std::string& what, std::size_t offset)
    : std::invalid_argument("malformed connection string, position " + std::to_string(offset + 1) + ": " +
                            what)
{}

namespace
{

constexpr const char* escape_advice =
    "; in a URI write special characters of a user name or password as percent escapes (/ is %2F, @ is %40)";

// isspace() of the C locale.
bool is_space(char c) { return std::string_view(" \t\n\v\f\r").find(c) != std::string_view::npos; }

int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// The length of a prefix that makes a text a URI for libpq; 0 if it has none.
std::size_t uri_prefix(std::string_view text)
{
    for (std::string_view prefix : {"postgresql://", "postgres://"})
        if (text.starts_with(prefix)) return prefix.size();
    return 0;
}

// A stretch of the text, which knows where it stands.
struct piece
{
    std::string_view text;
    std::size_t at = 0;
};

std::string decoded(piece p)
{
    std::string out;
    for (std::size_t i = 0; i < p.text.size(); ++i) {
        if (p.text[i] != '%') {
            out += p.text[i];
            continue;
        }
        int high = i + 1 < p.text.size() ? hex_digit(p.text[i + 1]) : -1;
        int low = i + 2 < p.text.size() ? hex_digit(p.text[i + 2]) : -1;
        if (high < 0 || low < 0)
            throw malformed_connection_string(
                "% is not followed by two hexadecimal digits (write % itself as %25)", p.at + i);
        if (high == 0 && low == 0) throw malformed_connection_string("%00 is not allowed", p.at + i);
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

// Does a value have what must be another parameter in it, which may be the password?
bool swallows_another(std::string_view keyword, std::string_view value)
{
    constexpr std::array<std::string_view, 5> without_pairs{"host", "hostaddr", "port", "dbname", "user"};
    if (keyword != "password" && value.find("password=") != value.npos) return true;
    return std::ranges::find(without_pairs, keyword) != without_pairs.end() &&
           value.find_first_of(" \t\n\v\f\r") != value.npos && value.find('=') != value.npos;
}

class splitter
{
public:
    splitter(std::string_view text, const keyword_check& is_keyword, strictness how)
        : text_(text)
        , is_keyword_(is_keyword)
        , strict_(how == strictness::strict)
    {}

    conninfo split()
    {
        if (text_.empty()) throw std::invalid_argument("malformed connection string: it is empty");
        if (auto nul = text_.find('\0'); nul != text_.npos) fail("a NUL character is not allowed", nul);
        at_ = uri_prefix(text_);
        if (at_ > 0)
            split_uri();
        else
            split_pairs();
        return std::move(found_);
    }

private:
    [[noreturn]] static void fail(const std::string& what, std::size_t offset)
    {
        throw malformed_connection_string(what, offset);
    }

    // The text from here up to one of `ends`, or to the end.
    piece take_until(std::string_view ends)
    {
        auto from = at_;
        at_ = std::min(text_.find_first_of(ends, from), text_.size());
        return {text_.substr(from, at_ - from), from};
    }
    char current() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    void store(std::string keyword, std::string value, std::size_t at)
    {
        if (keyword == "requiressl") {
            keyword = "sslmode";
            value = value.starts_with('1') ? "require" : "prefer";
        }
        if (!is_keyword_(keyword)) fail("libpq does not know the parameter", at);
        if (strict_ && swallows_another(keyword, value))
            fail("the value has the name of another parameter in it: a separator or a quote is missing", at);
        if (strict_ && keyword == "port" && !is_port_list(value))
            fail("the port is not a number from 1 to 65535", at);
        found_.insert_or_assign(std::move(keyword), std::move(value));
    }

    void split_uri()
    {
        auto stop = text_.find_first_of("@/", at_);
        if (stop != text_.npos && text_[stop] == '@') {
            auto user = take_until(":@");
            if (!user.text.empty()) store("user", decoded(user), user.at);
            if (current() == ':') {
                ++at_;
                auto password = take_until("@");
                if (!password.text.empty()) store("password", decoded(password), password.at);
            }
            ++at_;
        }
        split_hosts();
        if (current() == '/') {
            ++at_;
            auto database = take_until("?");
            check_no_at(database);
            if (!database.text.empty()) store("dbname", decoded(database), database.at);
        }
        if (current() == '?') {
            ++at_;
            split_query();
        }
    }

    piece take_host()
    {
        if (current() != '[') return take_until(":/?,");
        auto bracket = at_++;
        auto host = take_until("]");
        if (at_ == text_.size()) fail("the [ of an IPv6 address has no ]", bracket);
        if (host.text.empty()) fail("the IPv6 address between [ and ] is empty", bracket);
        ++at_;
        if (at_ < text_.size() && std::string_view(":/?,").find(current()) == std::string_view::npos)
            fail("after the ] of an IPv6 address only a : / ? or , may follow", at_);
        return host;
    }

    void check_no_at(piece p) const
    {
        if (auto at = p.text.find('@'); strict_ && at != p.text.npos)
            fail(std::string("an @ belongs to neither host nor database") + escape_advice, p.at + at);
    }

    void split_hosts()
    {
        auto begun = at_;
        std::string hosts;
        std::string ports;
        for (;;) {
            auto host = take_host();
            check_no_at(host);
            hosts += decoded(host);
            if (current() == ':') {
                ++at_;
                auto port = take_until("/?,");
                auto number = decoded(port);
                if (strict_ && !is_port_list(number))
                    fail(std::string("the port is not a number from 1 to 65535") + escape_advice, port.at);
                ports += number;
            }
            if (current() != ',') break;
            ++at_;
            hosts += ',';
            ports += ',';
        }
        if (!hosts.empty()) store("host", std::move(hosts), begun);
        if (!ports.empty()) store("port", std::move(ports), begun);
    }

    void split_query()
    {
        while (at_ < text_.size()) {
            auto keyword = take_until("=&");
            if (current() != '=') fail("a parameter behind the ? has no =", keyword.at);
            ++at_;
            auto value = take_until("=&");
            if (current() == '=') fail("a parameter behind the ? has a second = (write it as %3D)", at_);
            if (at_ < text_.size()) ++at_;
            auto name = decoded(keyword);
            auto what = decoded(value);
            if (name == "ssl" && what == "true") // as in JDBC
                store("sslmode", "require", keyword.at);
            else
                store(std::move(name), std::move(what), keyword.at);
        }
    }

    void skip_spaces()
    {
        while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    }

    void split_pairs()
    {
        for (skip_spaces(); at_ < text_.size(); skip_spaces()) {
            auto keyword = take_until("= \t\n\v\f\r");
            if (keyword.text.find("://") != keyword.text.npos)
                fail("a URI begins with postgresql:// or postgres://, not with another scheme", keyword.at);
            skip_spaces();
            if (current() != '=')
                fail("a parameter has no = after its name; quote a value that has spaces ('…')", keyword.at);
            ++at_;
            skip_spaces();
            bool quoted = current() == '\'';
            auto value = quoted ? take_quoted() : take_plain();
            store(std::string(keyword.text), std::move(value), keyword.at);
        }
    }

    std::string take_plain()
    {
        std::string value;
        for (; at_ < text_.size() && !is_space(text_[at_]); ++at_) {
            if (text_[at_] == '\\' && ++at_ == text_.size()) break;
            value += text_[at_];
        }
        return value;
    }

    std::string take_quoted()
    {
        auto opened = at_++;
        std::string value;
        for (; at_ < text_.size() && text_[at_] != '\''; ++at_) {
            if (text_[at_] == '\\' && ++at_ == text_.size()) break;
            value += text_[at_];
        }
        if (at_ >= text_.size()) fail("a quoted value does not end with '", opened);
        ++at_;
        return value;
    }

    std::string_view text_;
    const keyword_check& is_keyword_;
    bool strict_;
    std::size_t at_ = 0;
    conninfo found_;
};

} // namespace

bool is_port_list(std::string_view list)
{
    for (std::size_t start = 0;;) {
        auto comma = std::min(list.find(',', start), list.size());
        auto port = list.substr(start, comma - start);
        int number = 0;
        auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
        bool is_number = ec == std::errc() && end == port.data() + port.size();
        if (!port.empty() && (!is_number || number < 1 || number > 65535)) return false;
        if (comma == list.size()) return true;
        start = comma + 1;
    }
}

conninfo split_connection_string(std::string_view text, const keyword_check& is_keyword, strictness how)
{
    return splitter(text, is_keyword, how).split();
}

} // namespace pgcoro::detail
