/// Every codec that reads: the first byte chooses it, the next the column's type among those it accepts, the
/// rest is the value. What could be read must be fit to be sent, or be refused by an error; where it is sent
/// in binary, it must come back.

#include "types.hpp"

#include <boost/json/parse_options.hpp>
#include <boost/mp11/algorithm.hpp>

#include <cstdlib>

namespace
{

using namespace pgcoro;

template <class Options>
constexpr bool is_precise = requires(Options o)
{
    o.numbers;
};

template <class T>
std::string encoded(const T& value)
{
    encoder::buffer bytes;
    encoder out(bytes);
    codec<T>::encode(value, out);
    return {bytes.begin(), bytes.end()};
}

// Is a value that was sent read as the very same? A double in JSON is not with every Boost.JSON.
template <class T>
constexpr bool comes_back = true;
template <>
constexpr bool comes_back<boost::json::value> = is_precise<boost::json::parse_options>;

template <class T>
void read_and_send(field_view f)
{
    try {
        auto value = codec<T>::decode(f);
        if constexpr (encodable<T>) {
            auto sent = encoded(value);
            if constexpr (codec<T>::parameter_format == format::binary && codec<T>::type != oids::infer) {
                if constexpr (!comes_back<T>) return;
                field_view back{sent.data(), static_cast<int>(sent.size()), codec<T>::type};
                if (encoded(codec<T>::decode(back)) != sent) std::abort();
            }
        }
    } catch (const mapping_error&) {
        // What hostile bytes must end in.
    }
}

template <class T>
oid column_type(std::uint8_t choice)
{
    oid accepted[64];
    std::size_t count = 0;
    for (auto type : fuzz::column_types)
        if (codec<T>::accepts(type) && count < std::size(accepted)) accepted[count++] = type;
    return accepted[choice % count];
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size < 2) return 0;
    constexpr auto count = boost::mp11::mp_size<fuzz::readable>::value;
    boost::mp11::mp_with_index<count>(data[0] % count, [&](auto i) {
        using type = boost::mp11::mp_at<fuzz::readable, decltype(i)>;
        read_and_send<type>({reinterpret_cast<const char*>(data + 2), static_cast<int>(size - 2),
                             column_type<type>(data[1])});
    });
    return 0;
}
