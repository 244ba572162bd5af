#pragma once

#include <cstddef>

namespace chaos
{

/// What this process holds at one moment.
struct resources
{
    std::size_t heap = 0;        ///< bytes in use, libpq's too
    std::size_t resident = 0;    ///< bytes, of all kinds
    std::size_t descriptors = 0; ///< open files and sockets

    static resources now();
};

} // namespace chaos
