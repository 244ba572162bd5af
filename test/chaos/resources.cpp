#include "resources.hpp"

#include "integration/support/heap.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace chaos
{

resources resources::now()
{
    resources r;
    r.heap = test::bytes_in_use();
    // "man 5 proc": the second number is the resident set, in pages.
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    r.resident = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    namespace fs = std::filesystem;
    r.descriptors = static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), {}));
    return r;
}

} // namespace chaos
