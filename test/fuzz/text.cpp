/// The text form of any type, and numbers from text, which must come back as they are printed.

#include "types.hpp"

#include <cstdlib>

using namespace pgcoro;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size < 1) return 0;
    auto type = fuzz::column_types[data[0] % fuzz::column_types.size()];
    std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
    try {
        std::string text;
        if (!append_text(type, input, text) && !text.empty()) std::abort();
    } catch (const mapping_error&) {
        // What hostile bytes must end in.
    }
    try {
        numeric n(input);
        if (numeric(n.str()).str() != n.str()) std::abort();
    } catch (const mapping_error&) {
        // As above.
    }
    return 0;
}
