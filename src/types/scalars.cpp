#include <pgcoro/types/scalars.hpp>

#include <boost/locale/utf.hpp>

namespace pgcoro
{

void throw_mapping_error(const std::string& why) { throw mapping_error(why); }

namespace detail
{
bool is_text(std::string_view bytes)
{
    using traits = boost::locale::utf::utf_traits<char>;
    for (auto it = bytes.begin(); it != bytes.end();) {
        auto c = traits::decode(it, bytes.end());
        if (c == 0 || !boost::locale::utf::is_valid_codepoint(c)) return false;
    }
    return true;
}

void throw_out_of_range(long long value, long long least, unsigned long long most)
{
    throw_mapping_error("the value " + std::to_string(value) + " is out of range " + std::to_string(least) +
                        " to " + std::to_string(most));
}

std::string_view decode_text(field_view f)
{
    auto text = f.bytes();
    if (f.type == oids::jsonb) {
        constexpr char version = 1;
        if (text.empty() || text.front() != version) throw_mapping_error("jsonb of an unknown version");
        text.remove_prefix(1);
    }
    // A composite's or a vector's bytes are not text; they hold zeros, or are no UTF-8.
    if (is_user_defined(f.type) && !is_text(text))
        throw_mapping_error("the binary format of this type is not text: cast it to text in the statement");
    return text;
}

void encode_text(std::string_view v, encoder& out)
{
    if (auto at = v.find('\0'); at != v.npos)
        throw_mapping_error("text with a NUL character (at byte " + std::to_string(at) +
                            "), which PostgreSQL cannot hold: use bytea");
    out.bytes(v);
}

} // namespace detail

std::vector<std::byte> codec<std::vector<std::byte>>::decode(field_view f)
{
    auto* first = reinterpret_cast<const std::byte*>(f.data);
    return {first, first + f.size};
}

void codec<std::vector<std::byte>>::encode(const std::vector<std::byte>& v, encoder& out)
{
    codec<std::span<const std::byte>>::encode(v, out);
}

} // namespace pgcoro
