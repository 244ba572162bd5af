#include "integration/support/heap.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PGCORO_TEST_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PGCORO_TEST_SANITIZED
#endif

#ifdef PGCORO_TEST_SANITIZED
extern "C" std::size_t __sanitizer_get_current_allocated_bytes(); // GCC 12 comes without its header
#else
#include <malloc.h>
#endif

namespace test
{

std::size_t bytes_in_use()
{
#ifdef PGCORO_TEST_SANITIZED
    return __sanitizer_get_current_allocated_bytes();
#else
    auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
#endif
}

} // namespace test
