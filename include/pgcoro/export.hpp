#pragma once

/// What stands in a namespace opened with it is seen outside of the library, also where that is a shared one, which
/// hides all else. Every public header opens pgcoro's namespace so: functions are to be found, and what is thrown
/// on one side is caught on the other, whatever visibility either was compiled with.
#if defined(__GNUC__)
#define PGCORO_API [[gnu::visibility("default")]]
#else
#define PGCORO_API
#endif
